from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Echo, running

import selfinstruct.run
from selfinstruct.budget import Budget
from selfinstruct.errors import ConfigError, Paused, StoreError, TeacherError, TransientError
from selfinstruct.limits import Limits
from selfinstruct.pricing import Price
from selfinstruct.run import Run
from selfinstruct.sample import Message, Sample
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Request, Usage
from selfinstruct.teachers.reply import EmptyAnswerError

EMPTY = Completion("", usage=Usage(10, 2))


def uneven(seed: int) -> Callable[[Request], float]:
    """Latencies of 0 to 4 ms that look random."""
    return lambda request: random.Random(f"{seed}{request.key}").random() / 250


# map


@pytest.mark.parametrize("window", [1, 3, 50])
def test_results_come_in_the_order_of_the_items(tmp_path: Path, window: int) -> None:
    async def slow_first(i: int) -> int:
        await asyncio.sleep((20 - i) / 4_000)
        return i * i

    async def main() -> list[int]:
        async with running(tmp_path, Echo()) as run:
            return [result async for result in run.map(slow_first, range(20), window=window)]

    assert asyncio.run(main()) == [i * i for i in range(20)]


@pytest.mark.parametrize("window", [1, 4])
def test_an_item_is_made_only_after_the_one_a_window_before_was_consumed(tmp_path: Path, window: int) -> None:
    consumed = 0
    made: list[tuple[int, int]] = []

    async def items() -> AsyncIterator[int]:
        for i in range(12):
            made.append((i, consumed))
            yield i

    async def quick(i: int) -> int:
        return i

    async def main() -> None:
        nonlocal consumed
        async with running(tmp_path, Echo()) as run:
            async for _ in run.map(quick, items(), window=window):
                await asyncio.sleep(0.001)  # time enough for anybody who wants to run ahead
                consumed += 1

    asyncio.run(main())
    assert made == [(i, max(0, i - window + 1)) for i in range(12)]


@pytest.mark.parametrize("window", [1, 5])
def test_the_window_bounds_what_is_in_flight(tmp_path: Path, window: int) -> None:
    teacher = Echo(latency=uneven(0))

    async def main() -> None:
        async with running(tmp_path, teacher, limits=Limits(100)) as run:
            async for _ in run.map(run.generate, (f"{i}" for i in range(40)), window=window):
                pass

    asyncio.run(main())
    assert teacher.most == window


def test_a_failure_cancels_the_rest_and_leaves_nothing_running(tmp_path: Path) -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def work(i: int) -> int:
        begun.append(i)
        try:
            if i == 2:
                raise TeacherError("no such model")
            await asyncio.sleep(0 if i < 2 else 60)
        finally:
            ended.append(i)
        return i

    async def main() -> list[int]:
        seen = []
        async with running(tmp_path, Echo()) as run:
            before = asyncio.all_tasks()
            with pytest.raises(TeacherError, match="no such model"):  # noqa: PT012 (the loop raises)
                async for result in run.map(work, range(1_000), window=8):
                    seen.append(result)
            assert asyncio.all_tasks() == before
        return seen

    assert asyncio.run(main()) == [0, 1]
    assert len(begun) >= 8
    assert sorted(begun) == sorted(ended)


def test_a_failing_source_cancels_too(tmp_path: Path) -> None:
    ended: list[int] = []

    async def work(i: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(i)

    async def items() -> AsyncIterator[int]:
        yield 0
        yield 1
        await asyncio.sleep(0.01)
        raise TeacherError("the file is cut")

    async def main() -> None:
        async with running(tmp_path, Echo()) as run:
            with pytest.raises(TeacherError, match="the file is cut"):
                async for _ in run.map(work, items(), window=8):
                    pass

    asyncio.run(main())
    assert sorted(ended) == [0, 1]


def test_a_loop_that_feeds_itself_depends_on_the_window_alone(tmp_path: Path) -> None:
    """Each prompt quotes the newest answer, so any difference in timing would show in every later prompt."""

    async def loop(folder: Path, window: int, concurrency: int, seed: int) -> list[str]:
        pool = ["seed"]

        def prompts() -> Any:
            for i in range(60):
                yield f"{i}:{pool[-1][-12:]}"

        async with running(folder, Echo(latency=uneven(seed)), limits=Limits(concurrency)) as run:
            async for completion in run.map(run.generate, prompts(), window=window):
                pool.append(completion.text)
        return pool

    results = {}
    for window in (4, 16):
        for n, (concurrency, seed) in enumerate([(1, 0), (3, 1), (64, 2), (64, 3)]):
            folder = tmp_path / f"{window}-{n}"
            results[window, n] = asyncio.run(loop(folder, window, concurrency, seed))
        assert all(results[window, n] == results[window, 0] for n in range(4))
    assert results[4, 0] != results[16, 0]


# generate


def test_an_answer_is_filed_before_it_is_used_and_never_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Store._sync

    def slow_disk(store: Store) -> None:
        time.sleep(0.05)
        commit(store)

    monkeypatch.setattr(Store, "_sync", slow_disk)

    async def main() -> tuple[int, int]:
        first = Echo()
        async with running(tmp_path, first) as run:
            completion = await run.generate("hello")
            with Store.read(tmp_path) as beside:
                filed = beside.get(completion.key)
            assert filed is not None
            assert filed.completion == completion
            assert completion.text == "hello"
        second = Echo()
        async with running(tmp_path, second) as run:
            assert await run.generate("hello") == completion
        return len(first.asked), len(second.asked)

    assert asyncio.run(main()) == (1, 0)


def test_equal_requests_in_flight_share_one_call_and_draws_part_them(tmp_path: Path) -> None:
    teacher = Echo(latency=lambda request: 0.01)

    async def main() -> None:
        async with running(tmp_path, teacher) as run:
            same = await asyncio.gather(*(run.generate("same") for _ in range(10)))
            assert len({completion.key for completion in same}) == 1
            assert (run._tally.calls, run._tally.asked, run._tally.input_tokens) == (1, 1, 10)
            other = await asyncio.gather(*(run.generate("same", draw=draw) for draw in range(3)))
            assert other[0] == same[0]
            assert len({completion.key for completion in other}) == 3

    asyncio.run(main())
    assert sorted(request.draw for request in teacher.asked) == [0, 1, 2]


def test_what_a_prompt_may_be(tmp_path: Path) -> None:
    teacher = Echo()
    row = Sample((Message("system", "s"), Message("user", "q"), Message("assistant", "an old answer")))

    async def main() -> None:
        async with running(tmp_path, teacher) as run:
            await run.generate("text")
            await run.generate(row)
            await run.generate([Message("user", "a"), Message("assistant", "b")], raw=True)

    asyncio.run(main())
    text, sample, raw = teacher.asked
    assert text.messages == (Message("user", "text"),)
    assert sample.messages == row.messages[:2]
    assert (raw.messages, raw.text) == ((), "a\n\nb")


@pytest.mark.parametrize("structured", [False, True])
def test_only_a_teacher_that_can_is_held_to_a_schema(tmp_path: Path, structured: bool) -> None:
    teacher = Echo(structured=structured)
    schema = {"type": "object"}

    async def main() -> None:
        async with running(tmp_path, teacher) as run:
            await run.generate("q", schema=schema)

    asyncio.run(main())
    assert teacher.asked[0].schema == (schema if structured else None)


def test_the_users_parameters_beat_the_recipes(tmp_path: Path) -> None:
    teacher = Echo()
    mine = {"temperature": 0.2, "top_p": None, "seed": 7}

    async def main() -> None:
        async with running(tmp_path, teacher, params=mine) as run:
            await run.generate("q", temperature=1.0, top_p=0.9, max_tokens=5, stop=None)

    asyncio.run(main())
    assert teacher.asked[0].params == {"temperature": 0.2, "max_tokens": 5, "seed": 7}


def test_transient_trouble_is_tried_again(tmp_path: Path, impatient: None) -> None:
    teacher = Echo(*[TransientError("HTTP 500: oops")] * 5)

    async def main() -> str:
        async with running(tmp_path, teacher) as run:
            return (await run.generate("q")).text

    assert asyncio.run(main()) == "q"
    assert len(teacher.asked) == 6
    assert len({request.key for request in teacher.asked}) == 1


def test_trouble_without_end_pauses(tmp_path: Path, impatient: None) -> None:
    teacher = Echo(*[TransientError("HTTP 500: oops")] * 50)

    async def main() -> None:
        async with running(tmp_path, teacher) as run:
            with pytest.raises(
                Paused, match="echo gave no usable answer in 6 attempts: HTTP 500: oops"
            ) as paused:
                await run.generate("q")
            assert "same command" in paused.value.hint

    asyncio.run(main())
    assert len(teacher.asked) == 6


def test_overload_is_waited_out_and_lowers_the_concurrency(tmp_path: Path, impatient: None) -> None:
    overload = TransientError("HTTP 429: slow down", overloaded=True, retry_after=0.001)
    teacher = Echo(*[overload] * 20, TransientError("cut"))
    limits = Limits(16)

    async def main() -> str:
        async with running(tmp_path, teacher, limits=limits) as run:
            return (await run.generate("q")).text

    assert asyncio.run(main()) == "q"
    assert (
        len(teacher.asked) == 22
    )  # overload is not the request's own fault: one cut body after it is no end
    assert limits.allowed == 1


def test_a_long_wait_pauses_at_once(tmp_path: Path) -> None:
    teacher = Echo(TransientError("HTTP 429: daily limit", overloaded=True, retry_after=3_600))

    async def main() -> None:
        async with running(tmp_path, teacher) as run:
            with pytest.raises(Paused, match=r"daily limit.*3600 s"):
                await run.generate("q")

    asyncio.run(main())
    assert len(teacher.asked) == 1


def test_a_refusal_for_good_is_not_tried_again(tmp_path: Path) -> None:
    teacher = Echo(TeacherError("HTTP 401: bad key", "set OPENAI_API_KEY"))

    async def main() -> None:
        async with running(tmp_path, teacher) as run:
            with pytest.raises(TeacherError, match="bad key"):
                await run.generate("q")

    asyncio.run(main())
    assert len(teacher.asked) == 1


def test_an_empty_answer_is_billed_each_time_and_filed_in_the_end(tmp_path: Path, impatient: None) -> None:
    teacher = Echo(*[EmptyAnswerError("the answer is empty", EMPTY)] * 50)
    budget = Budget(10**9)

    async def main() -> None:
        async with running(tmp_path, teacher, budget=budget, price=Price(3, 15, 3, 3)) as run:
            completion = await run.generate("q", max_tokens=9)
            assert (completion.text, completion.finish_reason) == ("", "stop")
            assert (await run.generate("q", max_tokens=9)) == completion
        assert budget.spent == 6 * (10 * 3 + 2 * 15)
        with Store.read(tmp_path) as store:
            assert store.spent().cost_nano == budget.spent  # so that a later execution knows of all six

    asyncio.run(main())
    assert len(teacher.asked) == 6


def test_an_empty_answer_may_be_followed_by_a_full_one(tmp_path: Path, impatient: None) -> None:
    teacher = Echo(EmptyAnswerError("the answer is empty", EMPTY), TransientError("cut"))
    budget = Budget()

    async def main() -> str:
        async with running(tmp_path, teacher, budget=budget, price=Price(3, 15, 3, 3)) as run:
            return (await run.generate("q")).text

    assert asyncio.run(main()) == "q"
    assert budget.spent == (10 * 3 + 2 * 15) + (10 * 3 + 5 * 15)


def test_the_deadline_counts_from_sending(tmp_path: Path, impatient: None) -> None:
    teacher = Echo(latency=lambda request: 0.03)

    async def main() -> None:
        async with running(tmp_path, teacher, limits=Limits(1), deadline=0.2) as run:
            began = time.monotonic()
            await asyncio.gather(*(run.generate(f"{i}") for i in range(12)))
            assert time.monotonic() - began > 0.2  # the last one queued longer than its deadline

    asyncio.run(main())
    assert len(teacher.asked) == 12


def test_an_attempt_past_its_deadline_is_transient_trouble(tmp_path: Path, impatient: None) -> None:
    teacher = Echo()
    teacher.latency = lambda request: 60 if len(teacher.asked) == 1 else 0

    async def main() -> str:
        async with running(tmp_path, teacher, deadline=0.05) as run:
            return (await run.generate("q")).text

    assert asyncio.run(asyncio.wait_for(main(), 5)) == "q"
    assert len(teacher.asked) == 2


def test_an_answer_is_filed_though_its_asker_is_gone(tmp_path: Path) -> None:
    teacher = Echo(latency=lambda request: 0.03)

    async def main() -> None:
        async with running(tmp_path, teacher) as run:
            asker = asyncio.create_task(run.generate("q"))
            await asyncio.sleep(0.01)
            asker.cancel()
            await asyncio.gather(asker, return_exceptions=True)
        with Store.read(tmp_path) as store:
            assert store.get(teacher.asked[0].key) is not None

    asyncio.run(main())


def test_after_closing_nothing_is_sent(tmp_path: Path) -> None:
    teacher = Echo(latency=lambda request: 0.02)

    async def main() -> list[Any]:
        async with running(tmp_path, teacher, limits=Limits(2)) as run:
            askers = [asyncio.create_task(run.generate(f"{i}")) for i in range(10)]
            await asyncio.sleep(0.01)  # two are sent, eight wait for a place
        return await asyncio.gather(*askers, return_exceptions=True)

    results = asyncio.run(main())
    assert len(teacher.asked) == 2
    assert sum(isinstance(result, Completion) for result in results) == 2
    with Store.read(tmp_path) as store:
        assert store.spent().calls == 2


def test_who_comes_after_closing_is_sent_away(tmp_path: Path) -> None:
    teacher = Echo()

    async def main() -> None:
        async with running(tmp_path, teacher) as run:
            await run._session.close()
            with pytest.raises(Paused):
                await run.generate("late")

    asyncio.run(main())
    assert teacher.asked == []


def test_no_more_answers_are_unfiled_than_may_be_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many can a crash lose, however slow the disk is."""
    commit = Store._sync
    teacher = Echo()
    unfiled = 0

    def slow_disk(store: Store) -> None:
        nonlocal unfiled
        time.sleep(0.01)
        with Store.read(tmp_path) as beside:
            unfiled = max(unfiled, len(teacher.asked) - beside.spent().calls)
        commit(store)

    monkeypatch.setattr(Store, "_sync", slow_disk)

    async def main() -> None:
        async with running(tmp_path, teacher, limits=Limits(4)) as run:
            async for _ in run.map(run.generate, (f"{i}" for i in range(40)), window=40):
                pass

    asyncio.run(main())
    assert unfiled == 4


def test_closing_waits_for_what_was_sent_and_for_nothing_else(tmp_path: Path) -> None:
    """Not for a pause before the next attempt, not for a Retry-After, not for a place."""
    teacher = Echo(TransientError("HTTP 429", overloaded=True, retry_after=100))

    async def main() -> float:
        async with running(tmp_path, teacher, limits=Limits(1)) as run:
            for i in range(3):
                asyncio.create_task(run.generate(f"{i}")).add_done_callback(lambda done: done.exception())
            await asyncio.sleep(0.05)
            began = time.monotonic()
        return time.monotonic() - began

    assert asyncio.run(main()) < 1
    assert len(teacher.asked) == 1


def test_an_answer_that_does_not_come_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfinstruct.run, "GRACE", 0.05)

    async def main() -> None:
        before = asyncio.all_tasks()
        async with asyncio.timeout(5):
            async with running(tmp_path, Echo(latency=lambda request: 60)) as run:
                asker = asyncio.create_task(run.generate("q"))
                await asyncio.sleep(0.01)
            await asyncio.gather(asker, return_exceptions=True)
        assert asyncio.all_tasks() == before

    asyncio.run(main())


def test_a_store_that_fails_stops_the_run(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, Echo()) as run:
            run._session.store._writer.close()
            with pytest.raises(StoreError):
                await asyncio.wait_for(run.generate("q"), 5)

    asyncio.run(main())


def test_the_price_of_a_call(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, Echo(), price=Price(3, 15, 3, 3)) as run:
            await run.generate("q")
            await run.generate("q")
            assert run._tally.cost_nano == 10 * 3 + 5 * 15
        async with running(tmp_path / "unpriced", Echo()) as run:
            await run.generate("q")
            assert run._session.store.spent().cost_nano is None

    asyncio.run(main())


def test_no_request_costs_more_than_its_worst_case(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, Echo(structured=True), price=Price(1, 1_000, 1, 1)) as run:
            role = run.place.role("teacher")
            schema = {"type": "object", "properties": {"x" * 500: {"type": "string"}}}
            request = role.request("é" * 100, 0, False, schema, {"max_tokens": 7})
            tokens, nano = role.worst(request)
            # a token is never shorter than a byte, in the prompt and in the schema
            assert tokens >= 200 + 500 + 7
            assert nano >= 200 + 500 + 7_000
            unbounded = role.worst(role.request("q", 0, False, None, {}))
            assert unbounded[0] > 32_000

    asyncio.run(main())


def test_a_role_without_a_model(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, Echo()) as run:
            assert run.teacher("judge") is run.teacher("teacher")
            object.__setattr__(run.place, "roles", {})
            with pytest.raises(ConfigError, match="no model is named for the role `judge`"):
                await run.generate("q", by="judge")

    asyncio.run(main())


# the rest of the view


def view(folder: Path, seed: int = 0, step: str = "step") -> Callable[[Callable[[Run], Any]], Any]:
    def call(work: Callable[[Run], Any]) -> Any:
        async def main() -> Any:
            async with running(folder, Echo(), seed=seed, step=step) as run:
                return work(run)

        return asyncio.run(main())

    return call


def test_randomness_depends_on_what_is_drawn(tmp_path: Path) -> None:
    def draw(run: Run) -> list[float]:
        return [run.rng("a").random(), run.rng("b").random(), run.rng("a", 1).random()]

    first = view(tmp_path)(draw)
    assert first == view(tmp_path)(draw)
    assert view(tmp_path)(lambda run: run.rng("b").random()) == first[1]  # never on when
    others = [view(tmp_path, seed=1)(draw), view(tmp_path, step="other")(draw)]
    assert len({*first, *others[0], *others[1]}) == 9


def test_a_memo_is_computed_once(tmp_path: Path) -> None:
    calls: list[str] = []

    async def main(value: Any) -> list[Any]:
        async def compute() -> Any:
            calls.append("x")
            return value

        async with running(tmp_path, Echo()) as run:
            return [await run.memo(["key", str(value)], compute) for _ in range(2)]

    for value, stored in [(None, None), (0, 0), ((1, 2), [1, 2])]:
        assert asyncio.run(main(value)) == [stored, stored]
        assert asyncio.run(main(value)) == [stored, stored]
    assert len(calls) == 3


def test_drops_are_booked_with_any_detail(tmp_path: Path) -> None:
    def book(run: Run) -> Any:
        run._tally.came = 3
        run.drop(Sample.of("q"), "too_long", rule="words", value=9, sample="x", reason="y")
        run.drop("raw text", "bad_block")
        return run._tally.pending, dict(run._tally.drops), run.dropped

    pending, drops, dropped = view(tmp_path)(book)
    assert (pending, drops) == (1, {"too_long": 1, "bad_block": 1})
    assert [position for position, _ in dropped] == [0, 1]
    assert dropped[0][1].detail == {"rule": "words", "value": 9, "sample": "x", "reason": "y"}


def test_a_trace_names_the_request(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, Echo(), step="respond") as run:
            completion = await run.generate("q")
            row = run.trace(Sample.of("q").note(requests={"alpaca": "abc"}), completion)
            assert row.meta["requests"] == {"alpaca": "abc", "respond": completion.key}

    asyncio.run(main())


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, beside = tmp_path / "here", tmp_path / "beside"
    for folder in (here, beside):
        folder.mkdir()
        (folder / "both").touch()
    (beside / "there").touch()
    monkeypatch.chdir(here)

    def look(run: Run) -> list[Path]:
        object.__setattr__(run.place, "beside", beside)
        return [run.path(name) for name in ("both", "there", "nowhere", str(beside / "both"), "~/x")]

    both, there, nowhere, absolute, home = view(tmp_path)(look)
    assert both.resolve() == here / "both"
    assert there == beside / "there"
    assert nowhere == beside / "nowhere"
    assert absolute == beside / "both"
    assert home == Path.home() / "x"
