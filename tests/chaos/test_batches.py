"""Batches end to end: whatever becomes of one, no row that was paid for is lost, and nothing is handed in twice."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from batch_server import SHAPES, Batches
from course import Course
from loopback import Loopback
from tenacity import wait_none
from trials import Answerer, ask, attempts, prompts, written

from selfinstruct import batching
from selfinstruct import run as running
from selfinstruct.errors import BudgetReached, ConfigError, Paused, TransientError
from selfinstruct.pipeline import execute
from selfinstruct.pricing import Price, cost
from selfinstruct.steps import read, respond
from selfinstruct.store import Store
from selfinstruct.store.journal import Journal
from selfinstruct.teachers import batches

PRICE = {"input": 2, "output": 8}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LULL", 0.02)
    monkeypatch.setattr(batching, "FIRST_LOOK", 0.01)
    monkeypatch.setattr(batching, "BACK_OFF", wait_none())
    monkeypatch.setattr(running, "BACK_OFF", wait_none())


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def asked(out: Path, server: Loopback, rows: int, provider: str = "openai", **model: Any) -> list[str]:
    model = {"model": f"{provider}/test", "mode": "batch", "price": PRICE, **model}
    return [row.output for row in ask(out, server, rows, draws=3, **model).samples]


def right(rows: int) -> list[str]:
    return [f"the answer to: {row.instruction}" for row in prompts(rows)]


def test_one_batch_at_half_the_price(tmp_path: Path, provider: str) -> None:
    with Loopback(Answerer()) as server:
        server.batches = Batches(looks=2)
        assert asked(tmp_path, server, 40, provider) == right(40)
        assert [len(ids) for ids in server.batches.submitted] == [40]
        assert server.paid == []  # nothing went the other way
    rows = attempts(tmp_path)
    assert Counter((row["way"], row["outcome"]) for row in rows) == {("batch", "answered"): 40}
    half = Price.of({"input": 1, "output": 4})
    with Store.read(tmp_path) as store:
        bills = [store.get(row["key"]) for row in rows]
        assert store.booked().nano == sum(cost(bill.completion.usage, half) for bill in bills if bill)
        assert (
            Journal(store).unfinished(f"{provider}/test@loop") != []
        )  # closed when the next run has seen that all is on file


@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_becomes_of_a_batch(tmp_path: Path, provider: str, shape: str) -> None:
    with Loopback(Answerer()) as server:
        server.batches = Batches(shape)
        make = server.batches._created

        async def created(*given: Any, **more: Any) -> Any:
            reply = await make(*given, **more)
            assert server.batches is not None
            server.batches.shape = "plain"  # the next one goes well
            return reply

        server.batches._created = created  # type: ignore[method-assign]
        if (
            shape == "failed" and provider == "openai"
        ):  # in the provider's words, and nothing at the full price
            with pytest.raises(Paused, match="failed as a whole: enqueued token limit reached"):
                asked(tmp_path, server, 12, provider, mode="batch-then-realtime")
            assert server.paid == []
        answers = asked(tmp_path, server, 12, provider)
        if shape == "refused_rows":  # refused for good: a drop with its reason, not asked again
            assert answers == right(12)[::2]
            assert len(server.batches.submitted) == 1
        else:
            assert answers == right(12)
            made = Counter(server.batches.paid)
            broken = 6 if shape == "broken_rows" else 0
            assert sum(made.values()) == 12 + broken  # what was made and usable is not made again
    with Store.read(tmp_path) as store:
        assert store.spent().doubt_nano == 0


def test_stragglers_in_real_time(tmp_path: Path, provider: str) -> None:
    with Loopback(Answerer()) as server:
        server.batches = Batches("expired")
        assert asked(tmp_path, server, 10, provider, mode="batch-then-realtime") == right(10)
        assert len(server.batches.submitted) == 1
        assert len(server.paid) == 5
    ways = Counter((row["way"], row["outcome"]) for row in attempts(tmp_path))
    assert ways == {("batch", "answered"): 5, ("batch", "failed"): 5, ("realtime", "answered"): 5}


@pytest.mark.parametrize("lost", ["upload", "create"])
def test_a_reply_that_is_lost_hands_nothing_in_twice(tmp_path: Path, provider: str, lost: str) -> None:
    if lost == "upload" and provider == "anthropic":
        pytest.skip("Anthropic's batches have no file of their own")
    with Loopback(Answerer()) as server:
        server.batches = Batches()
        server.batches.lose = [lost]
        assert asked(tmp_path, server, 10, provider) == right(10)
        assert len(server.batches.submitted) == 1
        assert len(server.batches.paid) == 10


@pytest.mark.parametrize("looks", [2, 5])
def test_an_outage_after_a_lost_reply(
    tmp_path: Path, provider: str, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = batches.OpenAIBatches if provider == "openai" else batches.AnthropicBatches
    find, left = wire.find, [looks]

    async def down(self: Any, *given: Any) -> str | None:
        if left[0]:
            left[0] -= 1
            raise TransientError("nothing answers")
        found: str | None = await find(self, *given)
        return found

    monkeypatch.setattr(wire, "find", down)
    with Loopback(Answerer()) as server:
        server.batches = Batches()
        server.batches.lose = ["create"]
        if looks == 5:  # as many attempts as there are: it is not known whether the batch arrived
            with pytest.raises(Paused, match="a batch can't be handed in") as paused:
                asked(tmp_path, server, 10, provider)
            assert "first asks the provider whether the batch arrived" in paused.value.hint
        assert asked(tmp_path, server, 10, provider) == right(10)
        assert len(server.batches.submitted) == 1
        assert len(server.batches.paid) == 10


@pytest.mark.parametrize("call", ["look", "rows"])
def test_an_outage_while_it_is_waited_for(
    tmp_path: Path, provider: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = batches.OpenAIBatches if provider == "openai" else batches.AnthropicBatches

    async def down(self: Any, *given: Any) -> Any:
        raise TransientError("nothing answers")

    with Loopback(Answerer()) as server:
        server.batches = Batches()
        with monkeypatch.context() as outage:
            outage.setattr(wire, call, down)
            with pytest.raises(Paused, match="a batch can't be asked about: nothing answers"):
                asked(tmp_path, server, 10, provider)
        assert asked(tmp_path, server, 10, provider) == right(10)
        assert len(server.batches.submitted) == 1
        assert len(server.batches.paid) == 10


def test_a_hand_over_that_takes_too_long(
    tmp_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "CALL", 0.3)
    with Loopback(Answerer()) as server:
        server.batches = Batches()
        make, first = server.batches._created, [True]

        async def created(*given: Any, **more: Any) -> Any:
            reply = await make(*given, **more)
            if first and first.pop():
                await asyncio.sleep(3)  # it is made, and the reply does not come in time
            return reply

        server.batches._created = created  # type: ignore[method-assign]
        assert asked(tmp_path, server, 10, provider) == right(10)
        assert len(server.batches.submitted) == 1


def test_a_batch_that_was_made_and_refused_by_a_gateway(tmp_path: Path, provider: str) -> None:
    with Loopback(Answerer()) as server:
        server.batches = Batches()
        make, first = server.batches._created, [True]

        async def created(*given: Any, **more: Any) -> Any:
            reply = await make(*given, **more)
            return (502, b"<html>bad gateway</html>") if first and first.pop() else reply

        server.batches._created = created  # type: ignore[method-assign]
        assert asked(tmp_path, server, 10, provider) == right(10)
        assert len(server.batches.submitted) == 1


@pytest.mark.parametrize("mode", ["realtime", "batch-then-realtime"])
def test_an_open_batch_is_waited_for_in_any_mode(tmp_path: Path, provider: str, mode: str) -> None:
    with Loopback(Answerer()) as server:
        server.batches = Batches(looks=10_000)
        with pytest.raises(Paused):
            asked(tmp_path, server, 5, provider, batch_wait=0.001)
        server.batches.looks = 0
        assert asked(tmp_path, server, 5, provider, mode=mode) == right(5)
        assert server.paid == []
        assert len(server.batches.submitted) == 1


def test_the_way_is_no_part_of_the_request(tmp_path: Path) -> None:
    with Loopback(Answerer()) as server:
        server.batches = Batches()
        assert asked(tmp_path, server, 10) == right(10)
        for mode in ("realtime", "batch-then-realtime", "batch"):
            assert asked(tmp_path, server, 10, mode=mode) == right(10)
        assert (len(server.batches.submitted), len(server.paid)) == (1, 0)


def test_a_batch_is_as_large_as_the_budget_allows(tmp_path: Path) -> None:
    with Loopback(Answerer()) as server:
        server.batches = Batches()
        with pytest.raises(BudgetReached):
            ask(
                *(tmp_path, server, 200),
                model="openai/test",
                mode="batch",
                price=PRICE,
                budget=0.02,
                params={"max_tokens": 200},
            )
        price = Price.of(PRICE).half()
        bill = 0
        for key in server.batches.paid:
            with Store.read(tmp_path) as store:
                filed = store.get(key)
                assert filed is not None  # all that was made is on file
                bill += cost(filed.completion.usage, price)
        assert 0 < bill <= 20_000_000
        assert len(server.batches.submitted) > 1


def test_waiting_can_be_left_to_later(tmp_path: Path) -> None:
    with Loopback(Answerer()) as server:
        server.batches = Batches(looks=10_000)
        with pytest.raises(Paused, match="a batch is still at work") as paused:
            asked(tmp_path, server, 5, batch_wait=0.001)
        assert "goes on waiting" in paused.value.hint
        server.batches.looks = 0
        assert asked(tmp_path, server, 5) == right(5)
        assert len(server.batches.submitted) == 1


def test_what_has_no_batches_says_so_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="offline has no batch API, so mode: batch can't be"):
        execute([read(path="x"), respond()], out=tmp_path, teacher={"model": "offline", "mode": "batch"})


BATCHED = """
import asyncio, pathlib, sys
from selfinstruct import batching
from selfinstruct.store import Store
from selfinstruct.store.journal import Journal
from selfinstruct.teachers import batches
from selfinstruct.pipeline import execute
from selfinstruct.steps import read, respond, write
from selfinstruct.teachers import batches

prompts, url, out, point = sys.argv[1:]
batching.LULL = batching.FIRST_LOOK = 0.01
if point:  # die there
    import os, signal
    def die(): os.kill(os.getpid(), signal.SIGKILL)
    def before(owner, name):
        kept = getattr(owner, name)
        def dying(*given, **more):
            die()
        setattr(owner, name, dying)
    if point == "before upload": before(batches.OpenAIBatches, "_upload")
    if point == "before create":
        upload = batches.OpenAIBatches._upload
        async def uploaded(*given):
            await upload(*given); die()
        batches.OpenAIBatches._upload = uploaded
    if point == "before record":
        submit = batches.OpenAIBatches.submit
        async def submitted(*given):
            await submit(*given); die()
        batches.OpenAIBatches.submit = submitted
    if point == "polling": before(batches.OpenAIBatches, "look")
    if point == "reading": before(batches.OpenAIBatches, "rows")
    if point.isdigit():
        put, left = Store.put, [int(point)]
        async def counted(*given, **more):
            await put(*given, **more)
            left[0] -= 1
            if left[0] == 0: die()
        Store.put = counted

execute(
    [read(path=prompts), respond(), write()],
    name="batched",
    out=out,
    teacher={
        **{"model": "openai/test", "base_url": url, "endpoint": "loop"},
        **{"mode": "batch", "price": {"input": 2, "output": 8}},
    },
)
print("done")
"""


class Dying(Course):
    def die(self, point: str) -> None:
        process = self.start(point)
        _, said = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, said


def of(provider: str) -> str:
    """The pipeline with that provider's batches."""
    if provider == "openai":
        return BATCHED
    text = BATCHED.replace("OpenAIBatches", "AnthropicBatches").replace("openai/test", "anthropic/test")
    return text.replace('"_upload"', '"submit"').replace("._upload", ".submit")  # it has no file of its own


POINTS = ("before upload", "before create", "before record", "polling", "reading")


@pytest.mark.parametrize("point", [*POINTS, "1", "7"])
def test_r15_killed_in_every_state(tmp_path: Path, provider: str, point: str) -> None:
    source = tmp_path / "prompts.jsonl"
    written(20, source)
    with Loopback(Answerer()) as server:
        server.batches = Batches(looks=1)
        course = Dying(tmp_path / "run", server, of(provider), source)
        course.die(point)
        course.finish()
        handed = Counter(key for ids in server.batches.submitted for key in ids)
        assert set(handed.values()) == {1}
        assert len(server.batches.paid) == 20
        assert course.filed == 20
    with Store.read(tmp_path / "run") as store:
        spent = store.spent()
    assert spent.doubt_nano == 0
    assert spent.priced_nano == sum(row["cost_nano"] or 0 for row in attempts(tmp_path / "run"))


def test_a_batch_whose_rows_nobody_asks_for_any_more_is_filed_all_the_same(tmp_path: Path) -> None:
    source = tmp_path / "prompts.jsonl"
    written(20, source)
    with Loopback(Answerer()) as server:
        server.batches = Batches(looks=1)
        course = Dying(tmp_path / "run", server, BATCHED, source)
        course.die("polling")
        written(10, source)  # the last ten are gone from the pipeline
        course.finish()
        assert len(server.batches.submitted) == 1
        assert course.filed == 20  # they are paid for, and on file
    with Store.read(tmp_path / "run") as store:
        assert store.spent().doubt_nano == 0
