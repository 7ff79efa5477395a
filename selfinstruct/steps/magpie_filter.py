"""magpie_filter: what Magpie's filtered sets keep (Xu et al. 2024)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from selfinstruct.errors import DataError
from selfinstruct.outlook import PASS, Estimate, Outlook, Range
from selfinstruct.run import Run
from selfinstruct.sample import Sample
from selfinstruct.step import Count, Samples, step

Quality = Literal["very poor", "poor", "average", "good", "excellent"]


def _forecast(outlook: Outlook, *, longest: int | None, **_: Any) -> Estimate:
    count = outlook.rows.count.times(PASS, 1, 1)
    if longest is not None:
        count = Range(
            min(count.low, longest),
            min(count.expected, longest),
            longest if count.ceiling is None else min(count.ceiling, longest),
        )
    return Estimate(replace(outlook.rows, count=count), source="low: half of them (assumption)")


@step(forecast=_forecast, filters=True)
async def magpie_filter(
    run: Run,
    samples: Samples,
    *,
    quality: tuple[Quality, ...] = ("good", "excellent"),
    longest: Count | None = None,
) -> Samples:
    """Keep what Magpie's filtered sets keep: good instructions, and of those the ones with the longest answers.

    An instruction that ends with a colon is dropped, too (data_filter.ipynb). The quality is what a `tag` step before
    it found. Near-duplicates are the `novelty` step's affair; the original's reward model has no part here. Of equally
    long answers the earlier row wins; rows keep their order.

    Args:
        quality: the qualities that are kept; an empty list asks for none
        longest: keep so many rows, those with the longest answers in characters
    """
    rows: list[Sample] = []
    async for sample in samples:
        found = sample.meta.get("quality")
        if quality and found is None:
            raise DataError(
                f"a row carries no quality: {sample.instruction[:60]!r}",
                "put a `tag` step before `magpie_filter`, or set quality: []",
            )
        if quality and found not in quality:
            run.drop(sample, "low_quality", rule="quality", value=found, threshold=list(quality))
        elif sample.prompt[-1].content.rstrip().endswith((":", "：")):
            run.drop(sample, "ends_with_colon")
        elif longest is None:
            yield sample
        elif not sample.answered:
            raise DataError(
                f"a row has no answer to measure: {sample.instruction[:60]!r}",
                "put a `respond` step before `magpie_filter`, or leave `longest` out",
            )
        else:
            rows.append(sample)
    if longest is None:
        return
    ranked = sorted(range(len(rows)), key=lambda place: (-len(rows[place].output), place))
    chosen = set(ranked[:longest])
    for place, row in enumerate(rows):
        if place in chosen:
            yield row
        else:
            run.drop(row, "not_longest", rule="longest", value=len(row.output), kept=len(chosen))
