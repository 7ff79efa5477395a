"""Parquet: rows of any known format on the way in; on the way out a table that holds whole samples.

    id, instruction, input, output, messages, rejected, parents, score_<name>..., meta

`instruction`, `input` and `output` are views for readers of Alpaca's columns; `messages`, `rejected`,
`parents`, the scores and `meta` (JSON text: its keys differ from row to row) are what the sample is made of.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from selfinstruct.errors import DataError
from selfinstruct.formats.files import Fault, Row, opened
from selfinstruct.formats.messages import conversation
from selfinstruct.sample import Sample, canonical

MAGIC = b"PAR1"
GROUP = 10_000  # rows of one row group: fixed, so that equal samples give equal bytes
OWN = frozenset({"messages", "rejected", "parents", "meta"})  # the columns by which a table of ours is known
_SCORE = "score_"
_VIEWS = ("id", "instruction", "input", "output")


def rows(path: Path) -> Iterator[Row]:
    """Rows as plain JSON values: times as ISO text, NaN (how pandas marks a gap) as null.

    Other values without a JSON form (bytes, decimals, infinities) are Faults. Raises DataError if the file is
    no Parquet.
    """
    import pyarrow
    import pyarrow.parquet

    # Opened by us first: pyarrow's own errors for a missing or unreadable file name no mend.
    with opened(path) as file:
        try:
            table = pyarrow.parquet.ParquetFile(file)
            yield from plain_rows(path, table.iter_batches(batch_size=1_000))
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(
                f"{path}: is no readable Parquet file: {error}", "fetch or make it again"
            ) from error


def plain_rows(path: Path, batches: Iterable[Any]) -> Iterator[Row]:
    """The rows of Arrow record batches, numbered from 1."""
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield f"row {number}", _plain_row(path, f"row {number}", row)


def _plain_row(path: Path, place: str, row: dict[str, Any]) -> Any:
    plain = {}
    for name, value in row.items():
        try:
            plain[name] = _plain(value)
        except TypeError as error:
            hint = "cast the column to text, or drop it"
            return Fault(
                path,
                place,
                f"column `{name}` holds {error}, which JSON has no form for",
                hint,
                repr(row)[:200],
            )
    return plain


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if math.isinf(value):
                raise TypeError("an infinite number")
            return None if math.isnan(value) else value
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case list() | tuple():
            return [_plain(each) for each in value]
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
    raise TypeError(f"a {type(value).__name__}")


def sample(row: Mapping[str, Any]) -> Sample:
    """The whole sample from a row that `write` made. Columns that were added since go to `meta`.

    Raises DataError without place.
    """
    try:
        meta = json.loads(row["meta"] or "{}")
    except (TypeError, ValueError) as error:
        raise DataError(f"`meta` is no JSON text: {error}", "leave the column as it was written") from error
    scores = {}
    for name, value in row.items():
        if name.startswith(_SCORE) and isinstance(value, int | float):
            scores[name.removeprefix(_SCORE)] = float(value)
        elif name not in OWN and name not in _VIEWS and not name.startswith(_SCORE):
            meta[name] = value
    return Sample(
        conversation(row["messages"]),
        row["rejected"],
        scores=scores,
        meta=meta,
        parents=tuple(row["parents"] or ()),
    )


def write(samples: Sequence[Sample], file: BinaryIO) -> None:
    """The table, zstd-compressed. Equal samples give equal bytes (of one pyarrow version).

    A sample without a score that others have holds null there.
    """
    import pyarrow
    import pyarrow.parquet

    scores = sorted({name for each in samples for name in each.scores})
    text = pyarrow.string()
    turn = pyarrow.struct({"role": text, "content": text})
    schema = pyarrow.schema(
        {
            **dict.fromkeys(_VIEWS, text),
            "messages": pyarrow.list_(turn),
            "rejected": text,
            "parents": pyarrow.list_(text),
            **{_SCORE + name: pyarrow.float64() for name in scores},
            "meta": text,
        }
    )
    with pyarrow.parquet.ParquetWriter(file, schema, compression="zstd") as table:
        for group in _groups(samples):
            values = [_row(each, scores) for each in group]
            table.write_table(pyarrow.Table.from_pylist(values, schema=schema), row_group_size=GROUP)


def _row(sample: Sample, scores: Iterable[str]) -> dict[str, Any]:
    return {
        "id": sample.id,
        "instruction": sample.instruction,
        "input": sample.input,
        "output": sample.output,
        "messages": [{"role": each.role, "content": each.content} for each in sample.messages],
        "rejected": sample.rejected,
        "parents": list(sample.parents),
        **{_SCORE + name: sample.scores.get(name) for name in scores},
        "meta": canonical(dict(sample.meta)),
    }


def _groups(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    left = iter(samples)
    while group := list(islice(left, GROUP)):
        yield group
