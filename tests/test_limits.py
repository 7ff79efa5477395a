from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfinstruct import limits as module
from selfinstruct.errors import Paused, TransientError
from selfinstruct.limits import Limits
from selfinstruct.teachers.headers import Room


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
            limits.answered(1, 1, clock.now)
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
                limits.answered(1, 1, clock.now)
            seen.append(await admitted(limits))
        return seen

    assert asyncio.run(climb()) == [6, 7, 8, 8]


def test_a_failure_breaks_the_row_of_answers(clock: Clock) -> None:
    async def broken_row() -> int:
        limits = Limits(8)
        limits.failed(overload(), clock.now)
        for _ in range(24):
            limits.answered(1, 1, clock.now)
        limits.failed(TransientError("cut"), clock.now)
        for _ in range(24):
            limits.answered(1, 1, clock.now)
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
    # 121 seconds from now, give or take the minute that ends meanwhile
    soon = datetime.now().astimezone()
    times = {f"after {soon + timedelta(seconds=s):%H:%M (%Y-%m-%d}, {soon.tzname()})" for s in (60, 119, 121)}
    assert any(paused.value.hint.startswith(f"run the same command again {time}; ") for time in times)
    assert paused.value.exit_code == 75


def test_a_wait_that_no_calendar_holds_pauses_all_the_same() -> None:
    with pytest.raises(Paused, match=r"asks to wait 1\d{17} s") as paused:
        Limits(4).failed(overload(retry_after=1e17), 0)
    assert "no sensible one" in paused.value.hint


def test_five_minutes_without_any_answer_pause_the_run(clock: Clock) -> None:
    limits = Limits(4)
    limits.failed(TransientError("connection refused"), clock.now)
    clock.now += 299
    limits.failed(TransientError("connection refused"), clock.now)
    limits.answered(1, 1, clock.now)  # one answer, and the patience is whole again
    clock.now += 299
    limits.failed(TransientError("connection refused"), clock.now)
    clock.now += 301
    with pytest.raises(Paused, match=r"no answer for 301 s.*connection refused") as paused:
        limits.failed(TransientError("connection refused"), clock.now)
    assert re.search(r"when the server is well, or try it after \d\d:\d\d \(\d{4}-", paused.value.hint)


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
    when = asyncio.run(admissions(limits, clock, [1] * 130))
    # six seconds' worth and the one that is due, then one a second, until 60 are out; the first seven leave the
    # minute together, and so on
    first = [0.0] * 7 + [float(second) for second in range(1, 54)]
    assert when[:60] == first
    assert when[60:120] == [60 + each for each in first]
    assert when[120:] == [120.0] * 7 + [121.0, 122.0, 123.0]


def most_in_a_minute(when: list[float], amounts: list[int]) -> int:
    """The most that was let through in any 60 seconds; the last moment of one is the first of the next."""
    return max(
        sum(much for then, much in zip(when, amounts, strict=True) if start <= then < start + 60 - 1e-5)
        for start in when
    )


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(1, 400), st.integers(0, 9))
def test_no_minute_has_more_requests_than_allowed(rpm: int, asking: int, pause: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch)
        limits = Limits(16, rpm=rpm)

        async def come_and_go() -> list[float]:
            first = await admissions(limits, clock, [1] * (asking // 2))
            clock.now += pause * 13  # idle for a while: nothing is saved up for later
            return first + await admissions(limits, clock, [1] * asking)

        when = asyncio.run(come_and_go())
        assert most_in_a_minute(when, [1] * len(when)) <= rpm
        busy = len(when) - 1
        assert clock.passed <= busy * 60 / rpm + 60 + pause * 13  # and no slower than the limit asks for


@settings(deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.data())
def test_no_minute_has_more_tokens_than_allowed_and_what_is_unused_is_given_back(
    amounts: list[int], data: st.DataObject
) -> None:
    used = [data.draw(st.integers(0, amount)) for amount in amounts]
    after = [data.draw(st.sampled_from([0.0, 1.0, 30.0, 100.0])) for _ in amounts]
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch)
        limits = Limits(1, tpm=600)

        async def one_by_one() -> list[float]:
            when = []
            for amount, took, seconds in zip(amounts, used, after, strict=True):
                async with limits.slot(amount):
                    when.append(clock.passed)
                    sent = clock.now
                    clock.now += seconds
                    limits.answered(amount, took, sent)
            return when

        when = asyncio.run(one_by_one())
        assert most_in_a_minute(when, used) <= 600


def test_tokens_a_minute(clock: Clock) -> None:
    limits = Limits(16, tpm=600)  # ten a second
    when = asyncio.run(admissions(limits, clock, [300, 300, 100, 50, 2_000, 10]))
    # the second at 24: six seconds' worth may go ahead of the even flow; the third when the first leaves the minute, at
    # 60. 2,000 is more than a minute's worth: it goes when the minute is empty, at 64 + 60, and counts for 200 s
    assert when == [0, 24, 60, 64, 124, 324]


def test_unused_tokens_let_others_go(clock: Clock) -> None:
    async def second() -> float:
        limits = Limits(2, tpm=600)
        async with limits.slot(600):
            limits.answered(600, 30, clock.now)
        async with limits.slot(570):
            return clock.passed

    assert asyncio.run(second()) == 0


def test_a_large_request_is_not_overtaken_for_ever(clock: Clock) -> None:
    limits = Limits(16, tpm=600)
    when = asyncio.run(admissions(limits, clock, [600, 500, *[5] * 30]))
    assert when[1] == 60
    assert min(when[2:]) > 60


# what the provider's headers say


def test_what_the_provider_has_left_is_not_overdrawn(clock: Clock) -> None:
    limits = Limits(16)
    # 5 of 60 left; the other 55 flow in within 55 seconds: one a second
    limits.heard(Room("requests", left=5, limit=60, reset=55))
    when = asyncio.run(admissions(limits, clock, [1] * 8))
    assert when == [0, 0, 0, 0, 0, 1, 2, 3]


def test_what_is_in_flight_is_not_thought_to_be_counted(clock: Clock) -> None:
    async def third() -> float:
        limits = Limits(16)
        async with limits.slot(1), limits.slot(1):
            limits.heard(Room("requests", left=1, limit=60, reset=59))  # the answer to one of the two
            async with limits.slot(1):
                return clock.passed

    assert asyncio.run(third()) == 1


def test_tokens_left_are_measured_by_what_answers_usually_take(clock: Clock) -> None:
    async def two() -> list[float]:
        limits = Limits(16)
        limits.answered(4_000, 100, clock.now)
        limits.heard(Room("tokens", left=150, limit=600, reset=45))  # ten a second
        return await admissions(limits, clock, [4_000, 4_000])

    assert asyncio.run(two()) == [0, 5]  # 150, less 100, and 50 more after five seconds


def test_headers_never_speed_up_beyond_what_the_user_set(clock: Clock) -> None:
    limits = Limits(2, rpm=1)
    limits.heard(Room("requests", left=10_000, limit=10_000, reset=0))
    assert asyncio.run(admissions(limits, clock, [1, 1])) == [0, 60]
    assert asyncio.run(admitted(Limits(2), 5)) == 2


def test_after_an_idle_time_no_more_than_the_limit_is_there(clock: Clock) -> None:
    limits = Limits(16)
    limits.heard(Room("requests", left=1, limit=3, reset=60))
    clock.now += 3_600
    assert asyncio.run(admissions(limits, clock, [1] * 4)) == [3_600, 3_600, 3_600, 3_630]


def test_room_that_comes_late_pauses_the_run(clock: Clock) -> None:
    limits = Limits(4)
    limits.heard(Room("requests", left=0, limit=10, reset=36_000))  # one an hour
    with pytest.raises(Paused, match=r"has no room for more requests; there is some in 3600 s") as paused:
        asyncio.run(admissions(limits, clock, [1]))
    assert re.search(r"again after \d\d:\d\d \(\d{4}-", paused.value.hint)
    assert asyncio.run(admitted(Limits(4))) == 4


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
