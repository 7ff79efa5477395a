from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Echo, own_steps, python

from selfinstruct.errors import (
    BudgetReached,
    ConfigError,
    DataError,
    Paused,
    StoreError,
    TeacherError,
    TransientError,
)
from selfinstruct.funnel import Funnel
from selfinstruct.pipeline import Event, Outcome, Pipeline, execute, run
from selfinstruct.run import Place, Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, Step, filter, step
from selfinstruct.store import Store
from selfinstruct.tally import Tally
from selfinstruct.teachers import Completion, Request, Teacher, Usage

Play = Callable[[Teacher], str]

with own_steps():

    @step
    async def numbers(run: Run, samples: Samples, *, n: int, start: int = 0) -> Samples:
        """`n` rows that wait for an answer."""
        async for sample in samples:
            yield sample
        for i in range(start, start + n):
            run.made()
            yield Sample.of(f"task {i}")
        run.note(rows=n)

    @step
    async def ask(run: Run, samples: Samples, *, ending: str = "", window: int = 8) -> Samples:
        async def one(sample: Sample) -> tuple[Sample, Completion]:
            return sample, await run.generate(sample.instruction + ending, max_tokens=5)

        async for sample, completion in run.map(one, samples, window=window):
            yield run.trace(sample.answer(completion.text), completion)

    @filter
    def not_divisible(sample: Sample, *, by: int = 2, reason: str = "divisible") -> str | None:
        return reason if int(sample.instruction.split()[1]) % by == 0 else None

    @step
    async def shuffled(run: Run, samples: Samples) -> Samples:
        rows = [sample async for sample in samples]
        run.rng("order").shuffle(rows)
        for sample in rows:
            yield sample

    @step
    async def loses(run: Run, samples: Samples) -> Samples:
        first = True
        async for sample in samples:
            if not first:
                yield sample
            first = False

    @step
    async def invents(run: Run, samples: Samples) -> Samples:
        async for sample in samples:
            yield sample
        yield Sample.of("from nowhere")

    @step
    async def leaves_early(run: Run, samples: Samples) -> Samples:
        async for sample in samples:
            yield sample
            return

    @step
    async def promises(run: Run, samples: Samples) -> Samples:
        async for sample in samples:
            yield sample
        run.made(3)

    @step
    async def fails_at(run: Run, samples: Samples, *, row: int) -> Samples:
        seen = 0
        async for sample in samples:
            if seen == row:
                raise TeacherError("the model is gone")
            seen += 1
            if seen % 3 == 0:
                run.drop(sample, "third")
            else:
                yield sample

    def is_there(place: Place, facts: Any, *, name: str) -> bool:
        return (place.dir / name).is_file()

    @step(intact=is_there)
    async def save(run: Run, samples: Samples, *, name: str) -> Samples:
        rows = [sample async for sample in samples]
        (run.dir / name).write_text("".join(f"{sample.instruction}\n" for sample in rows))
        for sample in rows:
            yield sample

    def content(place: Place, *, path: str) -> str:
        return place.path(path).read_text()

    def exists(place: Place, *, path: str) -> None:
        if not place.path(path).is_file():
            raise DataError(f"{path}: there is no such file")

    @step(sees=content, check=exists)
    async def lines(run: Run, samples: Samples, *, path: str) -> Samples:
        for line in run.path(path).read_text().splitlines():
            run.made()
            yield Sample.of(line)

    @step
    async def busy(run: Run, samples: Samples) -> Samples:
        """Interrupted while it works and three more answers are in flight."""
        async for _ in run.map(run.generate, samples, window=4):
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            run.progress(1)
            raise AssertionError("went on")
        yield Sample.of("nothing")


class Log:
    """What a run told whoever watched it."""

    def __init__(self) -> None:
        self.events: list[tuple[Event, str]] = []

    def __call__(self, event: Event, tally: Tally) -> None:
        self.events.append((event, tally.name))

    @property
    def ran(self) -> list[str]:
        return [name for event, name in self.events if event == "end"]

    @property
    def skipped(self) -> list[str]:
        return [name for event, name in self.events if event == "skip"]


def prompts(outcome: Outcome) -> list[str]:
    return [sample.instruction for sample in outcome.samples]


def test_the_funnel_of_a_run(tmp_path: Path, play: Play) -> None:
    teacher = Echo(usage=lambda request: Usage(100, 10))
    log = Log()
    price = {"input": 0.01, "output": 0.1}  # 10 and 100 nano-dollars a token
    outcome = execute(
        [numbers(n=10), not_divisible(by=5), ask(ending="!"), not_divisible(by=3, reason="three")],
        out=tmp_path / "run",
        teacher={"model": play(teacher), "price": price},
        watch=log,
    )
    assert prompts(outcome) == ["task 1", "task 2", "task 4", "task 7", "task 8"]
    assert [sample.output for sample in outcome.samples][:2] == ["task 1!", "task 2!"]
    assert outcome.dir == tmp_path / "run"
    made, first, asked, last = outcome.funnel.steps
    assert (made.came, made.made, made.kept, made.dropped, made.facts) == (0, 10, 10, 0, {"rows": 10})
    assert (first.came, first.made, first.kept, first.drops) == (10, 0, 8, {"divisible": 2})
    assert (asked.came, asked.kept, asked.calls) == (8, 8, 8)
    assert (asked.input_tokens, asked.output_tokens, asked.cost_nano) == (800, 80, 8 * (100 * 10 + 10 * 100))
    assert (last.came, last.kept, last.drops) == (8, 5, {"three": 3})
    assert last.options == {"by": 3, "reason": "three"}
    assert all(row.done and not row.pending for row in outcome.funnel.steps)
    assert outcome.funnel.teachers == {"teacher": "echo"}
    assert log.events[:3] == [("begin", "numbers"), ("end", "numbers"), ("begin", "not_divisible")]
    with Store.read(tmp_path / "run") as store:
        assert Funnel.of(store) == outcome.funnel
        drop = next(store.drops(1))
        assert (drop.reason, drop.sample) == ("divisible", Sample.of("task 0"))
        assert drop.detail == {"rule": "not_divisible", "by": 5, "reason": "divisible"}
        key = outcome.samples[0].meta["requests"]["ask"]
        filed = store.request(key)
        assert filed is not None
        assert filed["messages"] == [["user", "task 1!"]]
    assert teacher.closed


def test_a_finished_run_is_skipped(tmp_path: Path, play: Play) -> None:
    steps = [numbers(n=5), ask()]
    teacher = Echo()
    first = execute(steps, out=tmp_path, teacher=play(teacher))
    log = Log()
    second = execute(steps, out=tmp_path, teacher=play(teacher), watch=log)
    assert second == first
    assert log.skipped == ["numbers", "ask"]
    assert log.ran == []
    assert len(teacher.asked) == 5


def test_a_changed_step_runs_again_with_all_after_it_and_asks_only_what_is_new(
    tmp_path: Path, play: Play
) -> None:
    teacher = Echo()

    def go(by: int, ending: str) -> tuple[list[str], list[str], int]:
        log, before = Log(), len(teacher.asked)
        steps = [numbers(n=6), not_divisible(by=by), ask(ending=ending), shuffled()]
        execute(steps, out=tmp_path, teacher=play(teacher), watch=log)
        return log.skipped, log.ran, len(teacher.asked) - before

    assert go(2, "") == ([], ["numbers", "not_divisible", "ask", "shuffled"], 3)  # 1, 3, 5
    assert go(5, "") == (["numbers"], ["not_divisible", "ask", "shuffled"], 2)  # 1, 2, 3, 4: 2 and 4 are new
    assert go(5, "!") == (["numbers", "not_divisible"], ["ask", "shuffled"], 4)
    assert go(2, "") == (["numbers"], ["not_divisible", "ask", "shuffled"], 0)  # every answer is still there


def test_a_step_whose_files_are_gone_runs_again(tmp_path: Path, play: Play) -> None:
    steps = [numbers(n=3), save(name="rows.txt"), shuffled()]
    execute(steps, out=tmp_path)
    written = (tmp_path / "rows.txt").read_bytes()
    (tmp_path / "rows.txt").unlink()
    log = Log()
    execute(steps, out=tmp_path, watch=log)
    assert (tmp_path / "rows.txt").read_bytes() == written
    assert log.skipped == ["numbers"]
    assert log.ran == ["save", "shuffled"]


def test_fresh_forgets_rows_and_never_answers(tmp_path: Path, play: Play) -> None:
    teacher = Echo()
    pipeline = Pipeline("p", [numbers(n=4), ask()], {"teacher": play(teacher)})
    first, log = run(pipeline, tmp_path), Log()
    again = run(pipeline, tmp_path, fresh=True, watch=log)
    assert again.samples == first.samples
    assert log.ran == ["numbers", "ask"]
    assert len(teacher.asked) == 4


def test_another_pipelines_folder_is_refused(tmp_path: Path) -> None:
    run(Pipeline("mine", [numbers(n=2)]), tmp_path)
    with pytest.raises(StoreError, match="holds a run of the pipeline `mine`, not of `yours`") as refused:
        run(Pipeline("yours", [numbers(n=1)]), tmp_path)
    assert "--out" in refused.value.hint
    with Store.read(tmp_path) as store:
        assert store.count(0) == 2


def test_a_pipeline_that_became_shorter(tmp_path: Path) -> None:
    execute([numbers(n=4), not_divisible(), shuffled()], out=tmp_path)
    log = Log()
    outcome = execute([numbers(n=4), not_divisible()], out=tmp_path, watch=log)
    assert log.skipped == ["numbers", "not_divisible"]
    assert prompts(outcome) == ["task 1", "task 3"]
    assert [row.name for row in outcome.funnel.steps] == ["numbers", "not_divisible"]


@pytest.mark.parametrize(
    ("bad", "count"),
    [
        (loses(), "5 of 5 rows came, 0 were made, 4 kept, 0 dropped"),
        (invents(), "5 of 5 rows came, 0 were made, 6 kept, 0 dropped"),
        (leaves_early(), "1 of 5 rows came, 0 were made, 1 kept, 0 dropped"),
        (promises(), "5 of 5 rows came, 3 were made, 5 kept, 0 dropped"),
    ],
    ids=["loses", "invents", "leaves_early", "promises"],
)
def test_no_row_is_lost_or_comes_from_nowhere(tmp_path: Path, bad: Step, count: str) -> None:
    for _ in range(2):  # and running it again doesn't pass it for done
        with pytest.raises(DataError, match=f"step `{bad.name}` lost count: {count}") as lost:
            execute([numbers(n=5), bad, shuffled()], out=tmp_path)
        assert "run.made()" in lost.value.hint


def test_many_rows_in_order(tmp_path: Path) -> None:
    outcome = execute([numbers(n=5_000), not_divisible(by=3), not_divisible(by=7)], out=tmp_path)
    kept = [i for i in range(5_000) if i % 3 and i % 7]
    assert prompts(outcome) == [f"task {i}" for i in kept]
    with Store.read(tmp_path) as store:
        dropped = [drop.sample for drop in store.drops(1)]
    assert dropped == [Sample.of(f"task {i}") for i in range(0, 5_000, 3)]


def test_how_far_an_interrupted_step_came_can_be_seen(tmp_path: Path) -> None:
    steps = [numbers(n=10), fails_at(row=7), shuffled()]
    with pytest.raises(TeacherError, match="the model is gone"):
        execute(steps, out=tmp_path)
    with Store.read(tmp_path) as store:
        finished, stopped = Funnel.of(store).steps
    assert finished.done
    # eight rows came; of the first seven, rows 3 and 6 were dropped, and the eighth is in the step's hands
    assert (stopped.done, stopped.came, stopped.kept, stopped.drops, stopped.pending) == (
        False,
        8,
        5,
        {"third": 2},
        1,
    )
    log = Log()
    outcome = execute([numbers(n=10), fails_at(row=99), shuffled()], out=tmp_path, watch=log)
    assert log.skipped == ["numbers"]
    assert len(outcome.samples) == 7


def test_interrupting_local_work_files_what_is_in_flight(tmp_path: Path, play: Play) -> None:
    teacher = Echo(latency=lambda request: 0 if request.messages[-1].content == "task 0" else 0.05)
    with pytest.raises(asyncio.CancelledError):
        execute([numbers(n=9), busy()], out=tmp_path, teacher=play(teacher))
    assert len(teacher.asked) == 4
    with Store.read(tmp_path) as store:
        assert store.spent().calls == 4


def test_a_run_that_stops_goes_on_where_it_was(tmp_path: Path, play: Play) -> None:
    steps = [numbers(n=30), ask(window=4)]
    undisturbed = execute(steps, out=tmp_path / "whole", teacher=play(Echo()))
    teacher = Broke(latency=lambda request: random.Random(request.key).random() / 500)
    for credit in (3, 10, 0, 12):
        teacher.credit = credit
        with pytest.raises(TeacherError, match="out of credit"):
            execute(steps, out=tmp_path / "torn", teacher=play(teacher))
    teacher.credit = 5
    assert execute(steps, out=tmp_path / "torn", teacher=play(teacher)).samples == undisturbed.samples
    assert teacher.credit == 0  # 3 + 10 + 12 + 5: each of the thirty was paid for once


class Broke(Echo):
    credit = 0

    async def complete(self, request: Request) -> Completion:
        completion = await super().complete(request)
        if not self.credit:
            raise TeacherError("out of credit")
        self.credit -= 1
        return completion


def test_an_unknown_price_with_a_cap_is_refused_before_anything_is_sent(tmp_path: Path, play: Play) -> None:
    teacher = Echo()
    with pytest.raises(ConfigError, match="no price is known for echo") as refused:
        execute([numbers(n=1), ask()], out=tmp_path / "run", teacher=play(teacher), budget=1.0)
    assert "price:" in refused.value.hint
    assert teacher.asked == []
    assert teacher.closed
    assert not (tmp_path / "run").exists()


def test_a_step_has_a_cap_of_its_own(tmp_path: Path, play: Play) -> None:
    models = {"model": play(Echo()), "price": {"input": 1, "output": 1}, "params": {"max_tokens": 5}}
    steps = [numbers(n=30), ask(), ask()]
    # an answer takes 15 tokens; the second `ask` has a cap of its own, which the first does not touch
    with pytest.raises(BudgetReached, match=r"the budget of `ask` of 300 tokens is reached"):
        execute(steps, out=tmp_path, teacher=models, budget={"steps": {"ask": {"tokens": 300}}})
    with Store.read(tmp_path) as store:
        assert 250 <= store.booked("ask").tokens <= 300
    execute(steps, out=tmp_path, teacher=models, budget={"dollars": 1, "steps": {"ask": {"tokens": 1_000}}})
    with Store.read(tmp_path) as store:
        assert store.booked("ask").tokens == 30 * 15


def test_a_cap_of_a_step_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no step `jugde` in this pipeline"):
        execute([numbers(n=1)], out=tmp_path, budget={"steps": {"jugde": 1}})


def test_a_reached_budget_pauses_and_a_higher_one_goes_on_and_pays_only_the_rest(
    tmp_path: Path, play: Play
) -> None:
    # A call is billed 10 input and 5 output tokens: 10 x 1,000 + 5 x 1,000 nano-dollars = $0.000015. At worst it costs
    # 6 or 7 bytes of prompt, 16 of frame and 5 of answer: $0.000028.
    price = {"input": 1, "output": 1}
    steps = [numbers(n=20), ask(window=3)]
    teacher = Echo()
    models: dict[str, Any] = {"model": play(teacher), "price": price}
    with pytest.raises(BudgetReached) as reached:
        execute(steps, out=tmp_path, teacher=models, budget=0.000100)
    assert reached.value.exit_code == 4
    assert len(teacher.asked) == 5  # 5 x 15 = 75 is spent, and a sixth might cost 28
    with pytest.raises(BudgetReached):
        execute(steps, out=tmp_path, teacher=models, budget=0.000100)
    assert len(teacher.asked) == 5
    outcome = execute(steps, out=tmp_path, teacher=models, budget=0.001)
    assert len(outcome.samples) == 20
    assert len(teacher.asked) == len({request.key for request in teacher.asked}) == 20
    with Store.read(tmp_path) as store:
        assert store.spent().cost_nano == 20 * 15_000


def test_everything_is_checked_before_the_first_request(tmp_path: Path, play: Play) -> None:
    teacher = Echo()
    with pytest.raises(DataError, match=r"step 3 \(lines\): nowhere.txt: there is no such file"):
        execute([numbers(n=1), ask(), lines(path="nowhere.txt")], out=tmp_path / "run", teacher=play(teacher))
    assert teacher.asked == []
    with pytest.raises(ConfigError, match="has no steps"):
        execute([], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_busy_folder(tmp_path: Path) -> None:
    with Store.open(tmp_path), pytest.raises(StoreError, match="is working on this run"):
        execute([numbers(n=1)], out=tmp_path)


def test_within_a_running_loop(tmp_path: Path, play: Play) -> None:
    async def cell() -> Outcome:
        return execute([numbers(n=3), ask()], out=tmp_path, teacher=play(Echo()))

    assert prompts(asyncio.run(cell())) == ["task 0", "task 1", "task 2"]

    async def failing_cell() -> None:
        execute([numbers(n=3), fails_at(row=1)], out=tmp_path)

    with pytest.raises(TeacherError, match="the model is gone"):
        asyncio.run(failing_cell())


NOTEBOOK = """
import asyncio, sys, threading
from pathlib import Path
from selfinstruct import roles
from fakes import Echo
from test_pipeline import ask, execute, numbers

class Slow(Echo):
    async def complete(self, request):
        if len(self.asked) == 3:
            print("in the middle", flush=True)
        return await super().complete(request)

teacher = Slow(latency=lambda request: 0.1)
roles.connect = lambda spec, role: teacher

async def cell():
    execute([numbers(n=1_000), ask(window=2)], out=sys.argv[1], teacher="echo")

try:
    asyncio.new_event_loop().run_until_complete(cell())
except KeyboardInterrupt:
    print("interrupted", len(teacher.asked), threading.active_count(), flush=True)
"""


def test_interrupting_a_notebooks_cell_stops_the_run(tmp_path: Path) -> None:
    kernel = python("-c", NOTEBOOK, str(tmp_path))
    assert kernel.stdout is not None
    assert kernel.stdout.readline() == "in the middle\n"
    kernel.send_signal(signal.SIGINT)
    out, err = kernel.communicate(timeout=20)
    said, asked, threads = out.split()
    assert (said, threads) == ("interrupted", "1"), err
    with Store.read(tmp_path) as store:  # what was in flight has landed
        assert store.spent().calls == int(asked)


def marks(tmp_path: Path, steps: list[Step], model: Any = "offline", seed: int = 0) -> list[str]:
    pipeline = Pipeline("p", steps, {"teacher": model}, seed, beside=tmp_path)
    return pipeline.fingerprints(pipeline.place(tmp_path / "run"))


def test_what_a_fingerprint_depends_on(tmp_path: Path) -> None:
    file = tmp_path / "rows.txt"
    file.write_text("one\n")

    def steps(by: int = 2) -> list[Step]:
        return [lines(path="rows.txt"), not_divisible(by=by), shuffled()]

    base = marks(tmp_path, steps())
    assert base == marks(tmp_path, steps())
    assert len(set(base)) == 3

    changed = marks(tmp_path, steps(by=3))
    assert changed[0] == base[0]
    assert changed[1] != base[1]
    assert changed[2] != base[2]  # and all after it

    for machine in (
        {"concurrency": 2},
        {"timeout": 5},
        {"price": {"input": 1, "output": 2}},
        {"rpm": 5},
        {"tpm": 5},
    ):
        assert marks(tmp_path, steps(), {"model": "offline", **machine}) == base

    seen = [base, changed]
    seen.append(marks(tmp_path, steps(), seed=1))
    seen.append(marks(tmp_path, steps(), {"model": "offline", "wrong": 0.5}))
    seen.append(marks(tmp_path, steps(), {"model": "offline", "structured": True}))
    seen.append(marks(tmp_path, steps(), {"model": "offline", "params": {"temperature": 0}}))
    file.write_text("two\n")
    seen.append(marks(tmp_path, steps()))
    (tmp_path / "prompts" / "judge").mkdir(parents=True)
    (tmp_path / "prompts" / "judge" / "accuracy.md").write_text("=== user ===\nmine\n")
    seen.append(marks(tmp_path, steps()))
    assert len({mark[-1] for mark in seen}) == len(seen)


def test_the_seed_decides_what_is_drawn(tmp_path: Path) -> None:
    def order(seed: int, name: str) -> list[str]:
        return prompts(execute([numbers(n=20), shuffled()], out=tmp_path / name, seed=seed))

    assert order(0, "a") == order(0, "b") != order(1, "c")


def test_a_step_twice_draws_twice(tmp_path: Path) -> None:
    once = execute([numbers(n=20), shuffled()], out=tmp_path / "once")
    twice = execute([numbers(n=20), shuffled(), shuffled()], out=tmp_path / "twice")
    order = [int(prompt.split()[1]) for prompt in prompts(once)]
    same_again = [order[i] for i in order]
    assert [int(prompt.split()[1]) for prompt in prompts(twice)] != same_again


def test_a_teacher_that_breaks_down_pauses_the_run(tmp_path: Path, play: Play) -> None:
    teacher = Echo(TransientError("HTTP 429: come back tomorrow", overloaded=True, retry_after=90_000))
    with pytest.raises(Paused) as paused:
        execute([numbers(n=2), ask()], out=tmp_path, teacher=play(teacher))
    assert paused.value.exit_code == 75
    assert len(execute([numbers(n=2), ask()], out=tmp_path, teacher=play(teacher)).samples) == 2


def test_answers_travel_as_requests_do(tmp_path: Path, play: Play) -> None:
    """A sampling parameter that the user writes is part of the question: other answers, not the old ones."""
    teacher = Echo()
    steps = [numbers(n=2), ask()]
    execute(steps, out=tmp_path, teacher={"model": play(teacher), "params": {"temperature": 0}})
    execute(steps, out=tmp_path, teacher={"model": play(teacher), "params": {"temperature": 1}})

    def warmth(request: Request) -> Any:
        return request.params["temperature"]

    assert [warmth(request) for request in teacher.asked] == [0, 0, 1, 1]
