"""read_documents: text files become samples, one a document."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Literal

from selfinstruct.formats import documents
from selfinstruct.formats.files import Fault
from selfinstruct.outlook import Estimate, Outlook
from selfinstruct.run import Place, Run
from selfinstruct.sample import Message, Sample, digest
from selfinstruct.step import Count, Samples, step


def _check(place: Place, *, path: str, on_error: str, **_: object) -> None:
    first = next(documents.read(place.path(path)))
    if isinstance(first, Fault) and on_error == "stop":
        raise first.error()


def _sees(place: Place, *, path: str, **_: object) -> object:
    return documents.digests(place.path(path))


def _forecast(outlook: Outlook, *, path: str, limit: int | None, **_: object) -> Estimate:
    found = islice(documents.read(outlook.place.path(path)), limit)
    rows = (([each.text], True) for each in found if not isinstance(each, Fault))
    return Estimate(outlook.rows.counted(rows), source=f"{Path(path).name}: counted")


@step(check=_check, sees=_sees, forecast=_forecast)
async def read_documents(
    run: Run,
    samples: Samples,
    *,
    path: str,
    limit: Count | None = None,
    license: str | None = None,
    source: str | None = None,
    on_error: Literal["stop", "skip"] = "skip",
) -> Samples:
    """Append the documents of a folder or a file to the samples that came.

    Documents are *.txt, *.md and *.markdown files, and the rows of *.jsonl files by their `text`. A document is a row
    whose one message is its text, for `chunk` to cut and `ground` to ask about. Its place in the folder and its title
    (the first heading, else the file's name) are in `meta`. A folder is read with all below it, sorted by name;
    hidden files and links are left out. Files of other kinds (HTML, PDF...) are dropped by name, and so are empty
    documents and those equal to an earlier one.

    Args:
        path: the folder or file; relative to the working directory, else to the pipeline file
        limit: read at most so many documents
        license: the licence that the documents are under, such as cc-by-4.0; it goes into the dataset card
        source: what the rows are marked with as their source; the folder's or file's name unless the rows name one
        on_error: skip a document that can't be used (not_a_document, empty, malformed), or stop there
    """
    async for sample in samples:
        yield sample
    place = run.path(path)
    seen: dict[str, str] = {}
    rows = 0
    for each in islice(documents.read(place), limit):
        if isinstance(each, Fault):
            if on_error == "stop":
                raise each.error()
            run.made()
            run.drop(each.text, each.reason, file=each.path.name, place=each.place, why=each.message)
            continue
        run.made()
        meta = {
            **each.meta,
            "source": source or each.meta.get("source") or place.name,
            "document": each.name,
            "title": each.title,
        }
        sample = Sample((Message("user", each.text),), meta=meta)
        if sample.id in seen:
            run.drop(sample, "duplicate", same_as=seen[sample.id])
            continue
        seen[sample.id] = each.name
        rows += 1
        yield sample
    facts = documents.digests(place)
    run.note(source=source or place.name, license=license, rows=rows, sha256=digest(facts), file=place.name)
