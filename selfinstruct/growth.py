"""How a pool grows: what the calls brought, whether more of them are worth it, and which seed tasks come next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from selfinstruct.budget import NANO
from selfinstruct.errors import ConfigError
from selfinstruct.novelty import NoveltyIndex
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
    """The calls of a loop that grows a pool to `n` tasks, and when they end.

    They end early after `patience` calls in a row that brought nothing, or when over the last 50 calls less than
    `min_accept_rate` of the tasks written were kept, or one that was kept cost more than `max_cost_per_kept` dollars.
    What is in flight then is still taken. All of it follows from the answers in their order, so that a replay ends at
    the same call; a cost is what was paid when the answer came.

    `a_call` is how many tasks a call is assumed to bring before any has answered.
    """

    def __init__(
        self,
        run: Run,
        n: int,
        *,
        a_call: int,
        patience: int,
        min_accept_rate: float | None = None,
        max_cost_per_kept: float | None = None,
    ) -> None:
        self.n = n
        self.kept = 0
        self.ended = ""  # why, when it ended before `n`
        self._run = run
        self._a_call = a_call
        self._patience = patience
        self._rate = min_accept_rate
        self._dollars = max_cost_per_kept
        self._asked = 0
        self._barren = 0
        self._made: list[int] = []  # of each call
        self._kept: list[int] = []
        self._nano: list[int] = []

    @property
    def open(self) -> bool:
        """Whether more calls are wanted."""
        return self.kept < self.n and not self.ended

    @property
    def full(self) -> bool:
        return self.kept >= self.n

    @property
    def calls(self) -> int:
        return len(self._kept)

    def draws(self) -> Iterator[int]:
        """The numbers of the next calls, until those in flight can be expected to fill the pool."""
        while not self.ended:
            expected = (self.kept + self._a_call) / (self.calls + 1)  # the first call is assumed to be full
            if self.kept + (self._asked - self.calls) * expected >= self.n:
                return
            self._asked += 1
            yield self._asked - 1

    def offer(self, index: NoveltyIndex, fresh: Sequence[Sample]) -> tuple[list[tuple[Sample, int]], int]:
        """The tasks of one call that go into the pool, each with how many texts `index` held before it, and how many
        found the pool full. The rest is dropped: not_novel, surplus.
        """
        size = len(index)
        taken: list[tuple[Sample, int]] = []
        surplus = 0
        # offered together a task costs a quarter of what it costs alone; the decisions are the same
        matches = index.add_all([sample.instruction for sample in fresh], [sample.id for sample in fresh])
        for sample, match in zip(fresh, matches, strict=True):
            if self.kept + len(taken) >= self.n:
                surplus += 1
                self._run.drop(sample, "surplus", rule="n", threshold=self.n)
            elif match is not None:
                self._run.drop(
                    sample,
                    "not_novel",
                    rule="rouge_l",
                    value=match.score,
                    threshold=index.threshold,
                    similar_to=match.id,
                    similar=match.text,
                )
            else:
                taken.append((sample, size + len(taken)))
        return taken, surplus

    def answered(self, completion: Completion, *, made: int, kept: int) -> None:
        """Count a call, in the order of the calls: the tasks that it wrote while there was room for them, and those
        of them that were kept.
        """
        self._made.append(made)
        self._kept.append(kept)
        self.kept += kept
        if self._dollars is not None:
            self._nano.append(self._run.cost(completion) or 0)
        self._barren = 0 if kept else self._barren + 1
        if self.open:
            self.ended = self._reason()
        self._run.progress(self.kept, self.n, self._lately())

    def _reason(self) -> str:
        if self._barren >= self._patience:
            return f"{self._patience} calls in a row brought nothing new"
        if self.calls < SPAN:
            return ""
        made, kept = sum(self._made[-SPAN:]), sum(self._kept[-SPAN:])
        if self._rate is not None and kept < self._rate * made:
            share = f"{kept / made:.1%} of {made:,} tasks"
            return f"the last {SPAN} calls brought {share} that could be kept (min_accept_rate: {self._rate:.1%})"
        nano = sum(self._nano[-SPAN:])
        if self._dollars is not None and nano > self._dollars * NANO * kept:
            each = f"${nano / NANO / kept:.4f} a kept task" if kept else f"${nano / NANO:.4f} for none"
            return f"the last {SPAN} calls cost {each} (max_cost_per_kept: ${self._dollars:g})"
        return ""

    def _lately(self) -> str:
        return _rate(self._made[-SPAN:], self._kept[-SPAN:]) + f" (last {min(SPAN, self.calls)})"

    def facts(self) -> dict[str, Any]:
        """For `run.note`: tasks written and kept in each stretch of calls, a headline, and a warning when the pool is
        not full."""
        each = next(
            size
            for scale in range(1, 10)
            for size in (10**scale, 2 * 10**scale, 5 * 10**scale)
            if size * _STRETCHES >= self.calls
        )
        starts = range(0, self.calls, each)
        found: dict[str, Any] = {
            "growth": {
                "calls": self.calls,
                "stretch": each,
                "made": [sum(self._made[at : at + each]) for at in starts],
                "kept": [sum(self._kept[at : at + each]) for at in starts],
            }
        }
        if self.calls:
            first, last = (
                _rate(self._made[part], self._kept[part]) for part in (slice(each), slice(-each, None))
            )
            said = first if self.calls <= each else f"{first} at first; {last} at the end"
            found["headline"] = f"{self.kept:,} tasks in {self.calls:,} calls: {said}"
        if not self.full:
            found["warning"] = f"stopped at {self.kept} of {self.n} tasks: {self.ended}"
        return found


def _rate(made: list[int], kept: list[int]) -> str:
    share = f"{sum(kept) / sum(made):.0%}" if sum(made) else "none"
    return f"{round(1000 * sum(kept) / len(kept)):,} per 1,000 calls ({share} of those written)"
