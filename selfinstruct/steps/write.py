"""`write`: samples become a folder that trainers and `datasets.load_dataset` read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from selfinstruct import card
from selfinstruct.errors import ConfigError, DataError
from selfinstruct.formats import BESIDE, WRITERS
from selfinstruct.formats.files import atomic, encodable
from selfinstruct.run import Place, Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, step

Format = Literal[
    "alpaca",
    "prompt_completion",
    "messages",
    "sharegpt",
    "kto",
    "sharegpt_kto",
    "preference",
    "sharegpt_preference",
    "parquet",
    "llamafactory",
    "axolotl",
]


def _check(place: Place, *, out: str, formats: Sequence[Format], **_: Any) -> None:
    folder = place.inside(out)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"write: {folder} is a file", "give `out` the name of a folder")
    if not set(formats) & set(WRITERS):
        what = "names no data" if formats else "is empty"
        raise ConfigError(f"write: `formats` {what}", f"name at least one of {', '.join(WRITERS)}")
    for trainer in (each for each in formats if each in BESIDE):
        known = BESIDE[trainer][0]
        if not set(formats) & set(known):
            raise ConfigError(
                f"write: {trainer} reads none of these formats", f"add one of {', '.join(known)}"
            )


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
    """Write a dataset folder: data files in the formats that are asked for, and a card (README.md).

    Equal samples give equal bytes. Each file appears whole or not at all. The samples pass through unchanged,
    but for one whose text no UTF-8 file can hold: it is dropped as "lone_surrogate".

    Args:
        out: the folder, inside the run's folder unless absolute.
        formats: the data files, such as alpaca, sharegpt or preference (parquet alone holds scores and meta), and what
            llamafactory or axolotl want to see beside them.
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
    files: dict[str, str] = {each: WRITERS[each].file for each in dict.fromkeys(formats) if each in WRITERS}
    for each, file in files.items():
        with atomic(folder / file) as opened:
            WRITERS[each].write(rows, opened)
    title = name or run.funnel().pipeline or ""
    beside: dict[str, bytes] = {}
    for each in dict.fromkeys(formats):
        if each in BESIDE:
            beside |= BESIDE[each][1](title, files, rows)
    for file, content in beside.items():
        with atomic(folder / file) as opened:
            opened.write(content)
    if card:
        text = _card(run.funnel(), rows, formats=tuple(files), name=name, license=license, language=language)
        with atomic(folder / "README.md") as opened:
            opened.write(text.encode("utf-8"))
    written = [*files.values(), *beside]
    run.note(files=written, rows=len(rows), headline=f"{len(rows):,} rows in {out}: {', '.join(written)}")
    for sample in rows:
        yield sample


def _refuse(rows: Sequence[Sample], formats: Sequence[Format]) -> None:
    """Raises DataError, before anything is written, for rows that the files could not hold."""
    if not rows:
        raise DataError(
            "write: there are no rows to write", "every sample was dropped before; see the drop reasons"
        )
    waiting = [row for row in rows if not row.answered and row.rejected is None]
    if waiting:
        first = waiting[0].instruction[:80]
        raise DataError(
            f"write: {len(waiting)} of {len(rows)} samples have no answer, the first is {first!r}",
            "put a step that answers them (`respond`) or drops them (`answered`) before `write`",
        )
    labelled = next((each for each in formats if each.endswith("kto")), None)
    if labelled and all(row.rejected is None for row in rows):
        raise DataError(
            f"write: no row has a losing answer, so that {labelled} would hold good ones alone",
            f"leave {labelled} out of `formats`, or put a step that makes pairs (`pairs`) before `write`",
        )
    for each in formats:
        faults = [] if each not in WRITERS else list(_faults(rows, WRITERS[each].fits))
        if faults:
            many = f"write: {len(faults)} of {len(rows)} samples do not fit into {each}, the first"
            raise DataError(f"{many}: {faults[0].message}", faults[0].hint)


def _faults(rows: Sequence[Sample], fits: Callable[[Sample], Any]) -> Iterator[DataError]:
    for row in rows:
        try:
            fits(row)
        except DataError as error:
            yield error
