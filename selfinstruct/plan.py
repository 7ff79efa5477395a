"""The plan: what a pipeline would do and cost, without sending anything; each figure with its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from selfinstruct.funnel import Funnel, StepRow
from selfinstruct.outlook import NONE, SHORT, Estimate, Measured, Outlook, Range, Rows
from selfinstruct.pipeline import Pipeline
from selfinstruct.pricing import Price, cost, worst
from selfinstruct.priors import key
from selfinstruct.run import ATTEMPTS, Place, Role
from selfinstruct.step import Step
from selfinstruct.store import FILE, Store
from selfinstruct.teachers import Usage

LATENCY = 0.5  # seconds until an answer begins, and
PACE = 80  # tokens a second from then on (assumptions, where no answer was timed)
OURS = 0.0003  # seconds of this program's own work for an answer, measured: docs/performance.md
ROW_BYTES = (
    900  # of one row of Alpaca's size in a run's file, measured: docs/performance.md, "Cleaning a set"
)


@dataclass(frozen=True)
class PlanRow:
    """One step. Costs in nano-dollars: all None where the price is unknown (`priced` is False), the ceiling alone None
    where nothing bounds it. The ceiling has every call paid for as often as it is tried. `seconds` and `bytes` are what
    is expected of the clock and of the disk; `timing` says what the first rests on.
    """

    n: int
    name: str
    model: str
    estimate: Estimate
    low_nano: int | None
    expected_nano: int | None
    ceiling_nano: int | None
    priced: bool = True
    price: str = ""
    seconds: float = 0.0
    timing: str = ""
    bytes: int = 0

    @property
    def asks(self) -> bool:
        """Whether there is anything that it may ask."""
        return self.estimate.calls != NONE

    @property
    def input_tokens(self) -> Range:
        """With a ceiling at which every call is tried as often as it may be."""
        return self.estimate.input_tokens.times(1, 1, ATTEMPTS)

    @property
    def output_tokens(self) -> Range:
        return self.estimate.output_tokens.times(1, 1, ATTEMPTS)


def plan(
    pipeline: Pipeline,
    place: Place,
    measured: Mapping[int, Measured] | None = None,
    prior: Mapping[str, Measured] | None = None,
) -> list[PlanRow]:
    """Estimate what every step has still to do at `place`. `measured` maps a step's place in the list to what it was
    seen to do, and beats all else; then comes what is on file in the run's folder, then what earlier runs came to
    (`prior`, as priors.load gives it), then what is assumed. A step that is done, and that nothing has changed for,
    has nothing left to do.
    """
    out = place.dir
    earlier: dict[int, tuple[StepRow, str, float]] = {}
    if (out / FILE).is_file():
        with Store.read(out) as store:
            marks = {record.n: record.fingerprint for record in store.steps()}
            earlier = {
                row.n: (row, marks[row.n], store.latency(row.n)) for row in Funnel.of(store).steps if row.done
            }
    outlook = Outlook(place)
    rows = []
    for n, (each, mark) in enumerate(zip(pipeline.steps, pipeline.fingerprints(place), strict=True)):
        estimate = each.forecast(outlook)
        before, was, latency = earlier.get(n, (None, "", 0.0))
        found = (measured or {}).get(n)
        if found is None and before is not None and before.name == each.name:
            found = seen(before, latency)
        if found is None and prior and estimate.calls != NONE:
            found = prior.get(key(each, place, estimate.role))
            if (
                found is not None and not found.made
            ):  # how long the rows are is known better from those that come now
                each_input = estimate.input_tokens.expected / max(estimate.calls.expected, 1)
                found = replace(found, input_tokens=round(each_input * found.calls))
        if before is not None and mark == was:
            kept = replace(estimate.rows, count=Range.exactly(before.kept))
            estimate = Estimate(kept, source="done in the run here")
            found = None
        elif found is not None:
            made = found.made > 0 and not (by_the_row(each) and found.calls and found.came)
            estimate = _corrected(estimate, outlook.rows, found, made=made)
        rows.append(_priced(n, each.name, estimate, place, found))
        outlook = Outlook(place, estimate.rows)
    return rows


def fact(rows: Sequence[PlanRow], marks: Sequence[str], before: Any = None) -> list[dict[str, Any]]:
    """The plan as a JSON value for the run's file. `marks` are the steps' fingerprints; `before` is what was kept at an
    earlier start: where a step is still the same, the plan that it began with stands.
    """
    kept = {(row["name"], row["mark"]): row for row in before or ()}
    return [
        kept.get((row.name, mark))
        or {
            "name": row.name,
            "mark": mark,
            "rows": row.estimate.rows.count.expected,
            "calls": row.estimate.calls.expected,
            "tokens": row.estimate.input_tokens.expected + row.estimate.output_tokens.expected,
            "cost": row.expected_nano,
        }
        for row, mark in zip(rows, marks, strict=True)
    ]


def seen(row: StepRow, seconds: float) -> Measured:
    """What a step of a run is on record to have done; `seconds` is the sum of its answers' latencies."""
    source = f"kept {row.kept:,} of {row.came:,} in the run here"
    if row.calls:
        source = f"measured in the run here: {row.calls:,} calls for {row.kept:,} rows"
    return Measured(
        source, row.calls, row.came, row.made, row.kept, row.input_tokens, row.output_tokens, seconds
    )


def by_the_row(each: Step) -> bool:
    """Whether it asks so often for each row that comes, and not until it has made the `n` that are wanted."""
    return "n" not in each.values


def _corrected(estimate: Estimate, coming: Rows, found: Measured, *, made: bool) -> Estimate:
    """The estimate with what was seen in the place of what was assumed; the ceilings stay. `made`: it makes rows until
    it has as many as are wanted.
    """
    if made:
        share = estimate.rows.count.expected / found.kept if found.kept else 1.0
        rows = estimate.rows
    else:
        share = coming.count.expected / found.came if found.came else 1.0
        rows = replace(estimate.rows, count=_around(round(found.kept * share), estimate.rows.count))
    if not found.calls:
        return estimate if made else replace(estimate, rows=rows, source=found.source)
    return replace(
        estimate,
        rows=rows,
        calls=_around(round(found.calls * share), estimate.calls),
        input_tokens=_around(round(found.input_tokens * share), estimate.input_tokens, SHORT),
        output_tokens=_around(round(found.output_tokens * share), estimate.output_tokens, SHORT),
        source=found.source,
    )


def _around(expected: int, assumed: Range, short: float = 1.0) -> Range:
    """What is expected now; the good case is never above `short` of it, and the ceiling never below it."""
    ceiling = None if assumed.ceiling is None else max(assumed.ceiling, expected)
    return Range(min(assumed.low, round(expected * short)), expected, ceiling)


def _priced(n: int, name: str, estimate: Estimate, place: Place, found: Measured | None) -> PlanRow:
    room = estimate.rows.count.expected * ROW_BYTES
    if estimate.calls == NONE:
        return PlanRow(n, name, "", estimate, 0, 0, 0, bytes=room)
    role = place.role(estimate.role)
    price, read, written = role.price, estimate.input_tokens, estimate.output_tokens
    seconds, timing = _time(role, estimate, found)
    row = PlanRow(
        n,
        name,
        role.teacher.model,
        estimate,
        None,
        None,
        None,
        priced=price is not None,
        seconds=seconds,
        timing=timing,
        bytes=room + (read.expected + written.expected) * 5 + estimate.calls.expected * ROW_BYTES,
    )
    if price is None:
        return row
    return replace(
        row,
        low_nano=cost(Usage(read.low, written.low), _base(price)),
        expected_nano=cost(Usage(read.expected, written.expected), _base(price)),
        ceiling_nano=_most(price, read.ceiling, written.ceiling),
        price=price.version,
    )


def _base(price: Price) -> Price:
    """The price of requests of ordinary length: totals over many must not pass for one long request."""
    return replace(price, above=0, long=None)


def _most(price: Price, read: int | None, written: int | None) -> int | None:
    """The dearest that so many tokens can be, each call tried as often as it may be; None where nothing bounds them."""
    tiers = [_base(tier) for tier in (price, price.long) if tier is not None]
    if not any(worst(1, 1, tier) for tier in tiers):
        return 0
    if read is None or written is None:
        return None
    return max(worst(read, written, tier) for tier in tiers) * ATTEMPTS


def _time(role: Role, estimate: Estimate, found: Measured | None) -> tuple[float, str]:
    """Seconds that the calls are expected to take, and what that rests on: the slowest of requests and tokens a minute
    and the answers in flight.
    """
    calls = estimate.calls.expected
    if role.teacher.model.partition("/")[0] == "offline":
        each, timing = 0.0, "answers at once"
    elif found is not None and found.calls and found.seconds:
        each = found.seconds / found.calls
        timing = f"{each:.2g} s an answer, measured"
    else:
        each = LATENCY + estimate.output_tokens.expected / max(calls, 1) / PACE
        timing = f"{each:.2g} s an answer ({LATENCY:g} s and {PACE} tokens a second, assumption)"
    limits = role.limits
    slowest = {f"{timing}, {limits.ceiling} in flight": calls * max(each / limits.ceiling, OURS)}
    if limits.rpm:
        slowest[f"{limits.rpm:,} requests a minute"] = calls * 60 / limits.rpm
    if limits.tpm:
        used = estimate.input_tokens.expected + estimate.output_tokens.expected
        slowest[f"{limits.tpm:,} tokens a minute"] = used * 60 / limits.tpm
    timing = max(slowest, key=lambda name: slowest[name])
    return slowest[timing], timing


def price_of(rows: Sequence[PlanRow], calls: Mapping[int, int]) -> int | None:
    """What so many calls of the steps cost, in nano-dollars, at what a call of them is expected to; None: unpriced."""
    total = 0
    for row in rows:
        if (asked := calls.get(row.n, 0)) and row.estimate.calls.expected:
            if row.expected_nano is None:
                return None
            total += round(row.expected_nano / row.estimate.calls.expected * asked)
    return total
