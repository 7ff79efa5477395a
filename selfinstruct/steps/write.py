"""`write`: samples become a folder that trainers and `datasets.load_dataset` read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from selfinstruct import card
from selfinstruct.errors import ConfigError, DataError
from selfinstruct.formats import WRITERS, alpaca
from selfinstruct.formats.files import atomic, encodable
from selfinstruct.run import Place, Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, step

Format = Literal["alpaca", "messages", "parquet"]


def _check(place: Place, *, out: str, formats: Sequence[Format], **_: Any) -> None:
    folder = place.inside(out)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"write: {folder} is a file", "give `out` the name of a folder")
    if not formats:
        raise ConfigError("write: `formats` is empty", f"name at least one of {', '.join(WRITERS)}")


def _intact(place: Place, facts: Mapping[str, Any], *, out: str, card: bool, **_: Any) -> bool:
    files = [*facts.get("files", ()), *(["README.md"] if card else [])]
    return all((place.dir / Path(out).expanduser() / file).is_file() for file in files)


# The option `card` hides the module inside the step.
_card = card.render


@step(check=_check, intact=_intact)
async def write(
    run: Run,
    samples: Samples,
    *,
    out: str = "dataset",
    formats: tuple[Format, ...] = ("alpaca", "messages", "parquet"),
    card: bool = True,
    name: str | None = None,
    license: str | None = None,
    language: tuple[str, ...] = (),
) -> Samples:
    """Write a dataset folder: alpaca.json, messages.jsonl, train.parquet and a card (README.md).

    Equal samples give equal bytes. Each file appears whole or not at all. The samples pass through unchanged,
    but for one whose text no UTF-8 file can hold: it is dropped as "lone_surrogate".

    Args:
        out: the folder, inside the run's folder unless absolute.
        formats: alpaca (three columns), messages (chat), parquet (both views, scores and meta).
        card: also write the dataset card.
        name: the title of the card; the pipeline's name by default.
        license: overrides the licence that follows from what the `read` steps state.
        language: language codes for the card, such as en.
    """
    rows: list[Sample] = []
    async for sample in samples:
        if encodable(sample.to_row()):
            rows.append(sample)
        else:
            run.drop(sample, "lone_surrogate")
    _refuse(rows, formats)
    folder = run.place.inside(out)
    folder.mkdir(parents=True, exist_ok=True)
    files = [WRITERS[each][0] for each in dict.fromkeys(formats)]
    for each in dict.fromkeys(formats):
        file, dump = WRITERS[each]
        with atomic(folder / file) as opened:
            dump(rows, opened)
    if card:
        text = _card(run.funnel(), rows, files=files, name=name, license=license, language=language)
        with atomic(folder / "README.md") as opened:
            opened.write(text.encode("utf-8"))
    run.note(files=files, rows=len(rows), headline=f"{len(rows):,} rows in {out}: {', '.join(files)}")
    for sample in rows:
        yield sample


def _refuse(rows: Sequence[Sample], formats: Sequence[Format]) -> None:
    """Raises DataError, before anything is written, for rows that the files could not hold."""
    if not rows:
        raise DataError(
            "write: there are no rows to write", "every sample was dropped before; see the drop reasons"
        )
    waiting = [row for row in rows if not row.answered]
    if waiting:
        first = waiting[0].instruction[:80]
        raise DataError(
            f"write: {len(waiting)} of {len(rows)} samples have no answer, the first is {first!r}",
            "put a step that answers them (`respond`) or drops them (`answered`) before `write`",
        )
    if "alpaca" in formats:
        for row in rows:
            alpaca.row(row)
