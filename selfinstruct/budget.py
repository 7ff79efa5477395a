"""The cap on money: the worst case of a request is reserved before it is sent and settled when its answer is in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from selfinstruct.errors import BudgetReached

NANO = 1_000_000_000  # nano-dollars in a dollar


class Reservation:
    """The money set aside for one request; `cost` is what it really cost, once that is known."""

    cost = 0


class Budget:
    """All amounts are whole nano-dollars. `limit` None means no cap; `spent` starts at what the run has cost so far."""

    def __init__(self, limit: int | None = None, spent: int = 0) -> None:
        self.limit = limit
        self.spent = spent
        self._reserved = 0
        self._settled = asyncio.Event()

    @asynccontextmanager
    async def reserve(self, worst: int) -> AsyncIterator[Reservation]:
        """Set `worst` aside for the time of one attempt; an attempt that fails without an answer costs nothing.

        While other reservations are open, waits for them to settle. Raises BudgetReached when nothing in flight
        could make room.
        """
        while self.limit is not None and self.spent + self._reserved + worst > self.limit:
            if not self._reserved:
                raise BudgetReached(
                    f"the budget of {dollars(self.limit)} is reached: {dollars(self.spent)} is spent, and the next"
                    f" request may cost up to {dollars(worst)}",
                    "every answer so far is kept; raise --budget and run the same command to go on",
                )
            self._settled.clear()
            await self._settled.wait()
        self._reserved += worst
        reservation = Reservation()
        try:
            yield reservation
        finally:
            self._reserved -= worst
            self.spent += reservation.cost
            self._settled.set()


def dollars(nano: int | None) -> str:
    """$0.42 style text: two digits behind the point from a cent upwards, more below; `unpriced` for None."""
    if nano is None:
        return "unpriced"
    if nano == 0:
        return "$0"
    value = nano / NANO
    return f"${value:,.2f}" if value >= 0.01 else f"${value:.2g}"
