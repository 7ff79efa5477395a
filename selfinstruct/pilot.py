"""The pilot: a few requests of a run are paid for before the rest, to tell what all of it will cost.

Steps work on the rows that a run would give them, in memory, each with its share of the requests; nothing but the
answers is written, where the run then finds them.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from selfinstruct.budget import Caps
from selfinstruct.errors import SelfInstructError
from selfinstruct.outlook import Measured
from selfinstruct.pipeline import Pipeline, about, finish, same
from selfinstruct.plan import PlanRow, by_the_row, plan
from selfinstruct.run import Item, Place, Result, Role, Run, Session, streamed
from selfinstruct.sample import Sample
from selfinstruct.step import Step
from selfinstruct.store import Filed, Store
from selfinstruct.tally import Tally
from selfinstruct.teachers import Request

LEAST = 5  # requests of each step that asks, where there are enough
Z = 1.959964  # of the normal distribution: 95 % lie within so many standard deviations


class Spent(BaseException):
    """The pilot's requests are spent. No Exception: no step shall take it for its own trouble."""


@dataclass(frozen=True)
class Call:
    """One answer, or all answers of one row: what they took, in nano-dollars (None: no known price) and in tokens, and
    the rows kept that say it made them.
    """

    nano: int | None
    tokens: int
    kept: int


@dataclass(frozen=True)
class Trial:
    """What the pilot saw of one step. `grows`: it makes rows until there are as many as are wanted. Of other steps,
    `rows` is what each row took that came, and the rows that came of it, where rows can be told apart.
    """

    measured: Measured
    calls: tuple[Call, ...]
    grows: bool = False
    rows: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Pilot:
    """The plan as measured. `total`, `low` and `high` are of the whole pipeline, in nano-dollars or, where nothing
    has a price, in tokens (`unit`); None where a step could not be measured. `sent` requests were sent just now.
    """

    rows: tuple[PlanRow, ...]
    requests: int
    sent: int
    unit: str
    total: int | None
    low: int | None
    high: int | None


class _Session(Session):
    """Asks for `allowed` answers that are not on file, and sends `cap` requests in all, retries included."""

    allowed = 0
    cap = 0
    sent = 0

    async def answer(self, role: Role, request: Request, step: str) -> tuple[Filed, bool]:
        if request.key not in self._flying and self.store.get(request.key) is None:
            if self.allowed <= 0:
                raise Spent
            self.allowed -= 1
        return await super().answer(role, request, step)

    async def _send(self, *given: object) -> Filed:
        if self.sent >= self.cap:
            raise Spent
        self.sent += 1
        return await super()._send(*given)  # type: ignore[arg-type]


class _Run(Run):
    """A run whose `map` begins nothing new once an answer may not be asked for, and then ends the step."""

    async def map(
        self,
        function: Callable[[Item], Awaitable[Result]],
        items: Iterable[Item] | AsyncIterable[Item],
        *,
        window: int = 128,
    ) -> AsyncIterator[Result]:
        left_out = 0

        async def attempt(item: Item) -> tuple[Result] | None:
            nonlocal left_out
            try:
                return (await function(item),)
            except Spent:
                left_out += 1
                return None

        async def source() -> AsyncIterator[Item]:
            async for item in streamed(items):
                yield item
                if left_out:
                    return

        async with contextlib.aclosing(super().map(attempt, source(), window=window)) as results:  # type: ignore[type-var]
            whole = True
            async for result in results:  # to the end: what is in flight shall be filed
                whole = whole and result is not None
                if whole and result is not None:
                    yield result[0]
        if left_out:
            raise Spent


def pilot(pipeline: Pipeline, place: Place, requests: int) -> Pilot:
    """Pay for at most so many requests, retries included, and plan by what they brought.

    Answers that are on file are used and not paid for again, so that one that was interrupted goes on. Closes the
    teachers of `place`. Raises what a run raises: BudgetReached and Paused leave all that was answered on file.
    """
    before = plan(pipeline, place)
    coming = [row.estimate.rows.count.expected for row in before]
    each = {
        row.n: row.estimate.calls.expected / coming[row.n - 1]
        for row, step in zip(before, pipeline.steps, strict=True)
        if row.n and coming[row.n - 1] and row.estimate.calls.expected and by_the_row(step)
    }
    trials, sent = finish(_pilot(pipeline, place, shares(before, requests), each, requests))
    measured = {n: trial.measured for n, trial in trials.items()}
    rows = tuple(plan(pipeline, place, measured))
    return Pilot(rows, requests, sent, *interval(rows, trials))


def shares(rows: Sequence[PlanRow], requests: int) -> dict[int, int]:
    """How many of the requests each step gets: a few at least, and the more the dearer it is expected to be."""
    asking = [row for row in rows if row.estimate.calls.expected]
    if not asking:
        return {}
    least = min(LEAST, requests // len(asking))
    free = requests - least * len(asking)
    # the spread of a sum grows with what it is the sum of
    weigh = all(row.expected_nano for row in asking)
    weights = [(row.expected_nano or 0) if weigh else 1 for row in asking]
    found = {
        row.n: least + free * weight // sum(weights) for row, weight in zip(asking, weights, strict=True)
    }
    found[asking[0].n] += requests - sum(found.values())
    return found


async def _pilot(
    pipeline: Pipeline, place: Place, share: Mapping[int, int], each: Mapping[int, float], requests: int
) -> tuple[dict[int, Trial], int]:
    """The trials by step, and the requests sent. `share` is how many each step gets; `each` how many it takes a row."""
    trials: dict[int, Trial] = {}
    with Store.open(place.dir) as store:
        same(pipeline, store)
        store.set_fact("pipeline", about(pipeline, place))
        session = _Session.under(Caps.of(pipeline.budget), place, store)
        session.cap = requests
        rows: list[Sample] = []
        left = 0  # what a step had no use for, the next one gets
        most = max(1_000, 20 * requests)
        try:
            for n, step in enumerate(pipeline.steps[: max(share, default=-1) + 1]):
                if step.type.intact is not None and step.type.dry is None:
                    continue  # it leaves files or trains; the rows pass by
                session.allowed = share.get(n, 0) + left if n in share else 0
                some = None if n in share else most
                if n in each:
                    trial, rows = await _whole(session, pipeline.steps, n, rows, each[n], requests)
                else:
                    trial, rows, _ = await _perform(session, pipeline.steps, n, rows, some, requests)
                if n in share:
                    left = session.allowed
                if trial is not None and (n in share or step.type.forecast is None):
                    trials[n] = trial
        finally:
            await session.close()
            for part in place.roles.values():
                await part.teacher.close()
        return trials, session.sent


async def _whole(
    session: _Session, steps: Sequence[Step], n: int, rows: Sequence[Sample], each: float, requests: int
) -> tuple[Trial | None, list[Sample]]:
    """Have step `n`, which takes about `each` requests a row, work on as many rows as it comes to the end of. What is
    on file costs none, so it is given more as long as it has requests left. None: it came to the end of no row.
    """

    def more(so_far: int) -> int:
        """Rows to go on with: half of what the requests would do for, since some rows take more than others."""
        left = int(session.allowed / each)
        return min(len(rows), so_far + math.ceil(left / 2)) if left or not so_far else 0

    best: tuple[Trial | None, list[Sample]] = None, []
    most = min(len(rows), max(1, more(0)))
    while most:
        trial, kept, ended = await _perform(session, steps, n, rows[:most], None, requests)
        if not ended:
            most = 0 if best[0] is not None else most // 2
            continue
        best = trial, kept
        most = more(most) if most < len(rows) else 0
    if best[0] is None:
        return best
    apart = await _apart(session, steps, n, rows[: best[0].measured.came], requests)
    if sum(len(trial.calls) for trial in apart) != len(best[0].calls):
        return best
    alone = tuple(
        Call(
            sum(call.nano or 0 for call in trial.calls),
            sum(call.tokens for call in trial.calls),
            trial.measured.kept,
        )
        for trial in apart
    )
    return replace(best[0], rows=alone), best[1]


async def _apart(
    session: _Session, steps: Sequence[Step], n: int, rows: Sequence[Sample], requests: int
) -> list[Trial]:
    """What the step did for each of the rows, from the answers on file; nothing where rows hang together."""
    found, allowed, session.allowed = [], session.allowed, 0
    try:
        for row in rows:
            trial, _, ended = await _perform(session, steps, n, [row], None, requests)
            if not ended:
                return []
            found.append(trial)
    except SelfInstructError:  # a step that gets nothing out of a row alone
        return []
    finally:
        session.allowed = allowed
    return found


async def _perform(
    session: _Session, steps: Sequence[Step], n: int, rows: Sequence[Sample], most: int | None, requests: int
) -> tuple[Trial, list[Sample], bool]:
    """Have step `n` work on the rows; it keeps `most` at most. The flag says that it came to the end of all."""
    each = steps[n]
    tally = Tally(n, each.name)
    view = _Run(session, tally, sum(other.name == each.name for other in steps[:n]))
    kept: list[Sample] = []
    brought: Counter[str] = Counter()

    async def arriving() -> AsyncIterator[Sample]:
        for sample in rows:
            tally.came += 1
            yield sample

    ended = False
    with contextlib.suppress(Spent):
        async with contextlib.aclosing(each.dry()(view, arriving())) as out:  # type: ignore[type-var]
            async for sample in out:
                kept.append(sample)
                view.dropped.clear()
                origin = sample.meta.get("requests")
                found = origin.get(each.name) if isinstance(origin, Mapping) else None
                if found:  # of several requests, the last one finished the row
                    brought[str(found[-1] if isinstance(found, list) else found)] += 1
                if len(kept) == most:
                    break
        ended = True
    calls, seconds = [], 0.0
    for key in view.uses:
        filed = session.store.get(key)
        assert filed is not None
        usage = filed.completion.usage
        calls.append(Call(filed.cost_nano, usage.input_tokens + usage.output_tokens, brought[key]))
        seconds += filed.seconds
    decided = tally.came if tally.made else len(kept) + tally.drops.total()
    source = f"pilot of {requests}: {len(calls)} calls for {len(kept):,} rows"
    if not calls:
        source = f"pilot of {requests}: kept {len(kept):,} of {decided:,}"
    measured = Measured(
        source,
        len(calls),
        decided,
        tally.made,
        len(kept),
        tally.input_tokens,
        tally.output_tokens,
        seconds,
    )
    grows = tally.made > 0 and not by_the_row(each)
    return Trial(measured, tuple(calls), grows), kept, ended


def interval(
    rows: Sequence[PlanRow], trials: Mapping[int, Trial]
) -> tuple[str, int | None, int | None, int | None]:
    """Unit, total, and the bounds of what all of it takes with a probability of 95 %, by what the pilot saw of each
    step: the spread of its calls, of the rows that a call brings, and of the share of rows that a step lets pass.
    The answers of the pilot are part of the whole, and no longer uncertain.
    """
    asking = [row for row in rows if row.estimate.calls.expected]
    dollars = all(row.priced for row in asking) and any(row.expected_nano for row in asking)
    unit = "nano" if dollars else "tokens"
    amounts = {
        row.n: float(
            (row.expected_nano or 0)
            if dollars
            else row.estimate.input_tokens.expected + row.estimate.output_tokens.expected
        )
        for row in asking
    }
    total = sum(amounts.values())
    parts: list[tuple[float, float]] = []  # variance, degrees of freedom
    for row in rows:
        trial = trials.get(row.n)
        if row.n in amounts:
            few = trial is None or len(trial.calls) < 2 or (not trial.grows and trial.measured.came < 2)
            if trial is None or few:
                return unit, round(total), None, None
            spread, freedom = _spread(trial, dollars)
            known = min(1.0, len(trial.calls) / row.estimate.calls.expected)
            parts.append(((amounts[row.n] * spread) ** 2 * (1 - known), freedom))
        if trial is not None and not trial.grows and trial.measured.came:
            after = 0.0
            for later in rows[row.n + 1 :]:
                if later.n in trials and trials[later.n].grows:
                    break  # it makes as many as are wanted
                after += amounts.get(later.n, 0.0)
            parts.append((after**2 * _passing(trial), max(1.0, trial.measured.came - 1)))
    variance = sum(part for part, _ in parts)
    if not variance:
        return unit, round(total), round(total), round(total)
    freedom = variance**2 / sum(part**2 / free for part, free in parts)
    half = student(freedom) * math.sqrt(variance)
    return unit, round(total), max(0, round(total - half)), round(total + half)


def _passing(trial: Trial) -> float:
    """The variance of the rows that come of one that came, as a share of their square."""
    kept, came = trial.measured.kept, trial.measured.came
    if kept > came:
        share = 1 / kept  # as of things that are counted
    else:
        passing = (kept + 1) / (came + 2)
        share = (1 - passing) / passing / (came + 3)
    if len(trial.rows) < 2 or not kept:
        return share
    mean = kept / len(trial.rows)
    rest = sum((row.kept - mean) ** 2 for row in trial.rows)
    return max(share, rest / (len(trial.rows) - 1) / len(trial.rows) / mean**2)


def _spread(trial: Trial, dollars: bool) -> tuple[float, float]:
    """The standard error of what a row takes as a share of it, and the degrees of freedom: by the rows that came, by
    the rows that a call brought where the step grows a pool, else by the calls.
    """
    parts = trial.rows or trial.calls
    costs = [float((part.nano or 0) if dollars else part.tokens) for part in parts]
    many = len(costs)
    brought = [float(part.kept) for part in parts]
    if not trial.grows or not sum(brought):
        brought = [1.0] * many
    ratio = sum(costs) / sum(brought)
    if not ratio:
        return 0.0, many - 1
    rest = sum((took - ratio * got) ** 2 for took, got in zip(costs, brought, strict=True))
    return math.sqrt(rest / (many - 1) / many) / (sum(brought) / many) / ratio, many - 1


def student(freedom: float) -> float:
    """The 97.5 % quantile of Student's t, by Cornish and Fisher's expansion (within 1 % from 3 degrees on)."""
    if freedom < 2:
        return 12.71
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + first / freedom + second / freedom**2 + third / freedom**3
