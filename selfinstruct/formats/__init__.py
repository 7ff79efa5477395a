"""Rows of a file to Samples, and back. What a file is follows from its content, never from its name.

A file is a container (JSONL, one JSON array, Parquet, Arrow; the first two plain or gzip) of rows of one format. `read`
is the way in, READERS has its formats; WRITERS is the way out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from selfinstruct.errors import ConfigError, DataError, nearest
from selfinstruct.formats import (
    alpaca,
    arrow,
    chat,
    dolly,
    files,
    flan_cot,
    folders,
    kto,
    labelled,
    lima,
    messages,
    oasst,
    p3,
    parquet,
    preference,
    prompt_completion,
    seeds,
    sharegpt,
    superni,
    trainers,
    ultrachat,
)
from selfinstruct.formats.files import Fault
from selfinstruct.formats.folders import digest as content_digest
from selfinstruct.sample import Sample

__all__ = ["BESIDE", "CONTAINERS", "FORMATS", "READERS", "WRITERS", "Fault", "content_digest", "read"]

Row = Mapping[str, Any]


class Reader(NamedTuple):
    """A format on the way in: its rows in words, whether a row looks like one, and what a row becomes."""

    about: str
    knows: Callable[[Row], bool]
    sample: Callable[[Row], Sample | Sequence[Sample]]  # raises DataError without place


class Writer(NamedTuple):
    """A format on the way out: the file's name, the file in words, whether a sample fits, and the file itself."""

    file: str
    about: str
    fits: Callable[[Sample], Any]  # raises DataError with the mend
    write: Callable[[Sequence[Sample], BinaryIO], None]


# In the order in which the first row is asked: what has more of a mark comes before what has less.
READERS: dict[str, Reader] = {
    "seed_tasks": Reader(
        "JSONL of {id, name, instruction, instances: [{input, output}], is_classification}",
        lambda row: "instances" in row,
        seeds.sample,
    ),
    "oasst": Reader(
        "trees {message_tree_id, prompt: {text, role, replies: [...]}}: the best ranked conversation of each",
        oasst.knows,
        oasst.sample,
    ),
    "oasst_pairs": Reader(
        "the same trees: the best and the worst answer to each question", lambda row: False, oasst.pairs
    ),
    "kto": Reader(
        "{prompt, completion, label} or {messages, label}, where label is true or false",
        kto.knows,
        kto.sample,
    ),
    "preference": Reader(
        "{chosen, rejected} as texts or messages, with {prompt}, {conversations}, {instruction, input} or all in them",
        preference.knows,
        preference.sample,
    ),
    "lima": Reader("{conversations: [question, answer, ...], source}", lima.knows, lima.sample),
    "sharegpt": Reader("{conversations: [{from, value}], system}", sharegpt.knows, sharegpt.sample),
    "messages": Reader(
        "JSON array or JSONL of {messages: [{role, content}]}", lambda row: "messages" in row, messages.sample
    ),
    "ultrachat": Reader("{id, data: [question, answer, ...]}", ultrachat.knows, ultrachat.sample),
    "prompt_completion": Reader(
        "{prompt, completion} as texts or messages", prompt_completion.knows, prompt_completion.sample
    ),
    "dolly": Reader("{instruction, context, response, category}", dolly.knows, dolly.sample),
    "alpaca": Reader(
        "JSON array or JSONL of {instruction, input, output}", lambda row: "instruction" in row, alpaca.sample
    ),
    "p3": Reader(
        "rows that P3 or FLAN rendered: {inputs_pretokenized, targets_pretokenized} or {inputs, targets}",
        p3.knows,
        p3.sample,
    ),
    "superni": Reader("a task file of Super-NaturalInstructions", lambda row: False, superni.sample),
    "flan_cot": Reader("FLAN's TSV of question, answer and rationale", lambda row: False, flan_cot.sample),
    "rows": Reader("labelled rows of any columns, for `template`", lambda row: False, labelled.sample),
}
FORMATS = {
    **{name: reader.about for name, reader in READERS.items()},
    "parquet": "Parquet with the columns of one of these",
}
# From what holds least of a row to what holds most.
WRITERS: dict[str, Writer] = {
    "alpaca": Writer(
        "alpaca.json",
        "the columns `instruction`, `input`, `output`, as one JSON array",
        alpaca.row,
        alpaca.write,
    ),
    "prompt_completion": Writer(
        "prompt_completion.jsonl",
        "prompt and completion as messages, for TRL; the loss is on the last answer",
        prompt_completion.row,
        prompt_completion.write,
    ),
    "messages": Writer(
        "messages.jsonl",
        "one chat per line, for TRL and chat APIs",
        chat.answered,
        messages.write,
    ),
    "sharegpt": Writer(
        "sharegpt.jsonl", "one chat per line under `from` and `value`", sharegpt.row, sharegpt.write
    ),
    "kto": Writer("kto.jsonl", "single answers with a label of true or false, for TRL", kto.rows, kto.write),
    "sharegpt_kto": Writer(
        "sharegpt_kto.jsonl",
        "single answers with a label of true or false, for LLaMA-Factory",
        sharegpt.labelled,
        sharegpt.write_labelled,
    ),
    "preference": Writer(
        "preference.jsonl", "prompt, chosen and rejected answer, for TRL", preference.row, preference.write
    ),
    "sharegpt_preference": Writer(
        "sharegpt_preference.jsonl",
        "prompt, chosen and rejected answer, for LLaMA-Factory",
        sharegpt.preference,
        sharegpt.write_preference,
    ),
    "parquet": Writer(
        "train.parquet",
        "both views, and the scores, parents and origin of each row",
        lambda sample: None,
        parquet.write,
    ),
}
# What trainers want to see beside the data files: the formats that each reads, and what it is given.
Files = Callable[[str, Mapping[str, str], Sequence[Sample]], dict[str, bytes]]
BESIDE: dict[str, tuple[Mapping[str, Any], Files]] = {
    "llamafactory": (trainers.LLAMAFACTORY, trainers.llamafactory),
    "axolotl": (trainers.AXOLOTL, trainers.axolotl),
}

# Formats whose files are no containers of rows in JSON.
CONTAINERS: dict[str, Callable[[Path], Iterator[files.Row]]] = {
    "superni": superni.rows,
    "flan_cot": flan_cot.rows,
}
_OWN = "a table of whole samples"
_ROW = "give a file with at least one row"


def read(
    path: Path,
    format: str = "auto",
    *,
    columns: Mapping[str, str] | None = None,
    split: str | None = None,
) -> Iterator[tuple[str, Sample | Fault]]:
    """(place, sample) for each row of `path`, lazily; a row that can't be used comes as a Fault in its place.

    What can be wrong with the file as a whole is found before the first row is handed out.

    Args:
      path: The file, or a folder with a dataset (see `folders`).
      format: One of FORMATS, or "auto": decided by the container's first bytes and the keys of the first row.
      columns: Names that the formats know, and the columns that hold them here.
      split: Which split of a folder.

    Raises:
      ConfigError: no such file, format or split.
      DataError: the file is empty, of no known format, or damaged so that what follows can't be found.
    """
    if format not in ("auto", *FORMATS):
        raise ConfigError(f"there is no format `{format}`", nearest(format, ("auto", *FORMATS)))
    return chain.from_iterable(_file(file, format, columns) for file in folders.files(path, split))


def _file(path: Path, format: str, columns: Mapping[str, str] | None) -> Iterator[tuple[str, Sample | Fault]]:
    if format == "auto" and superni.recognised(files.start(path)):
        format = "superni"
    rows = _objects(_container(path, format), path)
    if columns:
        rows = _renamed(rows, path, columns)
    name, ahead = (format, []) if format in READERS else _recognise(rows, path)
    samples = _samples(chain(ahead, rows), path, name)
    if name == "seed_tasks":
        samples = seeds.distinct(samples, path)
    return _some(samples, path)


def _container(path: Path, format: str) -> Iterator[files.Row]:
    head = files.start(path)
    if format in CONTAINERS:
        return CONTAINERS[format](path)
    if head.startswith(parquet.MAGIC):
        return parquet.rows(path)
    if format == "parquet":
        raise DataError(f"{path}: is no Parquet file: it starts with {_shown(head)}", "leave `format` out")
    if head.startswith(arrow.MAGIC):
        return arrow.rows(path)
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


def _renamed(rows: Iterator[files.Row], path: Path, columns: Mapping[str, str]) -> Iterator[files.Row]:
    """The rows under the names that the formats know. The first whole row must have all columns that are named, since
    a misspelt one would otherwise be one that no row has."""
    theirs = {here: name for name, here in columns.items()}
    first = True
    for place, row in rows:
        if isinstance(row, dict):
            missing = [here for here in theirs if here not in row]
            if first and missing:
                hint = f"{nearest(missing[0], row)}; the first row must have it"
                raise DataError(f"{path}: {place}: there is no column `{missing[0]}`", hint)
            first = False
            row = _under(row, theirs, path, place)
        yield place, row


def _under(row: dict[str, Any], theirs: Mapping[str, str], path: Path, place: str) -> dict[str, Any] | Fault:
    named = {theirs.get(key, key): value for key, value in row.items()}
    if len(named) < len(row):
        twice = next(key for key in row if key in theirs and theirs[key] in row.keys() - theirs.keys())
        name = theirs[twice]
        hint = f"name it, too: `columns: {{{name}: {twice}, old_{name}: {name}}}`"
        return Fault(
            path, place, f"has a column `{name}` of its own beside `{twice}`", hint, str(row)[: files.CLIP]
        )
    return named


def _recognise(rows: Iterator[files.Row], path: Path) -> tuple[str, list[files.Row]]:
    """The format of the first whole row, and the rows taken to find it. Raises DataError if it has none."""
    ahead: list[files.Row] = []
    for place, row in rows:
        ahead.append((place, row))
        if isinstance(row, dict):
            if row.keys() >= parquet.OWN:
                return _OWN, ahead
            for name, reader in READERS.items():
                if reader.knows(row):
                    return name, ahead
            keys = ", ".join(map(repr, row)) or "none"
            raise DataError(f"{path}: {place}: is of no known format: its keys are {keys[:200]}", _listing())
    for _, fault in ahead:
        raise fault.error()
    raise DataError(f"{path}: holds no rows", _ROW)


def _samples(rows: Iterable[files.Row], path: Path, name: str) -> Iterator[tuple[str, Sample | Fault]]:
    make = parquet.sample if name == _OWN else READERS[name].sample
    for place, row in rows:
        if not isinstance(row, Fault):
            try:
                found = make(row)
            except DataError as error:
                row = Fault(path, place, f"as {name}: {error.message}", error.hint, _text(row))
            else:
                if isinstance(found, Sample):
                    row = found
                else:
                    yield from ((place, each) for each in found)
                    if found:
                        continue
                    row = Fault(path, place, f"as {name}: holds none", "", _text(row), "holds_none", True)
        yield place, row


def _text(row: Row) -> str:
    return str(row.get("instruction") or row)[: files.CLIP]


def _some(samples: Iterator[tuple[str, Sample | Fault]], path: Path) -> Iterator[tuple[str, Sample | Fault]]:
    first = next(samples, None)
    if first is None:
        raise DataError(f"{path}: holds no rows", _ROW)
    yield first
    yield from samples


def _listing() -> str:
    known = "".join(f"\n    {name} = {what}" for name, what in FORMATS.items())
    return f"name its columns, such as `columns: {{instruction: question, output: answer}}`; formats:{known}"


def _kind(value: Any) -> str:
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "null")


def _shown(head: bytes) -> str:
    return repr(head.splitlines()[0][:24].decode("utf-8", "backslashreplace"))
