"""How a pool grows: what the calls brought, whether more of them are worth it, and which seed tasks come next."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from selfinstruct.budget import NANO
from selfinstruct.coverage import Coverage, sparse
from selfinstruct.errors import ConfigError
from selfinstruct.novelty import Match, NoveltyIndex
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Sample
from selfinstruct.teachers import Completion

Sampling = Literal["uniform", "sparse"]
Rate = Annotated[float, Field(gt=0, le=1)]
Dollars = Annotated[float, Field(gt=0)]

SPAN = 50  # calls that the stop rules look back on
_STRETCHES = 10  # that the growth of a pool is told in, at most


def check(place: Place, max_cost_per_kept: float | None, by: RoleName = "teacher") -> None:
    """Raises ConfigError when a cost is to be watched and no price is known."""
    role = place.role(by)
    if max_cost_per_kept is not None and role.price is None:
        raise ConfigError(
            f"no price is known for {role.teacher.model}, so max_cost_per_kept can't be watched",
            f"give it, in dollars a million tokens: {by}: {{model: ..., price: {{input: 1, output: 5}}}}",
        )


class Growth:
    """The turns of a loop that grows a pool to `n` tasks, when they end, and what the pool covers beside its seeds. A
    turn is a call, or several that belong together.

    They end early after `patience` turns in a row that brought nothing, or when over the last 50 turns less than
    `min_accept_rate` of the tasks written were kept, or one that was kept cost more than `max_cost_per_kept` dollars.
    What is in flight then is still taken. All of it follows from the answers in their order, so that a replay ends at
    the same turn; a cost is what was paid when the answer came.

    `a_turn` is how many tasks a turn is assumed to bring before any has answered; `tasks` and `turns` say what they are
    called.
    """

    def __init__(
        self,
        run: Run,
        n: int,
        *,
        a_turn: int,
        patience: int,
        min_accept_rate: float | None = None,
        max_cost_per_kept: float | None = None,
        seeds: Sequence[Sample] = (),
        sampling: Sampling = "uniform",
        tasks: str = "tasks",
        turns: str = "calls",
    ) -> None:
        self.n = n
        self.kept = 0
        self.calls = 0
        self.ended = ""  # why, when it ended before `n`
        self._run = run
        self._a_turn = a_turn
        self._patience = patience
        self._rate = min_accept_rate
        self._dollars = max_cost_per_kept
        self._seeds = seeds
        self._sampling = sampling
        self._coverage = Coverage([seed.instruction for seed in seeds])
        self._words = tasks, turns
        self._asked = 0
        self._barren = 0
        self._answered = 0
        self._turns: list[_Turn] = []  # that there was room for

    @property
    def open(self) -> bool:
        """Whether more calls are wanted."""
        return self.kept < self.n and not self.ended

    @property
    def full(self) -> bool:
        return self.kept >= self.n

    def draws(self) -> Iterator[int]:
        """The numbers of the next turns, until those in flight can be expected to fill the pool."""
        while not self.ended:
            # the first turn is assumed to be full
            expected = (self.kept + self._a_turn) / (self._answered + 1)
            if self.kept + (self._asked - self._answered) * expected >= self.n:
                return
            self._asked += 1
            yield self._asked - 1

    def shown(self, rng: random.Random, k: int) -> list[Sample]:
        """`k` different seed tasks for the next call."""
        if self._sampling == "sparse":
            return sparse(rng, self._seeds, self._coverage.near, k)
        return rng.sample(self._seeds, k)

    def offer(
        self, index: NoveltyIndex | None, fresh: Sequence[Sample]
    ) -> tuple[list[tuple[Sample, int]], int]:
        """The tasks of one turn that go into the pool, each with how many texts `index` held before it, and how many
        found the pool full. The rest is dropped: not_novel (where there is an `index`), surplus.
        """
        size = 0 if index is None else len(index)
        taken: list[tuple[Sample, int]] = []
        surplus = 0
        matches: Sequence[Match | None] = [None] * len(fresh)
        if index is not None:
            # offered together a task costs a quarter of what it costs alone; the decisions are the same
            matches = index.add_all([sample.instruction for sample in fresh], [sample.id for sample in fresh])
        for sample, match in zip(fresh, matches, strict=True):
            if self.kept + len(taken) >= self.n:
                surplus += 1
                self._run.drop(sample, "surplus", rule="n", threshold=self.n)
            elif match is not None and index is not None:
                self._run.drop(sample, "not_novel", **match.detail(index.threshold))
            else:
                taken.append((sample, size + len(taken)))
                self._coverage.add(sample.instruction)
        return taken, surplus

    def answered(self, *completions: Completion, made: int, kept: int) -> None:
        """Count a turn, in the order of the turns: the tasks that it wrote while there was room for them, and those
        of them that were kept. What came when the pool was full says nothing about what a turn brings.
        """
        self._answered += 1
        self.calls += len(completions)
        if not self.full:
            nano = 0
            if self._dollars is not None:
                nano = sum(self._run.cost(each) or 0 for each in completions)
            self._turns.append(_Turn(len(completions), made, kept, nano))
        self.kept += kept
        self._barren = 0 if kept else self._barren + 1
        if self.open:
            self.ended = self._reason()
        lately = self._turns[-SPAN:]
        self._run.progress(self.kept, self.n, f"{_rate(lately)} (last {len(lately)})")

    def end(self, why: str) -> None:
        """No more turns; what is in flight is still taken."""
        self.ended = self.ended or why

    def _reason(self) -> str:
        tasks, turns = self._words
        if self._barren >= self._patience:
            return f"{self._patience} {turns} in a row brought nothing new"
        if len(self._turns) < SPAN:
            return ""
        _, made, kept, nano = _sum(self._turns[-SPAN:])
        if self._rate is not None and kept < self._rate * made:
            share = f"{kept / made:.1%} of {made:,} {tasks}"
            return f"the last {SPAN} {turns} brought {share} that could be kept (min_accept_rate: {self._rate:.1%})"
        if self._dollars is not None and nano > self._dollars * NANO * kept:
            each = (
                f"${nano / NANO / kept:.4f} for each that was kept"
                if kept
                else f"${nano / NANO:.4f} for none"
            )
            return f"the last {SPAN} {turns} cost {each} (max_cost_per_kept: ${self._dollars:g})"
        return ""

    def facts(self) -> dict[str, Any]:
        """For `run.note`: tasks written and kept in each stretch of turns, a headline, what they cover beside the seed
        tasks, and a warning when the pool is not full."""
        tasks, _ = self._words
        each = next(
            size
            for scale in range(1, 10)
            for size in (10**scale, 2 * 10**scale, 5 * 10**scale)
            if size * _STRETCHES >= len(self._turns)
        )
        stretches = [_sum(self._turns[at : at + each]) for at in range(0, len(self._turns), each)]
        found: dict[str, Any] = {
            "growth": {
                "calls": self.calls,
                "stretch": each,
                "made": [stretch.made for stretch in stretches],
                "kept": [stretch.kept for stretch in stretches],
            }
        }
        if self._turns:
            first, last = _rate(self._turns[:each]), _rate(self._turns[-each:])
            said = first if len(stretches) == 1 else f"{first} at first; {last} at the end"
            found["headline"] = f"{self.kept:,} {tasks} in {self.calls:,} calls: {said}"
        if self._seeds:
            found["coverage"] = self._coverage.fact()
        if not self.full:
            found["warning"] = f"stopped at {self.kept} of {self.n} {tasks}: {self.ended}"
        return found


class _Turn(NamedTuple):
    calls: int
    made: int
    kept: int
    nano: int


def _sum(turns: Sequence[_Turn]) -> _Turn:
    return _Turn(*(sum(column) for column in zip(*turns, strict=True)))


def _rate(turns: Sequence[_Turn]) -> str:
    calls, made, kept, _ = _sum(turns)
    share = f"{kept / made:.0%}" if made else "none"
    return f"{round(1000 * kept / calls):,} per 1,000 calls ({share} of those written)"
