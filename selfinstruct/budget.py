"""The caps: the worst case of a request is reserved before it is sent, and settled when it is known what it took.

A cap holds in dollars or in tokens, for the whole run or for one step, over the life of the run's folder. It is hard:
nothing is sent that could cross it, and what may have been billed without anybody knowing counts with its worst case.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from selfinstruct.errors import BudgetReached, ConfigError, nearest

NANO = 1_000_000_000  # nano-dollars in a dollar
_FORMS = "5 (dollars), {dollars: 5, tokens: 2_000_000}, or a cap of one step beside them: {steps: {judge: 2}}"
_UNITS = ("dollars", "tokens")


@dataclass(frozen=True)
class Cap:
    """At most so many nano-dollars and tokens (input and output together); None sets no limit."""

    nano: int | None = None
    tokens: int | None = None

    @classmethod
    def of(cls, value: Any, where: str = "budget") -> Self:
        """From a number of dollars, or a mapping with `dollars`, `tokens` or both. Raises ConfigError."""
        if not isinstance(value, Mapping):
            return cls(nano=round(_number(value, f"`{where}` must be a number of dollars") * NANO))
        for unit in value:
            if unit not in _UNITS:
                raise ConfigError(f"`{where}`: there is no unit `{unit}`", nearest(str(unit), _UNITS))
        dollars, tokens = (
            None if value.get(unit) is None else _number(value[unit], f"`{where}`: {unit} must be a number")
            for unit in _UNITS
        )
        return cls(
            None if dollars is None else round(dollars * NANO), None if tokens is None else int(tokens)
        )


@dataclass(frozen=True)
class Caps:
    """What a pipeline's line `budget:` says: the cap of the run, and those of single steps by name."""

    run: Cap = Cap()
    steps: Mapping[str, Cap] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any) -> Self:
        """From the value of `budget:`; None sets no cap. Raises ConfigError."""
        if value is None:
            return cls()
        if not isinstance(value, Mapping):
            return cls(Cap.of(value))
        steps = value.get("steps") or {}
        if not isinstance(steps, Mapping):
            raise ConfigError("`budget`: steps must map the names of steps to their caps", _FORMS)
        run = Cap.of({unit: cap for unit, cap in value.items() if unit != "steps"})
        return cls(run, {str(name): Cap.of(cap, f"budget: steps: {name}") for name, cap in steps.items()})

    @property
    def dollars(self) -> bool:
        """Whether any cap is in dollars, so that prices must be known."""
        return any(cap.nano is not None for cap in (self.run, *self.steps.values()))


def _number(value: Any, message: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ConfigError(f"{message}, not {value!r}", f"write {_FORMS}")
    return value


def given(texts: Iterable[str]) -> Any:
    """The value of `budget:` from the words behind --budget: `25`, `tokens=2e6`, `judge=5`, `judge.tokens=1e6`.
    Raises ConfigError.
    """
    value: dict[str, Any] = {}
    for text in texts:
        name, equals, amount = text.rpartition("=")
        try:
            number = float(amount.replace("_", ""))
        except ValueError:
            raise ConfigError(
                f"--budget {text}: not understood",
                "write dollars (25), tokens=2_000_000, or a step's cap: judge=5, judge.tokens=500_000",
            ) from None
        step, dot, unit = name.rpartition(".") if "." in name else ("", "", name)
        if equals and unit not in _UNITS and not dot:
            step, unit = unit, "dollars"
        into = value.setdefault("steps", {}).setdefault(step, {}) if step else value
        into[unit or "dollars"] = number
    return value


class Budget:
    """One cap in one unit. `limit` None means no cap; `spent` starts at what the run has spent so far."""

    def __init__(
        self, limit: int | None = None, spent: int = 0, *, what: str = "the budget", unit: str = "dollars"
    ) -> None:
        self.limit = limit
        self.spent = spent
        self._what = what
        self._said = dollars if unit == "dollars" else _tokens
        self._reserved = 0
        self._settled = asyncio.Event()

    @asynccontextmanager
    async def reserve(self, worst: int) -> AsyncIterator[Reservation]:
        """Set `worst` aside for the time of one attempt; an attempt that is known to have failed costs nothing.

        While other reservations are open, waits for them to settle. Raises BudgetReached when nothing in flight
        could make room.
        """
        await self.take(worst)
        reservation = Reservation()
        try:
            yield reservation
        finally:
            self.give(worst, reservation.cost)

    async def take(self, worst: int) -> None:
        """Set `worst` aside, as `reserve` does, until it is given back. What costs nothing is never held up."""
        while worst and self.limit is not None and self.spent + self._reserved + worst > self.limit:
            if not self._reserved:
                raise BudgetReached(
                    f"{self._what} of {self._said(self.limit)} is reached: {self._said(self.spent)} spent so far, and"
                    f" the next request may take up to {self._said(worst)}",
                    "every answer so far is kept; raise --budget and run the same command to go on",
                )
            self._settled.clear()
            await self._settled.wait()
        self._reserved += worst

    def give(self, worst: int, cost: int) -> None:
        """What was set aside is settled: it took `cost`."""
        self._reserved -= worst
        self.spent += cost
        self._settled.set()


class Reservation:
    """What is set aside for one request; `cost` is what it really took, once that is known."""

    cost = 0


@dataclass
class Reserved:
    """What is set aside for one attempt, and what it took: nothing, until that is said."""

    nano: int
    tokens: int
    taken: tuple[int, int] = (0, 0)  # nano-dollars, tokens

    def settle(self, nano: int, tokens: int) -> None:
        """It took so much."""
        self.taken = nano, tokens

    def keep(self) -> None:
        """Nobody knows what it took: all that was set aside stays spent."""
        self.taken = self.nano, self.tokens


class Purse:
    """All caps that hold for a request of one step, in the order in which every request takes them."""

    def __init__(self, dollars: Iterable[Budget], tokens: Iterable[Budget] = ()) -> None:
        self._caps = [*((budget, 0) for budget in dollars), *((budget, 1) for budget in tokens)]

    def refund(self, nano: int, tokens: int) -> None:
        """What an earlier process had set aside is free again."""
        for budget, unit in self._caps:
            budget.give(0, -(nano, tokens)[unit])

    @asynccontextmanager
    async def reserve(self, nano: int, tokens: int) -> AsyncIterator[Reserved]:
        """Set the worst case aside under every cap. Raises BudgetReached."""
        reserved, held = Reserved(nano, tokens), 0
        worst = nano, tokens
        try:
            for budget, unit in self._caps:
                await budget.take(worst[unit])
                held += 1
            yield reserved
        finally:
            for budget, unit in self._caps[:held]:
                budget.give(worst[unit], reserved.taken[unit])


def dollars(nano: int | None) -> str:
    """$0.42 style text: two digits behind the point from a cent upwards, more below; `unpriced` for None."""
    if nano is None:
        return "unpriced"
    if nano == 0:
        return "$0"
    value = nano / NANO
    return f"${value:,.2f}" if value >= 0.01 else f"${value:.2g}"


def _tokens(count: int) -> str:
    return f"{count:,} tokens"
