"""The ledger: what was sent is booked before it leaves, and a run has spent what its attempts say, doubt included."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fakes import Echo, python, running

from selfinstruct.budget import Budget
from selfinstruct.errors import BudgetReached, Paused, TeacherError, TransientError
from selfinstruct.limits import Limits
from selfinstruct.pricing import Price
from selfinstruct.store import FILE, Booked, Store
from selfinstruct.teachers import Completion, Request, Usage
from selfinstruct.teachers.reply import EmptyAnswerError

PRICE = Price(input=3, output=15, cached=1, cache_write=4, version="2026-11-20")
# "q" is one byte: 1 + 16 tokens read at most, each at the dearest 4 nano-dollars; 9 written at 15
WORST = (1 + 16) * 4 + 9 * 15


def attempts(folder: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM attempts ORDER BY id")]


async def ask(folder: Path, teacher: Echo, budget: Budget | None = None, deadline: float = 60.0) -> Budget:
    budget = budget or Budget()
    async with running(folder, teacher, budget=budget, price=PRICE, deadline=deadline) as run:
        await run.generate("q", max_tokens=9)
    return budget


def test_an_attempt_is_on_disk_before_it_is_sent(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def look(request: Request) -> float:
        seen.extend(attempts(tmp_path))
        return 0

    asyncio.run(ask(tmp_path, Echo(latency=look)))
    (intent,) = seen
    assert (intent["outcome"], intent["cost_nano"]) == (None, None)
    assert (intent["step"], intent["role"], intent["model"], intent["way"]) == (
        "step",
        "teacher",
        "echo",
        "realtime",
    )
    assert (intent["reserved_nano"], intent["reserved_tokens"]) == (WORST, 17 + 9)
    assert intent["price"] == "2026-11-20"
    (settled,) = attempts(tmp_path)
    assert settled["key"] == intent["key"]
    assert (settled["outcome"], settled["input_tokens"], settled["output_tokens"]) == ("answered", 10, 5)
    assert settled["cost_nano"] == 10 * 3 + 5 * 15
    assert settled["seconds"] >= 0
    assert settled["sent"] == intent["sent"]


@pytest.mark.parametrize(
    ("trouble", "outcome", "nano", "tokens"),
    [
        (TransientError("HTTP 429: slow down", overloaded=True), "failed", 0, 0),
        (TransientError("the connection broke", in_doubt=True), "doubt", WORST, 26),
        (TransientError("no choice", billed=Usage(10, 2)), "empty", 10 * 3 + 2 * 15, 12),
        (EmptyAnswerError("empty", Completion("", usage=Usage(10, 1))), "empty", 10 * 3 + 15, 11),
    ],
)
def test_a_failed_attempt_counts_with_what_is_known_of_it(
    tmp_path: Path, impatient: None, trouble: TransientError, outcome: str, nano: int, tokens: int
) -> None:
    budget = asyncio.run(ask(tmp_path, Echo(trouble)))
    first, second = attempts(tmp_path)
    assert (first["outcome"], first["detail"]) == (outcome, trouble.message)
    assert second["outcome"] == "answered"
    answer = 10 * 3 + 5 * 15
    assert budget.spent == nano + answer
    with Store.read(tmp_path) as store:
        assert store.booked() == Booked(nano + answer, tokens + 15)
        assert store.booked("step") == store.booked()
        assert store.booked("another") == (0, 0)
        spent = store.spent()
    assert (spent.calls, spent.priced_nano) == (1, nano + answer)
    assert spent.doubt_nano == (nano if outcome == "doubt" else 0)


def test_a_timeout_is_in_doubt(tmp_path: Path, impatient: None) -> None:
    slow = [1.0, 0.0]
    asyncio.run(ask(tmp_path, Echo(latency=lambda request: slow.pop(0)), deadline=0.05))
    assert [row["outcome"] for row in attempts(tmp_path)] == ["doubt", "answered"]


def test_a_refusal_for_good_costs_nothing_and_ends_the_run(tmp_path: Path) -> None:
    teacher = Echo(TeacherError("HTTP 401: bad key", "check it"), latency=lambda request: 0.001)

    async def many() -> None:
        async with running(tmp_path, teacher, price=PRICE, limits=Limits(1)) as run:
            await asyncio.gather(*(run.generate(f"{i}") for i in range(20)))

    with pytest.raises(TeacherError, match="bad key"):
        asyncio.run(many())
    assert len(teacher.asked) == 1
    (row,) = attempts(tmp_path)
    assert (row["outcome"], row["cost_nano"], row["detail"]) == ("failed", 0, "HTTP 401: bad key")


def test_after_the_first_pause_nothing_more_is_sent(tmp_path: Path) -> None:
    late = TransientError("HTTP 429: daily limit", overloaded=True, retry_after=86_400)
    teacher = Echo(late, latency=lambda request: 0.001)

    async def many() -> None:
        async with running(tmp_path, teacher, limits=Limits(1)) as run:
            await asyncio.gather(*(run.generate(f"{i}") for i in range(20)))

    with pytest.raises(Paused, match="daily limit"):
        asyncio.run(many())
    assert len(teacher.asked) == 1


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from fakes import Echo, running
from test_ledger import PRICE

def die(request):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with running(Path(sys.argv[1]), Echo(latency=die), price=PRICE) as run:
        await run.generate("q", max_tokens=9)

asyncio.run(main())
"""


def test_what_was_in_flight_when_the_process_died_counts_as_spent(tmp_path: Path) -> None:
    process = python("-c", KILLED, str(tmp_path))
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL
    with Store.open(tmp_path) as store:
        assert store.booked() == (WORST, 26)
        assert store.spent().doubt_nano == WORST
        before = store.booked().nano
    cap = WORST + WORST - 1  # there is no room for another one that may cost as much
    with pytest.raises(BudgetReached, match="is reached"):
        asyncio.run(ask(tmp_path, Echo(), Budget(cap, before)))
    asyncio.run(ask(tmp_path, Echo(), Budget(cap + 1, before)))
    with Store.read(tmp_path) as store:
        assert store.booked().nano == WORST + 10 * 3 + 5 * 15


def test_an_unpriced_attempt_is_booked_without_a_price(tmp_path: Path) -> None:
    async def unpriced() -> None:
        async with running(tmp_path, Echo()) as run:
            await run.generate("q")

    asyncio.run(unpriced())
    (row,) = attempts(tmp_path)
    assert (row["reserved_nano"], row["cost_nano"], row["price"]) == (None, None, "")
    with Store.read(tmp_path) as store:
        assert store.spent().cost_nano is None
