"""How much may be in flight: adaptive concurrency, requests and tokens a minute, and the pause after too much trouble.

Additive increase, multiplicative decrease, per teacher: 25 answers in a row raise the concurrency by one up to the
ceiling, the first overload of a burst lowers it by a quarter. A provider's Retry-After holds everything back.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from selfinstruct.errors import Paused, TransientError

RAISE_AFTER = 25  # answers without overload
LOWER_BY = 0.75
LONGEST_WAIT = 120.0  # seconds of Retry-After that are waited for; beyond, the run pauses
PATIENCE = 300.0  # seconds without any answer, in trouble, after which the run pauses


class Limits:
    """The gate in front of one teacher. `rpm` and `tpm` are requests and tokens a minute; None sets no limit."""

    def __init__(self, concurrency: int = 16, *, rpm: int | None = None, tpm: int | None = None) -> None:
        self.ceiling = concurrency
        self.allowed = float(concurrency)
        self._flying = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._pacing = asyncio.Lock()
        self._requests = _Bucket(rpm) if rpm else None
        self._tokens = _Bucket(tpm) if tpm else None
        self._not_before = 0.0
        self._lowered_at = 0.0
        self._streak = 0
        self._trouble_since: float | None = None

    @asynccontextmanager
    async def slot(self, tokens: int) -> AsyncIterator[None]:
        """Wait for a place; `tokens` is what the request may use, for the tokens a minute."""
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
        now = time.monotonic()
        wait = self._not_before - now
        if wait <= 0 and self._requests is not None:
            wait = self._requests.wait(1, now)
        if wait <= 0 and self._tokens is not None:
            wait = self._tokens.wait(tokens, now)
        if wait <= 0:
            if self._requests is not None:
                self._requests.take(1)
            if self._tokens is not None:
                self._tokens.take(tokens)
        return wait

    def _wake(self) -> None:
        """Hand free places over, first come, first served."""
        while self._waiting and self._flying < int(self.allowed):
            turn = self._waiting.popleft()
            if not turn.cancelled():
                turn.set_result(None)
                self._flying += 1

    def answered(self, unused: int = 0) -> None:
        """An answer came: trouble is over, and after enough of them the concurrency rises.

        `unused` is how many of the slot's tokens it did not take; they are given back.
        """
        self._trouble_since = None
        if self._tokens is not None:
            self._tokens.take(-unused)
        self._streak += 1
        if self._streak >= RAISE_AFTER and self.allowed < self.ceiling:
            self._streak = 0
            self.allowed = min(self.allowed + 1, float(self.ceiling))
            self._wake()

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
                    "run the same command again after that time; every answer so far is kept",
                )
            self._not_before = max(self._not_before, now + error.retry_after)
        if now - self._trouble_since > PATIENCE:
            raise Paused(
                f"no answer for {now - self._trouble_since:.0f} s; the last trouble: {error.message}",
                "run the same command again when the server is well; every answer so far is kept",
            )


class _Bucket:
    """A token bucket that holds one minute's worth."""

    def __init__(self, per_minute: int) -> None:
        self._size = float(per_minute)
        self._level = self._size
        self._seen = time.monotonic()

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` can be taken; more than a minute's worth counts as a minute's worth."""
        self._level = min(self._size, self._level + (now - self._seen) * self._size / 60)
        self._seen = now
        return max(0.0, (min(amount, self._size) - self._level) * 60 / self._size)

    def take(self, amount: float) -> None:
        self._level -= amount
