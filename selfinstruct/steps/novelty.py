"""novelty: keep a row only when its instruction is new, by exact ROUGE-L."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from selfinstruct import formats
from selfinstruct.errors import ConfigError
from selfinstruct.formats.files import atomic
from selfinstruct.novelty import NoveltyIndex, clusters
from selfinstruct.novelty import report as pages
from selfinstruct.run import Place, Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, step

Field = Literal["instruction", "prompt"]
BLOCK = 512  # rows compared at a time


def _check(place: Place, *, threshold: float, against: Sequence[str], report: str | None, **_: Any) -> None:
    NoveltyIndex(threshold)
    for path in against:
        item = next(formats.read(place.path(path)))[1]
        if isinstance(item, formats.Fault):
            raise item.error()
    if report is not None and (not report or Path(report).name != report or report.startswith(".")):
        raise ConfigError(
            f"novelty: `report` is {report!r}", "give a plain name, such as near_duplicates, without folders"
        )


def _sees(place: Place, *, against: Sequence[str], **_: Any) -> list[str]:
    return [formats.content_digest(place.path(path)) for path in against]


def _intact(place: Place, facts: Mapping[str, Any], **_: Any) -> bool:
    return all((place.dir / file).is_file() for file in facts.get("files", ()))


@step(check=_check, sees=_sees, intact=_intact, dry={"report": None}, filters=True)
async def novelty(
    run: Run,
    samples: Samples,
    *,
    threshold: float = 0.7,
    strict: bool = True,
    tokens: Literal["words", "rouge"] = "words",
    field: Field = "instruction",
    against: tuple[str, ...] = (),
    report: str | None = None,
) -> Samples:
    """Keep a row only when its ROUGE-L to every reference and every row kept before it is not above the threshold.

    The decisions are those of Google's rouge_score, exactly (Self-Instruct, section 2.2, and Alpaca). A row that is
    dropped names what it resembles most: a row kept before it (not_novel), or a row of a file in `against`
    (in_reference), by file name and place.

    Args:
        threshold: the highest ROUGE-L F that is still new
        strict: drop above the threshold, as the originals do; false drops at the threshold, too
        tokens: words (any language, C++ and C# apart) or rouge (exactly rouge_score's, blind to non-Latin scripts)
        field: what is compared: the instruction, or the prompt with its input
        against: files that no row may resemble, in any format that `read` takes: the last release, evaluation sets
        report: also write all groups of rows that resemble one another to NAME.md and NAME.jsonl in the run's folder
    """
    index = NoveltyIndex(threshold, strict=strict, tokens=tokens)
    references = _references(run, against, field)
    index.extend(references.values(), references.keys())
    blind = index.tokenless
    texts: list[str] = []  # for the report: of all rows, with their ids and what became of them
    ids: list[str] = []
    fates: list[str] = []
    seen = 0
    async for block in _blocks(samples):
        compared = [_compared(row, field) for row in block]
        for sample, match in zip(block, index.add_all(compared, [row.id for row in block]), strict=True):
            if report is not None:
                fates.append("kept" if match is None else "dropped")
            if match is None:
                yield sample
                continue
            reason = "in_reference" if match.id in references else "not_novel"
            run.drop(sample, reason, **match.detail(threshold))
        if report is not None:
            texts += compared
            ids += [row.id for row in block]
        seen += len(block)
        run.progress(seen)
    tokenless = index.tokenless - blind
    run.note(threshold=threshold, tokens=tokens, tokenless=tokenless)
    if against:
        run.note(references=len(references), against=[run.path(path).name for path in against])
    if tokens == "rouge" and tokenless > 0.01 * seen:
        run.note(
            warning=f"rouge tokens see nothing in {tokenless} of {seen} rows (no a-z, 0-9): use tokens: words"
        )
    if report is not None:
        total = len(references) + seen
        found = clusters(
            [*references.values(), *texts],
            threshold,
            ids=[*references.keys(), *ids],
            strict=strict,
            tokens=tokens,
            progress=lambda done: run.progress(done, total, "looking for groups"),
        )
        # a group of references alone says nothing about the rows
        found = [cluster for cluster in found if cluster.places[-1] >= len(references)]
        marks = [*references.keys(), *fates]
        grouped = sum(place >= len(references) for cluster in found for place in cluster.places)
        sign = "above" if strict else "at or above"
        intro = (
            f"{grouped:,} of {seen:,} rows are in {len(found):,} groups: each is tied to another of its group by a "
            f"ROUGE-L {sign} {threshold:g} over {tokens}. The score is that with an earlier text of the group. "
            f"`{report}.jsonl` has all of it."
        )
        _write(run.dir / f"{report}.md", [pages.page(found, marks, intro)])
        _write(run.dir / f"{report}.jsonl", pages.lines(found, marks))
        run.note(files=[f"{report}.md", f"{report}.jsonl"], groups=len(found), grouped=grouped)


def _references(run: Run, against: Sequence[str], field: Field) -> dict[str, str]:
    """What is compared of each row of the files, by file name and place."""
    found: dict[str, str] = {}
    for path in dict.fromkeys(against):
        file = run.path(path)
        for place, item in formats.read(file):
            if isinstance(item, formats.Fault):
                raise item.error()
            name = f"{file.name}: {place}"
            if name in found:  # two files of one name
                name = f"{path}: {place}"
            found[name] = _compared(item, field)
    return found


def _compared(row: Sample, field: Field) -> str:
    return row.instruction if field == "instruction" else row.prompt[-1].content


async def _blocks(samples: Samples) -> AsyncIterator[list[Sample]]:
    """The samples by the block: compared in bulk they cost a seventh, and the decisions are the same."""
    block: list[Sample] = []
    async for sample in samples:
        block.append(sample)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


def _write(path: Path, parts: Iterable[str]) -> None:
    with atomic(path) as file:
        for part in parts:
            file.write(part.encode("utf-8"))
