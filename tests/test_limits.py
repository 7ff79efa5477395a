from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from selfinstruct import limits as module
from selfinstruct.errors import Paused, TransientError
from selfinstruct.limits import Limits


class Clock:
    """Monotonic seconds that pass only while somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.start = self.now
        real = asyncio.sleep

        async def sleep(seconds: float) -> None:
            self.now += seconds
            await real(0)

        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(asyncio, "sleep", sleep)

    @property
    def passed(self) -> float:
        return round(self.now - self.start, 6)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    with monkeypatch.context() as patched:
        yield Clock(patched)


def overload(retry_after: float | None = None) -> TransientError:
    return TransientError("HTTP 429: slow down", overloaded=True, retry_after=retry_after)


async def admitted(limits: Limits, asking: int = 40) -> int:
    """How many of `asking` requests may be in flight at once."""
    inside = 0

    async def one() -> None:
        nonlocal inside
        async with limits.slot(1):
            inside += 1
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(one()) for _ in range(asking)]
    for _ in range(3 * asking):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return inside


def test_the_ceiling_holds() -> None:
    assert asyncio.run(admitted(Limits(16))) == 16


def test_each_burst_of_overload_takes_a_quarter(clock: Clock) -> None:
    async def bursts() -> list[int]:
        limits = Limits(16)
        seen = []
        for _ in range(12):
            clock.now += 1
            sent = clock.now
            clock.now += 1
            for _ in range(10):  # ten that were sent before any of them could know
                limits.failed(overload(), sent)
            seen.append(await admitted(limits))
            limits.answered()
        return seen

    # 16 x 0.75^k = 12, 9, 6.75, 5.06, 3.80, 2.85, 2.14, 1.60, 1.20, then never below one
    assert asyncio.run(bursts()) == [12, 9, 6, 5, 3, 2, 2, 1, 1, 1, 1, 1]


def test_25_answers_in_a_row_add_one_up_to_the_ceiling(clock: Clock) -> None:
    async def climb() -> list[int]:
        limits = Limits(8)
        limits.failed(overload(), clock.now)  # 8 -> 6
        seen = []
        for batch in (24, 1, 25, 200):
            for _ in range(batch):
                limits.answered()
            seen.append(await admitted(limits))
        return seen

    assert asyncio.run(climb()) == [6, 7, 8, 8]


def test_a_failure_breaks_the_row_of_answers(clock: Clock) -> None:
    async def broken_row() -> int:
        limits = Limits(8)
        limits.failed(overload(), clock.now)
        for _ in range(24):
            limits.answered()
        limits.failed(TransientError("cut"), clock.now)
        for _ in range(24):
            limits.answered()
        return await admitted(limits)

    assert asyncio.run(broken_row()) == 6


def test_trouble_that_is_no_overload_lowers_nothing(clock: Clock) -> None:
    limits = Limits(8)
    limits.failed(TransientError("connection reset"), clock.now)
    assert asyncio.run(admitted(limits)) == 8


def test_a_wish_to_wait_holds_everybody_back(clock: Clock) -> None:
    async def after() -> None:
        limits = Limits(4)
        limits.failed(overload(retry_after=7), clock.now)
        limits.failed(overload(retry_after=2), clock.now)  # a shorter wish doesn't shorten the longer one
        async with limits.slot(1):
            assert clock.passed == 7

    asyncio.run(after())


def test_a_wait_of_two_minutes_is_waited_for_and_a_longer_one_pauses(clock: Clock) -> None:
    limits = Limits(4)
    limits.failed(overload(retry_after=120), clock.now)
    with pytest.raises(Paused, match=r"slow down.*asks to wait 121 s") as paused:
        limits.failed(overload(retry_after=121), clock.now)
    assert "same command" in paused.value.hint
    assert paused.value.exit_code == 75


def test_five_minutes_without_any_answer_pause_the_run(clock: Clock) -> None:
    limits = Limits(4)
    limits.failed(TransientError("connection refused"), clock.now)
    clock.now += 299
    limits.failed(TransientError("connection refused"), clock.now)
    limits.answered()  # one answer, and the patience is whole again
    clock.now += 299
    limits.failed(TransientError("connection refused"), clock.now)
    clock.now += 301
    with pytest.raises(Paused, match=r"no answer for 301 s.*connection refused"):
        limits.failed(TransientError("connection refused"), clock.now)


async def admissions(limits: Limits, clock: Clock, tokens: list[int]) -> list[float]:
    """When each request was let through, in the order of asking."""
    when = [0.0] * len(tokens)

    async def one(i: int) -> None:
        async with limits.slot(tokens[i]):
            when[i] = clock.passed

    await asyncio.gather(*(one(i) for i in range(len(tokens))))
    return when


def test_requests_a_minute(clock: Clock) -> None:
    limits = Limits(16, rpm=60)
    when = asyncio.run(admissions(limits, clock, [1] * 90))
    assert when == [0.0] * 60 + [float(second) for second in range(1, 31)]


def test_tokens_a_minute(clock: Clock) -> None:
    limits = Limits(16, tpm=600)  # ten a second
    when = asyncio.run(admissions(limits, clock, [300, 300, 100, 50, 2_000, 10]))
    # 2,000 is more than the bucket holds: it goes when the bucket is full, at 15 + 60, and leaves a debt of 1,400
    assert when == [0, 0, 10, 15, 75, 75 + 141]


def test_a_large_request_is_not_overtaken_for_ever(clock: Clock) -> None:
    limits = Limits(16, tpm=600)
    when = asyncio.run(admissions(limits, clock, [600, 500, *[5] * 30]))
    assert when[1] == 50
    assert min(when[2:]) > 50


def test_places_are_handed_over_in_the_order_of_asking() -> None:
    async def queue() -> list[int]:
        limits = Limits(2)
        order: list[int] = []

        async def one(i: int) -> None:
            async with limits.slot(1):
                order.append(i)
                await asyncio.sleep(0)
            if i + 100 < 1_000:  # a newcomer at the very moment that a place becomes free
                tasks.append(asyncio.create_task(one(i + 100)))

        tasks = [asyncio.create_task(one(i)) for i in range(100)]
        while tasks:
            await tasks.pop(0)
        return order

    assert asyncio.run(queue()) == list(range(1_000))


def test_those_who_leave_the_queue_leave_no_place_behind() -> None:
    async def storm() -> None:
        rng = random.Random(7)
        limits = Limits(3, rpm=1_000_000)
        served = 0

        async def one(stay: float) -> None:
            nonlocal served
            async with limits.slot(1):
                await asyncio.sleep(stay)
                served += 1

        tasks = [asyncio.create_task(one(rng.random() / 500)) for _ in range(300)]
        victims = rng.sample(tasks, 150)
        while victims:
            for task in victims[:5]:
                task.cancel()
            del victims[:5]
            await asyncio.sleep(rng.random() / 1_000)
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert served >= 150
        assert await admitted(limits, 10) == 3

    asyncio.run(storm())


def test_cancelled_in_the_moment_of_being_served() -> None:
    async def handover() -> None:
        limits = Limits(1)
        async with limits.slot(1):
            waiting = asyncio.create_task(limits.slot(1).__aenter__())
            await asyncio.sleep(0)
        waiting.cancel()  # its place was handed over just now, and it never ran
        await asyncio.gather(waiting, return_exceptions=True)
        assert await asyncio.wait_for(admitted(limits, 5), 5) == 1

    asyncio.run(handover())


def test_cancelled_while_waiting_for_the_minute(clock: Clock) -> None:
    async def leave() -> None:
        limits = Limits(4, rpm=1)
        async with limits.slot(1):
            pass
        waiting = asyncio.create_task(limits.slot(1).__aenter__())
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        async with limits.slot(1):
            assert clock.passed == 60

    asyncio.run(leave())
