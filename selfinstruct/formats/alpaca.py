"""Alpaca rows (Taori et al. 2023): `instruction`, `input`, `output`; LLaMA-Factory adds `system` and `history`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from selfinstruct.errors import DataError
from selfinstruct.sample import Message, Sample

COLUMNS = ("instruction", "input", "output")


def sample(row: Mapping[str, Any]) -> Sample:
    """A sample of one turn, after a text `system` and a `history` of [question, answer] pairs, where there are such.

    A row without `output` waits for its answer. A missing, null or empty `input` all mean that the task has none. Other
    columns go to `meta`. Raises DataError without place.
    """
    instruction, input, output = (row.get(name) for name in COLUMNS)
    if not isinstance(instruction, str) or not instruction.strip():
        seen = "is missing" if "instruction" not in row else f"is {shown(instruction)}"
        raise DataError(f"`instruction` {seen}", "every row needs an instruction that is text and not empty")
    for name, value in (("input", input), ("output", output)):
        if value is not None and not isinstance(value, str):
            raise DataError(
                f"`{name}` is {shown(value)}", f"`{name}` must be text; write numbers and lists as text"
            )
    meta = {key: value for key, value in row.items() if key not in COLUMNS}
    made = Sample.of(instruction, input or "", output, meta=meta)
    return _after(made) if "system" in meta or "history" in meta else made


def _after(sample: Sample) -> Sample:
    """The sample with what its meta holds as `system` and `history` before it, as far as they are that."""
    meta, before = dict(sample.meta), []
    if isinstance(meta.get("system"), str) and (system := meta.pop("system")):
        before.append(Message("system", system))
    if _is_history(meta.get("history")):
        for question, answer in meta.pop("history"):
            before += [Message("user", question), Message("assistant", answer)]
    return sample.replace(messages=(*before, *sample.messages), meta=meta)


def _is_history(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(turn, list) and len(turn) == 2 and all(isinstance(text, str) for text in turn)
        for turn in value
    )


def row(sample: Sample) -> dict[str, str]:
    """The three columns. Raises DataError if the sample is more than one question and its answer."""
    if [message.role for message in sample.messages] != ["user", "assistant"]:
        roles = ", ".join(message.role for message in sample.messages)
        raise DataError(
            f"sample {sample.id} holds more than one question and its answer (roles: {roles})",
            "the alpaca format has one turn and no system message: use `formats: [messages, parquet]`",
        )
    return {"instruction": sample.instruction, "input": sample.input, "output": sample.output}


def write(samples: Iterable[Sample], file: BinaryIO) -> None:
    """One JSON array in the layout of the published file: four spaces, and readable in every script."""
    before = b"[\n    "
    for each in samples:
        # A JSON text has no line ends inside strings, so indenting its lines changes no value.
        text = json.dumps(row(each), indent=4, ensure_ascii=False).replace("\n", "\n    ")
        file.write(before + text.encode("utf-8"))
        before = b",\n    "
    file.write(b"[]" if before.startswith(b"[") else b"\n]")


def shown(value: Any) -> str:
    """A value as an error shows it."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else text[:40] + "…"
