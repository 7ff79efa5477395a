"""Rows of a file to Samples, and back. What a file is follows from its content, never from its name.

A file is a container (JSONL, one JSON array, Parquet; the first two plain or gzip) of rows of one format.
`read` is the way in; `WRITERS` is the way out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from selfinstruct.errors import ConfigError, DataError, nearest
from selfinstruct.formats import alpaca, files, flan_cot, labelled, messages, p3, parquet, seeds, superni
from selfinstruct.formats.files import Fault, content_digest
from selfinstruct.sample import Sample

__all__ = ["FORMATS", "READERS", "WRITERS", "Fault", "content_digest", "read"]

READERS: dict[str, Callable[[Mapping[str, Any]], Sample]] = {
    "seed_tasks": seeds.sample,
    "alpaca": alpaca.sample,
    "messages": messages.sample,
    "rows": labelled.sample,
    "superni": superni.sample,
    "p3": p3.sample,
    "flan_cot": flan_cot.sample,
}
WRITERS: dict[str, tuple[str, Callable[[Sequence[Sample], BinaryIO], None]]] = {
    "alpaca": ("alpaca.json", alpaca.write),
    "messages": ("messages.jsonl", messages.write),
    "parquet": ("train.parquet", parquet.write),
}
FORMATS = {
    "seed_tasks": "JSONL of {id, name, instruction, instances: [{input, output}], is_classification}",
    "alpaca": "JSON array or JSONL of {instruction, input, output}",
    "messages": "JSON array or JSONL of {messages: [{role, content}]}",
    "rows": "JSON array, JSONL or Parquet of labelled rows with any columns, for `template`",
    "superni": "a task file of Super-NaturalInstructions",
    "p3": "JSON array, JSONL or Parquet of rows that P3 or FLAN rendered",
    "flan_cot": "FLAN's TSV of question, answer and rationale",
    "parquet": "Parquet with the columns of one of these",
}

_FILES: dict[str, Callable[[Path], Iterator[files.Row]]] = {
    "superni": superni.rows,
    "flan_cot": flan_cot.rows,
}
_OWN = "a table of whole samples"
_ROW = "give a file with at least one row"


def read(path: Path, format: str = "auto") -> Iterator[tuple[str, Sample | Fault]]:
    """(place, sample) for each row of `path`, lazily; a row that can't be used comes as a Fault in its place.

    What can be wrong with the file as a whole is found before the first row is handed out.

    Args:
      path: The file.
      format: One of FORMATS, or "auto": decided by the container's first bytes and the keys of the first row.

    Raises:
      ConfigError: no such file, or no such format.
      DataError: the file is empty, of no known format, or damaged so that what follows can't be found.
    """
    if format not in ("auto", *FORMATS):
        raise ConfigError(f"there is no format `{format}`", nearest(format, ("auto", *FORMATS)))
    if format == "auto" and superni.recognised(files.start(path)):
        format = "superni"
    rows = _objects(_container(path, format), path)
    name, ahead = (format, []) if format in READERS else _recognise(rows, path)
    samples = _samples(chain(ahead, rows), path, name)
    if name == "seed_tasks":
        samples = seeds.distinct(samples, path)
    return _some(samples, path)


def _container(path: Path, format: str) -> Iterator[files.Row]:
    head = files.start(path)
    if format in _FILES:
        return _FILES[format](path)
    if head.startswith(parquet.MAGIC):
        return parquet.rows(path)
    if format == "parquet":
        raise DataError(f"{path}: is no Parquet file: it starts with {_shown(head)}", "leave `format` out")
    if head.startswith(b"["):
        return files.json_array(path)
    if head.startswith(b"{") or format != "auto":
        return files.json_lines(path)
    raise DataError(f"{path}: is of no known format: it starts with {_shown(head)}", _listing())


def _objects(rows: Iterator[files.Row], path: Path) -> Iterator[files.Row]:
    """The rows, with every one that is no JSON object a Fault."""
    for place, row in rows:
        if isinstance(row, dict | Fault):
            yield place, row
        else:
            message = f"is {_kind(row)}, not an object with columns"
            yield (
                place,
                Fault(path, place, message, "each row must be one JSON object", str(row)[: files.CLIP]),
            )


def _recognise(rows: Iterator[files.Row], path: Path) -> tuple[str, list[files.Row]]:
    """The format of the first whole row, and the rows taken to find it. Raises DataError if it has none."""
    ahead: list[files.Row] = []
    for place, row in rows:
        ahead.append((place, row))
        if isinstance(row, dict):
            if row.keys() >= parquet.OWN:
                return _OWN, ahead
            for name, key in (
                ("seed_tasks", "instances"),
                ("messages", "messages"),
                ("alpaca", "instruction"),
                ("p3", "inputs_pretokenized"),
            ):
                if key in row:
                    return name, ahead
            keys = ", ".join(map(repr, row)) or "none"
            raise DataError(f"{path}: {place}: is of no known format: its keys are {keys[:200]}", _listing())
    for _, fault in ahead:
        raise fault.error()
    raise DataError(f"{path}: holds no rows", _ROW)


def _samples(rows: Iterable[files.Row], path: Path, name: str) -> Iterator[tuple[str, Sample | Fault]]:
    make = parquet.sample if name == _OWN else READERS[name]
    for place, row in rows:
        if not isinstance(row, Fault):
            try:
                row = make(row)
            except DataError as error:
                shown = str(row.get("instruction") or row)[: files.CLIP]
                row = Fault(path, place, f"as {name}: {error.message}", error.hint, shown)
        yield place, row


def _some(samples: Iterator[tuple[str, Sample | Fault]], path: Path) -> Iterator[tuple[str, Sample | Fault]]:
    first = next(samples, None)
    if first is None:
        raise DataError(f"{path}: holds no rows", _ROW)
    yield first
    yield from samples


def _listing() -> str:
    return "formats: " + "; ".join(f"{name} = {what}" for name, what in FORMATS.items())


def _kind(value: Any) -> str:
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "null")


def _shown(head: bytes) -> str:
    return repr(head.splitlines()[0][:24].decode("utf-8", "backslashreplace"))
