"""select: the best rows by a score."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.outlook import Estimate, Outlook, Range
from selfinstruct.run import Place, Run
from selfinstruct.sample import Sample
from selfinstruct.step import Count, Samples, step


def _check(place: Place, *, k: int | None, top: float | None, at_least: float | None, **_: Any) -> None:
    if k is None and top is None and at_least is None:
        raise ConfigError(
            "nothing says how many rows to select", "set k (rows), top (a share) or at_least (a score)"
        )


def _forecast(outlook: Outlook, *, k: int | None, top: float | None, **_: Any) -> Estimate:
    came = outlook.rows.count
    kept = Range(
        _most(came.low, k, top),
        _most(came.expected, k, top),
        k if came.ceiling is None else _most(came.ceiling, k, top),
    )
    return Estimate(replace(outlook.rows, count=kept), source="so many are taken, where as many come")


def _most(rows: int, k: int | None, top: float | None) -> int:
    share = rows if top is None else math.floor(round(rows * top, 6))  # 100 x 0.29 is 28.999999999999996
    return share if k is None else min(k, share)


@step(check=_check, forecast=_forecast)
async def select(
    run: Run,
    samples: Samples,
    *,
    by: str = "accuracy",
    k: Count | None = None,
    top: Annotated[float, Field(gt=0, le=1)] | None = None,
    at_least: float | None = None,
    per: str | None = None,
) -> Samples:
    """Keep the rows that score best, in the order in which they came.

    Equal scores are decided by order: the earlier row wins. With `per`, each group gives its best in turn until `k` is
    reached, so that no group crowds out the others.

    Args:
        by: the score to select by, such as the judge's aspect
        k: how many rows at most
        top: the share of rows at most, from 0 to 1
        at_least: the lowest score that may be kept
        per: a key of `meta` (source, family...); rows are then drawn from its groups in turn
    """
    rows = [sample async for sample in samples]
    missing = sum(by not in sample.scores for sample in rows)
    if missing:
        raise DataError(
            f"{missing} of {len(rows)} rows carry no score `{by}`",
            f"put a `judge` step with aspect: {by} before it",
        )
    good = [place for place, row in enumerate(rows) if at_least is None or row.scores[by] >= at_least]
    ranked = sorted(good, key=lambda place: (-rows[place].scores[by], place))
    chosen = set(_in_turn(ranked, rows, per)[: _most(len(rows), k, top)])
    for place, row in enumerate(rows):
        if place in chosen:
            yield row
        elif at_least is not None and row.scores[by] < at_least:
            run.drop(row, "below_min", rule=by, value=row.scores[by], threshold=at_least)
        else:
            run.drop(row, "not_selected", rule=by, value=row.scores[by], kept=len(chosen))


def _in_turn(ranked: list[int], rows: list[Sample], per: str | None) -> list[int]:
    """Ranked places, reordered so that every group's best comes before any group's second."""
    if per is None:
        return ranked
    seen: dict[str, int] = defaultdict(int)
    turn: dict[int, int] = {}
    for place in ranked:
        group = str(rows[place].meta.get(per))
        turn[place] = seen[group]
        seen[group] += 1
    return sorted(ranked, key=lambda place: turn[place])  # stable: inside a turn the ranking stands
