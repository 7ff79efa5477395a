"""What the rehearsal foretells is what a run then asks for, and it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import ROOT, Echo, own_steps

from selfinstruct.pipeline import Pipeline, run
from selfinstruct.rehearsal import Rehearsal, rehearse
from selfinstruct.run import Run
from selfinstruct.step import Samples, Step, step
from selfinstruct.steps import alpaca, judge, read, respond, select, words, write
from selfinstruct.store import FILE, Store
from selfinstruct.teachers import Completion, Request, Teacher
from selfinstruct.teachers.offline import OfflineTeacher

Play = Callable[[Teacher], str]
READ = read(path=str(ROOT / "seeds" / "seed_tasks.jsonl"))


class Counted(OfflineTeacher):
    """The offline teacher, counting what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.model = "counted"
        self.asked = 0

    async def complete(self, request: Request) -> Completion:
        self.asked += 1
        return await super().complete(request)


@pytest.fixture
def teacher(play: Play) -> Counted:
    found = Counted()
    play(found)
    return found


def made(*steps: Step, **more: Any) -> Pipeline:
    return Pipeline("small", steps, {"teacher": {"model": "counted", **more}})


def foretold(pipeline: Pipeline, out: Path) -> Rehearsal | None:
    before = (out / FILE).read_bytes() if (out / FILE).is_file() else b""
    found = rehearse(pipeline, pipeline.place(out))
    assert ((out / FILE).read_bytes() if (out / FILE).is_file() else b"") == before
    return found


def checked(pipeline: Pipeline, out: Path, teacher: Counted) -> Rehearsal:
    """The rehearsal, after the run has shown that it was right."""
    found = foretold(pipeline, out)
    assert found is not None
    before = teacher.asked
    run(pipeline, out)
    asked = teacher.asked - before
    assert asked == found.asks if found.exact else asked >= sum(part.sure for part in found.parts)
    return found


SMALL = (READ, alpaca(n=40), judge(max_unscored=1.0), select(at_least=1), write())


def test_nothing_on_file_or_nothing_changed_needs_no_rehearsal(tmp_path: Path, teacher: Counted) -> None:
    assert foretold(made(*SMALL), tmp_path) is None
    run(made(*SMALL), tmp_path)
    assert foretold(made(*SMALL), tmp_path) is None
    for machine in (
        {"concurrency": 3},
        {"timeout": 9.0},
        {"rpm": 1_000},
        {"price": {"input": 1, "output": 2}},
    ):
        assert foretold(made(*SMALL, **machine), tmp_path) is None


def test_a_threshold_asks_for_nothing(tmp_path: Path, teacher: Counted) -> None:
    run(made(*SMALL), tmp_path)
    found = checked(made(*SMALL[:3], select(at_least=4), write()), tmp_path, teacher)
    assert (found.asks, found.reused, found.exact) == (0, 0, True)
    assert found.changes == ("select: at_least changed",)
    assert [part.state for part in found.parts] == ["done", "done", "done", "played", "passed"]


def test_another_rubric_asks_once_a_row(tmp_path: Path, teacher: Counted) -> None:
    run(made(*SMALL), tmp_path)
    found = checked(
        made(*SMALL[:2], judge(aspect="helpfulness", max_unscored=1.0), write()), tmp_path, teacher
    )
    assert (found.asks, found.exact) == (40, True)
    assert found.changes[0] == "judge: aspect changed"


def test_a_filter_before_the_judge_asks_for_nothing_new(tmp_path: Path, teacher: Counted) -> None:
    run(made(*SMALL), tmp_path)
    found = checked(
        made(READ, alpaca(n=40), words(low=6), judge(max_unscored=1.0), write()), tmp_path, teacher
    )
    assert (found.asks, found.exact) == (0, True)
    assert found.reused == found.parts[2].kept > 0


def test_more_rows_are_at_least_so_many_calls(tmp_path: Path, teacher: Counted) -> None:
    run(made(*SMALL), tmp_path)
    found = checked(made(READ, alpaca(n=200), *SMALL[2:]), tmp_path, teacher)
    assert found.asks > 0
    assert not found.exact
    assert found.changes == ("alpaca: n changed",)


def test_another_model_asks_for_everything_again(tmp_path: Path, play: Play) -> None:
    play(Echo())
    play(Echo(model="other"))
    steps = (READ, respond(again=True))
    run(Pipeline("p", steps, {"teacher": "echo"}), tmp_path)
    changed = Pipeline("p", steps, {"teacher": "other"})
    found = foretold(changed, tmp_path)
    assert found is not None
    assert found.asks == 175
    assert found.changes == ("teacher changed",)


def test_a_step_of_ones_own_that_falls_over_leaves_the_rest_open(tmp_path: Path, teacher: Counted) -> None:
    run(made(*SMALL), tmp_path)
    with own_steps():

        @step
        async def falls(run: Run, samples: Samples) -> Samples:
            """Falls over."""
            async for _ in samples:
                raise RuntimeError("fell")
                yield _

        found = foretold(made(READ, alpaca(n=40), falls(), judge()), tmp_path)
    assert found is not None
    assert [part.state for part in found.parts] == ["done", "done", "ahead", "ahead"]


def test_the_rehearsal_of_a_run_that_was_stopped(tmp_path: Path, teacher: Counted) -> None:
    run(made(READ, alpaca(n=40)), tmp_path)
    with Store.open(tmp_path) as store:
        store.forget_from(1)  # as if it had been stopped in the middle
    assert foretold(made(*SMALL), tmp_path) is None  # nothing has changed; the run goes on
    renamed = replace(made(*SMALL), name="another")
    assert foretold(renamed, tmp_path) is None  # the run itself will refuse
