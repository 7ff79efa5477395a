"""The plan: what a pipeline would do and cost, without sending anything; each figure with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from selfinstruct.funnel import Funnel, StepRow
from selfinstruct.outlook import Estimate, Measured, Outlook
from selfinstruct.pipeline import Pipeline
from selfinstruct.pricing import Price, cost
from selfinstruct.run import Place
from selfinstruct.store import FILE, Store
from selfinstruct.teachers import Usage


@dataclass(frozen=True)
class PlanRow:
    """One step. Costs in nano-dollars, None where a price is unknown; `ceiling_nano` is a bad case."""

    n: int
    name: str
    model: str
    estimate: Estimate
    expected_nano: int | None
    ceiling_nano: int | None


def plan(
    pipeline: Pipeline, place: Place, measured: Mapping[int, Measured] | None = None
) -> list[PlanRow]:
    """Estimate what every step has still to do at `place`. `measured` maps a step's place in the list to what it was
    seen to do, and beats all else; then comes what is on file in the run's folder, then what is assumed. A step that
    is done, and that nothing has changed for, has nothing left to do.
    """
    out = place.dir
    earlier: dict[int, tuple[StepRow, str]] = {}
    if (out / FILE).is_file():
        with Store.read(out) as store:
            marks = {record.n: record.fingerprint for record in store.steps()}
            earlier = {row.n: (row, marks[row.n]) for row in Funnel.of(store).steps if row.done}
    outlook = Outlook(place)
    rows = []
    for n, (each, mark) in enumerate(zip(pipeline.steps, pipeline.fingerprints(place), strict=True)):
        estimate = each.forecast(outlook)
        before, was = earlier.get(n, (None, ""))
        if before is not None and mark == was:
            estimate = Estimate(before.kept, estimate.row_tokens, source="done in the run here")
        elif before is not None and before.name == each.name:
            estimate = _measured(estimate, outlook.rows, before)
        rows.append(_priced(n, each.name, estimate, place))
        outlook = Outlook(place, estimate.rows, estimate.row_tokens or outlook.row_tokens)
    return rows


def _measured(estimate: Estimate, coming: int, before: StepRow) -> Estimate:
    """The estimate corrected by what the same step did in an earlier run of this folder."""
    if before.made:
        share = estimate.rows / before.kept if before.kept else 1.0
        rows = estimate.rows
    else:
        share = coming / before.came if before.came else 1.0
        rows = round(before.kept * share)
    if not before.calls and before.made:
        return estimate
    if not before.calls:
        return replace(estimate, rows=rows, source=f"kept {before.kept:,} of {before.came:,} in the run here")
    calls, written = round(before.calls * share), round(before.output_tokens * share)
    return replace(
        estimate,
        rows=rows,
        calls=calls,
        input_tokens=round(before.input_tokens * share),
        output_tokens=written,
        ceiling_calls=max(estimate.ceiling_calls, calls),
        ceiling_output=max(estimate.ceiling_output, written),
        source=f"measured in the run here: {before.calls:,} calls for {before.kept:,} rows",
    )


def _priced(n: int, name: str, estimate: Estimate, place: Place) -> PlanRow:
    if not estimate.calls:
        return PlanRow(n, name, "", estimate, 0, 0)
    role = place.role(estimate.role)
    each = estimate.input_tokens / estimate.calls
    return PlanRow(
        n,
        name,
        role.teacher.model,
        estimate,
        _cost(role.price, estimate.input_tokens, estimate.output_tokens),
        _cost(role.price, round(each * estimate.ceiling_calls), estimate.ceiling_output),
    )


def _cost(price: Price | None, read: int, written: int) -> int | None:
    return None if price is None else cost(Usage(read, written), price)
