"""Single answers that are good or bad (Ethayarajh et al. 2024, KTO): a `label` of true or false beside the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from selfinstruct.errors import DataError
from selfinstruct.formats import alpaca, chat, prompt_completion, sharegpt
from selfinstruct.formats.files import write_lines
from selfinstruct.sample import Message, Sample

_LABELS = ("label", "kto_tag")


def knows(row: Mapping[str, Any]) -> bool:
    if isinstance(row.get("kto_tag"), bool):
        return True
    answers = prompt_completion.knows(row) or any(name in row for name in sharegpt.COLUMNS)
    return isinstance(row.get("label"), bool) and answers


def sample(row: Mapping[str, Any]) -> Sample:
    """An answered row where the label is true. Where it is false, the answer is `rejected`, and the row waits for a
    better one. Other columns go to `meta`. Raises DataError without place.
    """
    name = next((name for name in _LABELS if name in row), "label")
    label = row.get(name)
    if not isinstance(label, bool):
        raise DataError(f"`{name}` is {alpaca.shown(label)}", f"`{name}` must be true or false")
    plain = chat.rest(row, name)
    if any(column in plain for column in sharegpt.COLUMNS):
        found = sharegpt.sample(plain)
    elif "prompt" in plain:
        found = prompt_completion.sample(plain)
    else:
        found = alpaca.sample(plain)
    if not found.answered:
        raise DataError("has no answer for its label", "end the conversation with the assistant's answer")
    return found if label else found.replace(messages=found.prompt, rejected=found.output)


def rows(sample: Sample) -> list[dict[str, Any]]:
    """A row for each answer that the sample has, in TRL's conversational form."""
    prompt = chat.openai(sample.prompt)
    return [
        {"prompt": prompt, "completion": chat.openai([Message("assistant", text)]), "label": label}
        for text, label in chat.labelled(sample)
    ]


def write(samples: Iterable[Sample], file: BinaryIO) -> None:
    write_lines((each for one in samples for each in rows(one)), file)
