"""`mix`: how much of each source goes into the set, and in which order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import Field

from selfinstruct.errors import ConfigError, DataError, nearest
from selfinstruct.outlook import PASS, Estimate, Outlook, Range
from selfinstruct.run import Place, Run
from selfinstruct.sample import Sample
from selfinstruct.step import Count, Samples, step

Quota = Annotated[float, Field(ge=0, le=1)] | Annotated[int, Field(ge=0)]
SHOWN = 8  # groups that the screen names
NONE = "(none)"  # the group of the rows that name none


def _check(
    place: Place,
    *,
    quotas: Mapping[str, Quota] | None,
    total: int | None,
    cap: int | None,
    temperature: float,
    order: str,
    **_: Any,
) -> None:
    rates = total is not None or cap is not None or temperature != 1
    if quotas and rates:
        raise ConfigError(
            "mix: `quotas` say how many rows each group gives, so `total`, `cap` and `temperature` have no say",
            "use either; for both, put two `mix` steps in a row",
        )
    if not quotas and not rates and order == "kept":
        raise ConfigError("mix: nothing says what to mix", "set `quotas`, or `total`, `cap` or `temperature`")


def _forecast(
    outlook: Outlook, *, quotas: Mapping[str, Quota] | None, total: int | None, cap: int | None, **_: Any
) -> Estimate:
    came = outlook.rows.count
    if total is not None:
        most = total if came.ceiling is None else min(total, came.ceiling)
        count = Range(min(total, came.low), min(total, came.expected), most)
        return Estimate(replace(outlook.rows, count=count), source="so many are taken, where as many come")
    if quotas or cap is not None:
        text = "all rows are taken; low: half of them, since the groups are not known (assumption)"
        return Estimate(replace(outlook.rows, count=came.times(PASS, 1, 1)), source=text)
    return Estimate(outlook.rows)


@step(check=_check, forecast=_forecast)
async def mix(
    run: Run,
    samples: Samples,
    *,
    per: str = "source",
    quotas: dict[str, Quota] | None = None,
    total: Count | None = None,
    cap: Count | None = None,
    temperature: Annotated[float, Field(ge=1)] = 1.0,
    order: Literal["shuffled", "kept"] = "shuffled",
) -> Samples:
    """Take so much of each group, at random, and shuffle: several `read` steps become one set.

    With `quotas`, groups that none is set for are kept whole. Else groups are mixed in proportion to their size (T5,
    Raffel et al. 2020, 3.5.2; FLAN, Wei et al. 2022): a group of m rows weighs min(m, cap)^(1 / temperature). No row
    is taken twice: what a small group can't give is left to the others. The rows that are left out are dropped as
    "quota". A lower quota takes some of the same rows.

    Args:
        per: the key of `meta` whose values are the groups, such as source or category.
        quotas: for each group, how many rows (a whole number) or which share of its rows (0.5 is half).
        total: how many rows in all; without it, as many as the proportions allow, at most `cap` of a group.
        cap: the size at which a group stops to weigh more (examples-proportional mixing).
        temperature: 1 mixes by size; higher values draw the weights of large and small groups together.
        order: shuffled, or kept as the rows came.
    """
    rows = [sample async for sample in samples]
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(_group(row, per), []).append(place)
    if rows and groups.keys() == {NONE}:
        known = sorted({key for row in rows for key in row.meta})
        raise DataError(f"no row has `{per}` in its meta", f"`per`: {nearest(per, known)}")
    sizes = {group: len(places) for group, places in groups.items()}
    wanted = _quotas(sizes, quotas or {})
    if quotas is None and (total is not None or cap is not None or temperature != 1):
        wanted = _proportional(sizes, total=total, cap=cap, temperature=temperature)
    taken: list[int] = []
    for group, places in groups.items():
        chosen = run.rng("rows", group).sample(places, len(places))[: wanted[group]]
        taken += chosen
        for place in sorted(set(places) - set(chosen)):
            run.drop(rows[place], "quota", rule=per, value=group, threshold=wanted[group], of=len(places))
    taken.sort()
    if order == "shuffled":
        run.rng("order").shuffle(taken)
    came = {group: [min(wanted[group], size), size] for group, size in sizes.items()}
    run.note(groups=came, headline=_headline(came))
    for place in taken:
        yield rows[place]


def _headline(groups: Mapping[str, Sequence[int]]) -> str:
    shown = [f"{group} {taken:,} of {size:,}" for group, (taken, size) in islice(groups.items(), SHOWN)]
    more = len(groups) - len(shown)
    return ", ".join([*shown, f"and {more:,} more"] if more else shown)


def _group(row: Sample, per: str) -> str:
    value = row.meta.get(per)
    return NONE if value is None else str(value)


def _quotas(sizes: Mapping[str, int], quotas: Mapping[str, Quota]) -> dict[str, int]:
    """Rows that each group is to give; one without a quota gives all that it has."""
    for group in quotas:
        if sizes and group not in sizes:
            raise DataError(f"there is a quota for `{group}`, and no row of it", nearest(group, sizes))
    given = {group: quotas.get(group, size) for group, size in sizes.items()}
    return {
        group: quota if isinstance(quota, int) else math.floor(round(sizes[group] * quota, 6))
        for group, quota in given.items()
    }


def _proportional(
    sizes: Mapping[str, int], *, total: int | None, cap: int | None, temperature: float
) -> dict[str, int]:
    """Rows of each group, in proportion to the groups' weights, none above what a group has."""
    counted = {group: size if cap is None else min(size, cap) for group, size in sizes.items()}
    weights = {group: size ** (1 / temperature) for group, size in counted.items()}
    if total is None:  # the most at which no group has to give more than it counts for
        scale = min((counted[group] / weight for group, weight in weights.items()), default=0.0)
        return {group: math.floor(round(scale * weight, 6)) for group, weight in weights.items()}
    left, given = min(total, sum(sizes.values())), dict.fromkeys(sizes, 0)
    open_groups = list(sizes)
    while open_groups:
        whole = sum(weights[group] for group in open_groups)
        full = [group for group in open_groups if left * weights[group] / whole >= sizes[group]]
        if not full:
            return given | _shared(left, {group: weights[group] for group in open_groups})
        for group in full:
            given[group] = sizes[group]
            left -= sizes[group]
            open_groups.remove(group)
    return given


def _shared(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers in proportion to the weights that add up to `total`: the largest remainders are rounded up, of
    equal ones the earlier."""
    whole = sum(weights.values())
    exact = {group: total * weight / whole for group, weight in weights.items()}
    shares = {group: math.floor(share) for group, share in exact.items()}
    order: Sequence[str] = sorted(exact, key=lambda group: shares[group] - exact[group])
    for group in order[: total - sum(shares.values())]:
        shares[group] += 1
    return shares
