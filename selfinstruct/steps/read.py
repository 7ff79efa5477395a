"""`read`: rows of a file, or of a dataset in a folder, become samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from selfinstruct import formats
from selfinstruct.errors import ConfigError
from selfinstruct.outlook import Estimate, Outlook
from selfinstruct.run import Place, Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, step

Format = Literal[
    "auto",
    "seed_tasks",
    "oasst",
    "oasst_pairs",
    "kto",
    "preference",
    "lima",
    "sharegpt",
    "messages",
    "ultrachat",
    "prompt_completion",
    "dolly",
    "alpaca",
    "p3",
    "superni",
    "flan_cot",
    "rows",
    "parquet",
]
Columns = Mapping[str, str] | None
Items = Iterator[tuple[str, Sample | formats.Fault]]


def _items(
    place: Place,
    *,
    path: str,
    format: Format,
    columns: Columns,
    split: str | None,
    limit: int | None = None,
    **_: Any,
) -> Items:
    return islice(formats.read(place.path(path), format, columns=columns, split=split), limit)


def _check(place: Place, *, columns: Columns, on_error: str, **options: Any) -> None:
    """The file is there and of a known format; its first row is sound, unless faulty rows are skipped."""
    named = list((columns or {}).values())
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"read: `columns` names `{twice}` twice", "a column becomes one thing: name it once"
        )
    _stop(next(_items(place, columns=columns, **options))[1], on_error)


def _stop(item: Sample | formats.Fault, on_error: str) -> None:
    """Raises DataError for a faulty row, unless such rows are skipped."""
    if isinstance(item, formats.Fault) and on_error == "stop" and not item.harmless:
        error = item.error()
        error.hint += "; or leave such rows out with `on_error: skip`"
        raise error


def _sees(place: Place, *, path: str, split: str | None, **_: Any) -> str:
    return formats.content_digest(place.path(path), split)


def _forecast(outlook: Outlook, *, path: str, on_error: str, **options: Any) -> Estimate:
    def rows() -> Iterator[tuple[list[str], bool]]:
        for _place, item in _items(outlook.place, path=path, **options):
            _stop(item, on_error)
            if not isinstance(item, formats.Fault):
                yield [message.content for message in item.messages], not item.answered

    return Estimate(outlook.rows.counted(rows()), source=f"{Path(path).name}: counted")


@step(check=_check, sees=_sees, forecast=_forecast)
async def read(
    run: Run,
    samples: Samples,
    *,
    path: str,
    format: Format = "auto",
    columns: dict[str, str] | None = None,
    split: str | None = None,
    limit: Annotated[int, Field(ge=1)] | None = None,
    license: str | None = None,
    source: str | None = None,
    on_error: Literal["stop", "skip"] = "stop",
) -> Samples:
    """Append the rows of a file, or of a dataset in a folder, to the samples that came.

    Several `read` steps in a row add up. Columns that the format does not know are kept in `meta`.

    Args:
        path: a file, plain or gzip, or a folder; relative to the working directory, else to the pipeline file.
        format: what the rows are, such as alpaca, sharegpt or oasst; auto tells by the content. rows takes any columns,
            for `template`.
        columns: names that the format knows, and the columns that hold them here, such as {instruction: question}.
        split: which split, for a folder that holds several.
        limit: read at most so many rows.
        license: the licence that the file is under, such as apache-2.0; it goes into the dataset card.
        source: what the rows are marked with as their source; the file's name unless the rows name one.
        on_error: stop at a faulty row, or skip it: then it is dropped as "malformed" or "duplicate".
    """
    async for sample in samples:
        yield sample
    file = run.path(path)
    rows = 0
    for place, item in _items(run.place, path=path, format=format, columns=columns, split=split, limit=limit):
        _stop(item, on_error)
        if isinstance(item, formats.Fault):
            run.made()
            run.drop(item.text, item.reason, place=place, why=item.message)
            continue
        rows += 1
        run.made()
        origin = {"source": source} if source else {"source": item.meta.get("source") or file.name}
        yield item.note(**origin)
    run.note(
        source=source or file.name,
        license=license,
        rows=rows,
        sha256=formats.content_digest(file, split),
        file=file.name,
    )
