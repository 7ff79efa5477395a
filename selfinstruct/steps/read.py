"""`read`: rows of a file become samples."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from selfinstruct import formats
from selfinstruct.outlook import Estimate, Outlook, Range, Rows, most_tokens, tokens
from selfinstruct.run import Place, Run
from selfinstruct.step import Samples, step

Format = Literal["auto", "seed_tasks", "alpaca", "messages", "rows", "superni", "p3", "flan_cot", "parquet"]


def _check(place: Place, *, path: str, format: Format, on_error: str, **_: Any) -> None:
    """The file is there and of a known format; its first row is sound, unless faulty rows are skipped."""
    item = next(formats.read(place.path(path), format))[1]
    if isinstance(item, formats.Fault) and on_error == "stop":
        raise item.error()


def _sees(place: Place, *, path: str, **_: Any) -> str:
    return formats.content_digest(place.path(path))


def _forecast(
    outlook: Outlook, *, path: str, format: Format, limit: int | None, on_error: str, **_: Any
) -> Estimate:
    sizes: list[int] = []
    bounds: list[int] = []
    waiting = 0
    for _row, item in islice(formats.read(outlook.place.path(path), format), limit):
        if not isinstance(item, formats.Fault):
            sizes.append(sum(tokens(m.content) for m in item.messages))
            bounds.append(sum(most_tokens(m.content) for m in item.messages))
            waiting += not item.answered
        elif on_error == "stop":
            raise item.error()
    came = outlook.rows
    total = came.count.expected + len(sizes)
    rows = Rows(
        count=came.count.plus(Range.exactly(len(sizes))),
        tokens=(came.count.expected * came.tokens + sum(sizes)) // max(total, 1),
        longest=None if came.longest is None else max([came.longest, *bounds]),
        text=None if came.most is None else came.most + sum(bounds),
        waiting=(came.waiting * came.count.expected + waiting) / max(total, 1),
    )
    return Estimate(rows, source=f"{Path(path).name}: counted")


@step(check=_check, sees=_sees, forecast=_forecast)
async def read(
    run: Run,
    samples: Samples,
    *,
    path: str,
    format: Format = "auto",
    limit: Annotated[int, Field(ge=1)] | None = None,
    license: str | None = None,
    source: str | None = None,
    on_error: Literal["stop", "skip"] = "stop",
) -> Samples:
    """Append the rows of a file to the samples that came: seed tasks, Alpaca, chat messages or Parquet.

    Several `read` steps in a row add up. Columns that the format does not know are kept in `meta`.

    Args:
        path: the file, plain or gzip; relative to the working directory, else to the pipeline file.
        format: seed_tasks, alpaca, messages, superni, p3 or parquet, which auto tells by the content; rows keeps any
            columns, for `template`; flan_cot is FLAN's TSV.
        limit: read at most so many rows.
        license: the licence that the file is under, such as apache-2.0; it goes into the dataset card.
        source: what the rows are marked with as their source; the file's name unless the rows name one.
        on_error: stop at a faulty row, or skip it: then it is dropped as "malformed" or "duplicate".
    """
    async for sample in samples:
        yield sample
    file = run.path(path)
    rows = 0
    for place, item in islice(formats.read(file, format), limit):
        if isinstance(item, formats.Fault):
            if on_error == "stop":
                error = item.error()
                error.hint += "; or leave such rows out with `on_error: skip`"
                raise error
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
        sha256=formats.content_digest(file),
        file=file.name,
    )
