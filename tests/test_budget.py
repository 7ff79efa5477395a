from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from fakes import Echo, running

from selfinstruct.budget import NANO, Budget, Cap, Caps, Purse, dollars, given
from selfinstruct.errors import BudgetReached, ConfigError, TransientError
from selfinstruct.limits import Limits
from selfinstruct.pricing import Price
from selfinstruct.teachers import Request, Usage


async def spend(budget: Budget, jobs: list[tuple[int, int, float]], concurrency: int) -> int:
    """Jobs of (worst, real cost, seconds), so many at a time; how many were refused. Stops at nothing."""
    gate = asyncio.Semaphore(concurrency)
    refused = 0

    async def one(worst: int, real: int, seconds: float) -> None:
        nonlocal refused
        async with gate:
            try:
                async with budget.reserve(worst) as reservation:
                    await asyncio.sleep(seconds)
                    reservation.cost = real
            except BudgetReached:
                refused += 1
                assert budget.limit is not None
                assert budget.spent + worst > budget.limit  # only when nothing could make room
            assert budget.limit is None or budget.spent <= budget.limit

    await asyncio.wait_for(asyncio.gather(*(one(*job) for job in jobs)), 20)
    return refused


@pytest.mark.parametrize("concurrency", [1, 20, 100])
def test_the_cap_is_never_exceeded(concurrency: int) -> None:
    for seed in range(25):
        rng = random.Random(seed)
        jobs = []
        for _ in range(120):
            worst = rng.randrange(1, 2_000)
            jobs.append((worst, rng.choice([0, worst, rng.randrange(worst + 1)]), rng.random() / 2_000))
        total = sum(real for _, real, _ in jobs)
        cap = rng.choice([0, 1, rng.randrange(total), total, total + 2_000])
        budget = Budget(cap)
        refused = asyncio.run(spend(budget, jobs, concurrency))
        assert budget.spent <= cap
        assert refused or budget.spent == total
        if cap >= total + 2_000:
            assert refused == 0  # there was room for all of them, one worst case included


def test_it_waits_for_what_is_in_flight_before_it_refuses() -> None:
    # each may cost 10 and costs 1: a cap of 20 is enough for all, though only two worst cases fit at a time
    budget = Budget(20)
    assert asyncio.run(spend(budget, [(10, 1, 0.001)] * 11, 100)) == 0
    assert budget.spent == 11


def test_what_was_spent_before_counts() -> None:
    budget = Budget(100, spent=95)
    with pytest.raises(BudgetReached, match="is reached") as reached:
        asyncio.run(budget.reserve(6).__aenter__())
    assert reached.value.exit_code == 4
    assert "raise --budget" in reached.value.hint
    asyncio.run(budget.reserve(5).__aenter__())


def test_what_costs_nothing_is_never_held_up() -> None:
    budget = Budget(10, spent=25)  # the cap was lowered below what is spent
    asyncio.run(budget.reserve(0).__aenter__())
    with pytest.raises(BudgetReached):
        asyncio.run(budget.reserve(1).__aenter__())


def test_without_a_cap_nothing_waits() -> None:
    async def all_at_once() -> None:
        budget = Budget(None)
        for _ in range(100):
            await asyncio.wait_for(budget.reserve(10**18).__aenter__(), 1)

    asyncio.run(all_at_once())


def test_a_failed_attempt_gives_its_reservation_back() -> None:
    async def fail_and_go_on() -> int:
        budget = Budget(10)
        with pytest.raises(TransientError):
            async with budget.reserve(10):
                raise TransientError("cut")
        waiting = asyncio.create_task(spend(budget, [(10, 3, 0)], 1))
        await waiting
        return budget.spent

    assert asyncio.run(fail_and_go_on()) == 3


def test_one_who_leaves_while_waiting_holds_nothing() -> None:
    async def leave() -> None:
        budget = Budget(10)
        async with budget.reserve(10):
            waiting = asyncio.create_task(budget.reserve(5).__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(1), budget.reserve(10):
            pass

    asyncio.run(leave())


@pytest.mark.parametrize("concurrency", [1, 20, 100])
def test_real_requests_stay_below_the_cap(tmp_path: Path, concurrency: int) -> None:
    price = Price(input=3, output=15, cached=1, cache_write=4)

    def usage(request: Request) -> Usage:
        rng = random.Random(request.messages[-1].content)
        return Usage(input_tokens=rng.randrange(1, 12), output_tokens=rng.randrange(200))

    def cost(used: Usage) -> int:
        return used.input_tokens * 3 + used.output_tokens * 15

    async def run_into_it(cap: int) -> int:
        teacher = Echo(usage=usage, latency=lambda request: random.Random(request.key).random() / 500)
        budget = Budget(cap)
        done = 0
        folder = tmp_path / f"{cap}"
        with pytest.raises(BudgetReached):  # noqa: PT012 (the loop raises)
            async with running(
                folder, teacher, price=price, budget=budget, limits=Limits(concurrency)
            ) as run:

                async def one(i: int) -> None:
                    nonlocal done
                    await run.generate(f"task {i}", max_tokens=200)
                    done += 1

                async for _ in run.map(one, range(1_000)):
                    pass
        paid = sum(cost(usage(request)) for request in teacher.asked)
        assert budget.spent == paid <= cap
        assert cap - paid < 200 * 15 + 100 * 4  # no worst case had room any more
        return done

    assert asyncio.run(run_into_it(20_000)) < asyncio.run(run_into_it(60_000))


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (None, "unpriced"),
        (0, "$0"),
        (1, "$1e-09"),
        (4_200_000, "$0.0042"),
        (420_000_000, "$0.42"),
        (1234 * NANO + 5 * NANO // 10, "$1,234.50"),
    ],
)
def test_dollars(nano: int | None, text: str) -> None:
    assert dollars(nano) == text


@pytest.mark.parametrize(
    ("value", "run", "steps"),
    [
        (None, Cap(), {}),
        (5, Cap(nano=5 * NANO), {}),
        (0.25, Cap(nano=NANO // 4), {}),
        ({"dollars": 1, "tokens": 2_000}, Cap(NANO, 2_000), {}),
        ({"tokens": 2e6}, Cap(tokens=2_000_000), {}),
        (
            {"dollars": 3, "steps": {"judge": 1, "alpaca": {"tokens": 10}}},
            Cap(3 * NANO),
            {"judge": Cap(NANO), "alpaca": Cap(tokens=10)},
        ),
    ],
)
def test_what_a_pipeline_says(value: object, run: Cap, steps: dict[str, Cap]) -> None:
    assert Caps.of(value) == Caps(run, steps)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("5", "`budget` must be a number of dollars, not '5'"),
        (True, "`budget` must be a number of dollars, not True"),
        (-1, "`budget` must be a number of dollars, not -1"),
        (float("nan"), "`budget` must be a number of dollars, not nan"),
        ({"euros": 5}, "`budget`: there is no unit `euros`"),
        ({"tokens": "many"}, "`budget`: tokens must be a number, not 'many'"),
        ({"steps": 5}, "`budget`: steps must map the names of steps to their caps"),
        ({"steps": {"judge": "x"}}, "`budget: steps: judge` must be a number of dollars, not 'x'"),
    ],
)
def test_what_is_no_budget(value: object, message: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        Caps.of(value)
    assert wrong.value.message == message
    assert wrong.value.hint


@pytest.mark.parametrize(
    ("texts", "value"),
    [
        (["25"], {"dollars": 25}),
        (["0"], {"dollars": 0}),
        (["tokens=2_000_000"], {"tokens": 2_000_000}),
        (["5", "tokens=1e6"], {"dollars": 5, "tokens": 1_000_000}),
        (["judge=5"], {"steps": {"judge": {"dollars": 5}}}),
        (["judge.tokens=7", "judge=2"], {"steps": {"judge": {"tokens": 7, "dollars": 2}}}),
    ],
)
def test_what_the_command_line_says(texts: list[str], value: object) -> None:
    assert given(texts) == value


@pytest.mark.parametrize("text", ["much", "judge=", "=", "tokens=x", ""])
def test_what_the_command_line_cannot_mean(text: str) -> None:
    with pytest.raises(ConfigError, match="not understood") as wrong:
        given([text])
    assert "judge=5" in wrong.value.hint


@pytest.mark.parametrize("concurrency", [1, 20])
def test_a_purse_keeps_all_its_caps(concurrency: int) -> None:
    async def spend_from(purse: Purse) -> int:
        gate, refused = asyncio.Semaphore(concurrency), 0
        rng = random.Random(concurrency)

        async def one() -> None:
            nonlocal refused
            async with gate:
                nano, tokens = rng.randrange(1, 50), rng.randrange(1, 50)
                try:
                    async with purse.reserve(nano, tokens) as reserved:
                        await asyncio.sleep(rng.random() / 2_000)
                        if rng.random() < 0.2:
                            reserved.keep()
                        elif rng.random() < 0.8:
                            reserved.settle(rng.randrange(nano + 1), rng.randrange(tokens + 1))
                except BudgetReached:
                    refused += 1

        await asyncio.wait_for(asyncio.gather(*(one() for _ in range(200))), 20)
        return refused

    whole, step, tokens = Budget(2_000), Budget(900, what="the budget of `judge`"), Budget(700, unit="tokens")
    refused = asyncio.run(spend_from(Purse([whole, step], [tokens])))
    assert refused > 0
    assert whole.spent == step.spent <= 900
    assert tokens.spent <= 700
    assert (whole._reserved, step._reserved, tokens._reserved) == (0, 0, 0)


def test_a_cap_says_whose_and_in_what(tmp_path: Path) -> None:
    with pytest.raises(
        BudgetReached, match=r"the budget of `judge` of 700 tokens is reached: 690 tokens spent so far"
    ):
        asyncio.run(Budget(700, 690, what="the budget of `judge`", unit="tokens").take(11))
