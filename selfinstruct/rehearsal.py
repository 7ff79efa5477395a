"""The rehearsal: steps run again on the answers that are on file, to tell beforehand what a run would ask for.

Nothing is sent and nothing is written: rows stay in memory, drops are forgotten. A request without an answer is
counted, and the row that it stands for is left out. Steps that leave files behind or train are passed by.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, Literal

from selfinstruct import __version__
from selfinstruct.outlook import NONE, Outlook, Range, Rows
from selfinstruct.pipeline import Pipeline, about, finish
from selfinstruct.run import Item, Place, Result, Role, Run, Session
from selfinstruct.sample import Sample, digest
from selfinstruct.step import Step
from selfinstruct.store import FILE, Drop, Filed, StepRecord, Store
from selfinstruct.tally import Tally
from selfinstruct.teachers import Request

PATIENCE = 30.0  # seconds after which a rehearsal leaves the rest to estimates

State = Literal["done", "played", "passed", "ahead"]


class Unanswered(BaseException):
    """The answer is not on file and may not be asked for. No Exception: no step shall take it for its own trouble."""


class OutOfTime(BaseException):
    """The rehearsal has taken long enough."""


@dataclass
class Part:
    """What became of one step: `done` before and unchanged, `played`, `passed` by, or `ahead`: nobody can tell yet.

    Counts of rows are of those that came by: where `partial`, an earlier step left some out. `reused` answers are on
    file, `asks` are not, of which `sure` are asked for whatever the answers will be.
    """

    n: int
    name: str
    state: State = "ahead"
    partial: bool = False
    asking: bool = True  # steps of ours that foretell no calls make none
    came: int = 0
    made: int = 0
    kept: int = 0
    dropped: int = 0
    reused: int = 0
    asks: int = 0
    sure: int = 0

    @property
    def exact(self) -> bool:
        """Whether a run asks for just `asks`."""
        if self.state in ("done", "passed") or not self.asking:
            return True
        return self.state == "played" and not self.partial and self.sure == self.asks


class Trial(Session):
    """A session that sends nothing: a request whose answer is not on file is `missing`."""

    def __init__(self, place: Place, store: Store) -> None:
        super().__init__(place, store)
        self.missing: set[str] = set()
        self.memos: dict[str, Any] = {}
        self.played = False  # a step was: what it keeps and drops is not on file
        self._until = time.monotonic() + PATIENCE

    def look_at_the_clock(self) -> None:
        if time.monotonic() > self._until:
            raise OutOfTime

    async def answer(self, role: Role, request: Request, step: str) -> tuple[Filed, bool]:
        self.look_at_the_clock()
        if (filed := self.store.get(request.key)) is not None:
            return filed, False
        self.missing.add(request.key)
        raise Unanswered


class TrialRun(Run):
    """A run whose `map` leaves out what finds no answer, and ends the step after it."""

    def __init__(self, session: Trial, tally: Tally, occurrence: int) -> None:
        super().__init__(session, tally, occurrence)
        self._trial = session
        self.arriving: AsyncIterator[Sample] | None = None
        self.sure: int | None = (
            None  # what was surely asked for before answers were needed that are not there
        )

    async def map(
        self,
        function: Callable[[Item], Awaitable[Result]],
        items: Iterable[Item] | AsyncIterable[Item],
        *,
        window: int = 128,
    ) -> AsyncIterator[Result]:
        # what a step makes up as it goes may hang on the answers; a list, or the rows that came, do not
        steady = items is self.arriving or isinstance(items, Sequence)
        left_out = 0

        async def attempt(item: Item) -> tuple[Result] | None:
            nonlocal left_out
            try:
                return (await function(item),)
            except Unanswered:
                left_out += 1
                return None

        async with contextlib.aclosing(super().map(attempt, items, window=window)) as results:  # type: ignore[type-var]
            async for result in results:
                if result is not None:
                    yield result[0]
                elif self.sure is None and not steady:
                    await asyncio.sleep(0)  # what is in flight has begun
                    self.sure = len(self._trial.missing)
        if left_out:
            raise Unanswered

    def lost(self) -> Iterator[Drop]:
        self._on_file()
        return super().lost()

    def earlier(self) -> Iterator[Sample]:
        self._on_file()
        return super().earlier()

    def _on_file(self) -> None:
        """Ends the rehearsal where a step asks for what only a run would leave on file."""
        if self._trial.played:
            raise OutOfTime

    async def memo(self, key: Any, function: Callable[[], Awaitable[Any]]) -> Any:
        """As in a run, but what is not on file yet is forgotten afterwards."""
        name = digest([self._tally.name, key])
        found = self._trial.store.memo(name) or self._trial.memos.get(name)
        if found is None:
            found = self._trial.memos[name] = json.loads(json.dumps([await function()]))
        return found[0]


def _part(n: int, each: Step, place: Place) -> Part:
    calls = each.forecast(Outlook(place, Rows(Range.exactly(1_000), waiting=1.0))).calls
    return Part(n, each.name, asking=calls != NONE or bool(each.type.code))


async def perform(
    session: Trial, steps: Sequence[Step], n: int, rows: Iterable[Sample]
) -> tuple[Part, list[Sample]]:
    """Play step `n` on `rows`: what became of it, and the rows that it kept. Raises OutOfTime, or what it does."""
    each = steps[n]
    part = _part(n, each, session.place)
    if each.type.intact is not None and each.type.dry is None:
        part.state = "passed"
        kept = list(rows)
        part.came = part.kept = len(kept)
        return part, kept
    part.state = "played"
    tally = Tally(n, each.name)
    view = TrialRun(session, tally, sum(other.name == each.name for other in steps[:n]))
    session.missing = set()
    kept = []

    async def arriving() -> AsyncIterator[Sample]:
        for sample in rows:
            session.look_at_the_clock()
            tally.came += 1
            yield sample

    view.arriving = arriving()
    with contextlib.suppress(Unanswered):
        async with contextlib.aclosing(each.dry()(view, view.arriving)) as out:  # type: ignore[type-var]
            async for sample in out:
                kept.append(sample)
                view.dropped.clear()
    part.came, part.made, part.kept, part.dropped = tally.came, tally.made, len(kept), tally.drops.total()
    part.asks = len(session.missing)
    part.reused = tally.calls
    part.sure = part.asks if view.sure is None else view.sure
    session.played = True
    return part, kept


@dataclass(frozen=True)
class Rehearsal:
    """What a run would find on file and what it would ask for, step by step; `changes` says in words what is other
    than in the run on file.
    """

    parts: tuple[Part, ...]
    changes: tuple[str, ...] = ()

    @property
    def reused(self) -> int:
        return sum(part.reused for part in self.parts)

    @property
    def asks(self) -> int:
        return sum(part.asks for part in self.parts)

    @property
    def exact(self) -> bool:
        """Whether a run asks for just so many."""
        return all(part.exact or (part.state == "ahead" and not self.asks) for part in self.parts)


def rehearse(pipeline: Pipeline, place: Place) -> Rehearsal | None:
    """Rehearse a run of the pipeline in its folder.

    None where nothing is on file, or nothing has changed. Takes PATIENCE seconds at most: what it does not come to by
    then is `ahead`.
    """
    if not (place.dir / FILE).is_file():
        return None
    with Store.read(place.dir) as store:
        said = store.fact("pipeline") or {}
        if said.get("name", pipeline.name) != pipeline.name or not store.spent().calls:
            return None
        marks = pipeline.fingerprints(place)
        records = {record.n: record for record in store.steps()}
        if not any(n >= len(marks) or record.fingerprint != marks[n] for n, record in records.items()):
            return None
        parts = finish(_rehearse(pipeline, place, store, marks, records))
        return Rehearsal(tuple(parts), tuple(changes(pipeline, place, marks, records, said)))


async def _rehearse(
    pipeline: Pipeline,
    place: Place,
    store: Store,
    marks: Sequence[str],
    records: Mapping[int, StepRecord],
) -> list[Part]:
    session = Trial(place, store)
    parts = [_part(n, each, place) for n, each in enumerate(pipeline.steps)]
    rows: Iterable[Sample] = ()
    fresh = partial = False
    for n, each in enumerate(pipeline.steps):
        before = records.get(n)
        fresh = fresh or not (
            before is not None
            and before.done
            and before.fingerprint == marks[n]
            and each.intact(place, before.facts)
        )
        if not fresh:
            parts[n].state, parts[n].kept = "done", store.count(n)
            rows = store.samples(n)
            continue
        try:
            parts[n], rows = await perform(session, pipeline.steps, n, rows)
        except (OutOfTime, Exception):  # what a step raises here it raises in the run, where it is told
            break
        parts[n].partial = partial
        if partial:
            parts[n].sure = 0  # other rows will come
        partial = partial or parts[n].asks > 0
    return parts


def changes(
    pipeline: Pipeline,
    place: Place,
    marks: Sequence[str],
    records: Mapping[int, StepRecord],
    said: Mapping[str, Any],
) -> list[str]:
    """What is other than in the run on file, in words: first what all steps hang on, then step by step."""
    found = []
    now = about(pipeline, place)
    if said:
        if said["version"] != __version__:
            found.append(f"selfinstruct {said['version']} is now {__version__}")
        for name in sorted({*said.get("models", {}), *now["models"]}):
            if said.get("models", {}).get(name) != now["models"].get(name):
                found.append(f"{name} changed")
        if said.get("seed") != now["seed"]:
            found.append("seed changed")
        if said.get("prompts", now["prompts"]) != now["prompts"]:
            found.append("prompts changed")
    general = bool(found)
    for n, each in enumerate(pipeline.steps):
        before = records.get(n)
        if before is None:
            if records and n > max(records):
                break  # it had not come to these
            continue
        if before.name != each.name:
            found.append(f"step {n + 1} is now {each.name}")
            break
        options = [name for name, value in each.values.items() if before.options.get(name, value) != value]
        if options:
            found.append(f"{each.name}: {', '.join(options)} changed")
        elif before.fingerprint != marks[n] and not general:
            upstream = records[n - 1].fingerprint if n - 1 in records else None
            if upstream is None or each.fingerprint(upstream, place) != before.fingerprint:
                found.append(
                    f"{each.name}: {'its code' if each.type.code else 'a file that it reads'} changed"
                )
    if len(records) > len(pipeline.steps):
        found.append(f"{len(records) - len(pipeline.steps)} steps fewer")
    return found
