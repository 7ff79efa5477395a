"""How much may be in flight: adaptive concurrency, requests and tokens a minute, and the pause after too much trouble.

Additive increase, multiplicative decrease, per endpoint and model: 25 answers in a row raise the concurrency by one up
to the ceiling, the first overload of a burst lowers it by a quarter. A provider's Retry-After holds everything back,
and what its headers say is left of its own limits is not overdrawn. All clocks are monotonic.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from selfinstruct.errors import Paused, TransientError
from selfinstruct.teachers.headers import Room

RAISE_AFTER = 25  # answers without overload
LOWER_BY = 0.75
LONGEST_WAIT = 120.0  # seconds of Retry-After that are waited for; beyond, the run pauses
PATIENCE = 300.0  # seconds without any answer, in trouble, after which the run pauses
COOL_DOWN = 600.0  # seconds after which a run paused for that is worth starting again
MINUTE = 60.0
BURST = 6.0  # seconds' worth of requests or tokens that may go at once
INSTANT = 1e-6  # seconds that are no wait: what rounding leaves of one
LATELY = 20  # answers whose tokens say what the next one will take


class Limits:
    """The gate in front of one model at one endpoint, which all its roles share. `rpm` and `tpm` are requests and
    tokens a minute; None sets no limit.
    """

    def __init__(self, concurrency: int = 16, *, rpm: int | None = None, tpm: int | None = None) -> None:
        self.ceiling = concurrency
        self.allowed = float(concurrency)
        self._flying = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._pacing = asyncio.Lock()
        self.rpm, self.tpm = rpm, tpm
        self._requests = _Minute(rpm) if rpm else None
        self._tokens = _Minute(tpm) if tpm else None
        self._rooms: dict[str, _Left] = {}
        self._usual: float | None = None  # tokens of an answer lately, with its prompt
        self._not_before = 0.0
        self._lowered_at = 0.0
        self._streak = 0
        self._trouble_since: float | None = None

    @asynccontextmanager
    async def slot(self, tokens: int) -> AsyncIterator[None]:
        """Wait for a place; `tokens` is what the request may use at most, for the tokens a minute."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._wake()
        try:
            await turn
            async with self._pacing:  # in order: many small requests must not overtake a large one for ever
                while (wait := self._wait(tokens)) > 0:
                    await asyncio.sleep(min(wait, 1.0))  # an answer may give back tokens meanwhile
            yield
        finally:
            if not turn.cancelled():  # the place was ours, even if we are cancelled in that very moment
                self._flying -= 1
                self._wake()

    def _wait(self, tokens: int) -> float:
        """Seconds until the request may go; 0 means that it goes now, and is counted."""
        now = time.monotonic()
        usual = tokens if self._usual is None else min(float(tokens), self._usual)
        wants: list[tuple[_Minute | _Left | None, float]] = [
            (self._requests, 1.0),
            (self._tokens, float(tokens)),
            (self._rooms.get("requests"), 1.0),
            (self._rooms.get("tokens"), usual),
        ]
        wait = self._not_before - now
        for limit, amount in wants:
            if wait <= INSTANT and limit is not None:
                wait = limit.wait(amount, now)
                if isinstance(limit, _Left) and wait > LONGEST_WAIT:
                    raise Paused(
                        f"the provider has no room for more {limit.what}; there is some in {wait:.0f} s",
                        f"run the same command again {_at(wait)}; every answer so far is kept",
                    )
        if wait <= INSTANT:
            for limit, amount in wants:
                if limit is not None:
                    limit.take(amount, now)
        return wait if wait > INSTANT else 0.0

    def _wake(self) -> None:
        """Hand free places over, first come, first served."""
        while self._waiting and self._flying < int(self.allowed):
            turn = self._waiting.popleft()
            if not turn.cancelled():
                turn.set_result(None)
                self._flying += 1

    def answered(self, tokens: int, used: int, sent: float) -> None:
        """An answer came to a request sent at `sent` (monotonic): trouble is over, and after enough of them the
        concurrency rises. Of the slot's `tokens` it took `used`; the rest is given back.
        """
        self._trouble_since = None
        self._usual = used if self._usual is None else self._usual + (used - self._usual) / LATELY
        if self._tokens is not None:
            if used > tokens:
                self._tokens.take(used - tokens, time.monotonic())
            self._tokens.give_back(tokens - used, sent)
        self._streak += 1
        if self._streak >= RAISE_AFTER and self.allowed < self.ceiling:
            self._streak = 0
            self.allowed = min(self.allowed + 1, float(self.ceiling))
            self._wake()

    def heard(self, room: Room) -> None:
        """What a reply's headers say is left of the provider's own limits. What is in flight may not be counted in it,
        so that it is taken off.
        """
        each = 1.0 if room.what == "requests" else self._usual or 0.0
        others = max(0, self._flying - 1) * each
        self._rooms[room.what] = _Left(room, others, time.monotonic())

    def failed(self, error: TransientError, sent: float) -> None:
        """An attempt sent at `sent` (monotonic) failed. Raises Paused when waiting longer makes no sense."""
        now = time.monotonic()
        self._streak = 0
        if self._trouble_since is None:
            self._trouble_since = now
        if (
            error.overloaded and sent >= self._lowered_at
        ):  # one burst was sent before it could know: lower once
            self.allowed = max(1.0, self.allowed * LOWER_BY)
            self._lowered_at = now
        if error.retry_after is not None:
            if error.retry_after > LONGEST_WAIT:
                raise Paused(
                    f"{error.message}; the provider asks to wait {error.retry_after:.0f} s",
                    f"run the same command again {_at(error.retry_after)}; every answer so far is kept",
                )
            self._not_before = max(self._not_before, now + error.retry_after)
        if now - self._trouble_since > PATIENCE:
            raise Paused(
                f"no answer for {now - self._trouble_since:.0f} s; the last trouble: {error.message}",
                "run the same command again when the server is well, or try it"
                f" {_at(COOL_DOWN)}; every answer so far is kept",
            )


class _Minute:
    """At most `limit` in any 60 seconds, and evenly: `BURST` seconds' worth at once, then as it flows.

    A request of more than a minute's worth goes when nothing else was taken for a minute, and is waited for afterwards.
    """

    def __init__(self, limit: int) -> None:
        self._limit = float(limit)
        self._taken: deque[list[float]] = deque()  # [when, how much] of the last minute
        self._sum = 0.0
        self._even = 0.0  # when all that was taken would have been taken, had it gone evenly

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` can be taken."""
        while self._taken and self._taken[0][0] <= now - self._span(self._taken[0][1]):
            self._sum -= self._taken.popleft()[1]
        room, free = self._limit - min(amount, self._limit) - self._sum, now
        for when, much in self._taken:
            if room >= 0:
                break
            room += much
            free = when + self._span(much)
        return max(0.0, free - now, self._even - now)

    def _span(self, amount: float) -> float:
        """Seconds for which `amount` counts: a minute, or as long as that much takes."""
        return MINUTE * max(1.0, amount / self._limit)

    def take(self, amount: float, now: float) -> None:
        self._taken.append([now, amount])
        self._sum += amount
        self._even = max(self._even, now - BURST) + amount / self._limit * MINUTE

    def give_back(self, amount: float, sent: float) -> None:
        """A request sent at `sent` took so much less. It comes off the oldest of what counts, so that no minute
        is thought emptier than it was.
        """
        if amount <= 0 or not self._taken or sent < self._taken[0][0]:
            return
        self._even -= amount / self._limit * MINUTE
        self._sum -= amount
        for entry in self._taken:
            less = min(entry[1], amount)
            entry[1] -= less
            amount -= less


class _Left:
    """What a provider said is left, less what was taken since, with what it lets flow in."""

    def __init__(self, room: Room, others: float, now: float) -> None:
        self.what = room.what
        self._limit = room.limit
        self._left = room.left - others
        taken = room.limit - room.left
        self._flow = taken / room.reset if taken and room.reset else room.limit / MINUTE  # a second
        self._seen = now

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` is there; more than the whole limit counts as the whole."""
        self._left = min(self._limit, self._left + (now - self._seen) * self._flow)
        self._seen = now
        return max(0.0, (min(amount, self._limit) - self._left) / self._flow)

    def take(self, amount: float, now: float) -> None:
        self._left -= amount


def _at(seconds: float) -> str:
    """`after 14:32 (2026-11-25, UTC)`: the clock time in so many seconds, or in words where no calendar goes so far."""
    try:
        then = datetime.now().astimezone() + timedelta(seconds=seconds)
    except OverflowError:
        return "when the provider is well; that wait is no sensible one"
    return f"after {then:%H:%M} ({then:%Y-%m-%d}, {then.tzname()})"
