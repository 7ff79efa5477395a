"""FLAN's chain-of-thought files: `question TAB answer TAB rationale`, no header, line ends in a text written \\n."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfinstruct.formats import files
from selfinstruct.formats.files import CLIP, Fault, Row
from selfinstruct.sample import Sample

COLUMNS = ("question", "answer", "rationale")


def rows(path: Path) -> Iterator[Row]:
    """The lines as objects of the three columns, with `task`: the file's name. A line that has others is a Fault."""
    task = path.name.partition(".")[0]
    with files.opened(path) as file:
        for number, line in enumerate(file, 1):
            place = f"line {number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                shown = line.decode("utf-8", "backslashreplace")[:CLIP]
                yield place, Fault(path, place, "is not UTF-8", "save the file as UTF-8", shown)
                continue
            if not text.strip():
                continue
            parts = [part.replace("\\n", "\n").strip() for part in text.split("\t")]
            if len(parts) == len(COLUMNS) and all(parts):
                yield place, {**dict(zip(COLUMNS, parts, strict=True)), "task": task}
                continue
            message = f"has {len(parts)} columns" if len(parts) != len(COLUMNS) else "has an empty column"
            hint = "a line is question, answer and rationale, parted by tabs"
            yield place, Fault(path, place, message, hint, text[:CLIP])


def sample(row: Mapping[str, Any]) -> Sample:
    """The question and its bare answer; a template has the rationale in `meta["row"]`."""
    meta = {"row": {name: row[name] for name in COLUMNS}, "task": row["task"], "collection": "cot"}
    return Sample.of(row["question"], "", row["answer"], meta=meta)
