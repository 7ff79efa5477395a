"""Plan against actual: the plan that a run began with beside what its steps came to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fakes import ROOT
from test_screen import drawn, funnel, row

from selfinstruct.actual import FACT, Compared, compare
from selfinstruct.funnel import Funnel
from selfinstruct.pipeline import Pipeline, run
from selfinstruct.plan import fact, plan
from selfinstruct.screen import compared
from selfinstruct.step import Step
from selfinstruct.steps import judge, read, refusal
from selfinstruct.store import Store

SEEDS = str(ROOT / "seeds" / "seed_tasks.jsonl")


def of(*steps: Step) -> Pipeline:
    return Pipeline("p", (read(path=SEEDS, limit=20), *steps), {"teacher": "offline"})


def facts(pipeline: Pipeline, out: Path, before: Any = None) -> Any:
    place = pipeline.place(out)
    return fact(plan(pipeline, place), pipeline.fingerprints(place), before)


def test_only_steps_that_ask_are_compared() -> None:
    planned = [
        {"name": name, "mark": name, "rows": 9, "calls": calls, "tokens": 100, "cost": 7}
        for name, calls in (("read", 0), ("judge", 10), ("write", 0))
    ]
    asked = row(1, "judge", kept=8, calls=12, input_tokens=150, output_tokens=50, cost_nano=14, done=False)
    assert compare(planned, funnel(row(0, "read"), asked)) == [
        Compared(
            "judge",
            {"rows": 9, "calls": 10, "tokens": 100, "cost": 7},
            {"rows": 8, "calls": 12, "tokens": 200, "cost": 14},
            done=False,
        )
    ]
    assert compare(None, funnel(asked)) == []  # a run of an older version kept no plan


def test_the_table() -> None:
    found = Compared(
        "judge",
        {"rows": 8, "calls": 10, "tokens": 1_000, "cost": 20_000_000},
        {"rows": 8, "calls": 15, "tokens": 1_500, "cost": None},
        done=True,
    )
    lines = [line.split() for line in drawn(compared([found])).splitlines()]
    assert ["calls", "10", "15", "1.50"] in lines
    assert ["tokens", "1.0k", "1.5k", "1.50"] in lines
    assert ["cost", "$0.02", "unpriced"] in lines


def test_the_plan_that_a_step_began_with_stands_when_the_run_goes_on(tmp_path: Path) -> None:
    first = facts(of(judge(), refusal()), tmp_path)
    assert [(each["name"], each["calls"]) for each in first] == [("read", 0), ("judge", 20), ("refusal", 0)]
    run(of(judge(), refusal()), tmp_path, facts={FACT: first})
    with Store.read(tmp_path) as store:
        before = store.fact(FACT)
        (judged,) = compare(before, Funnel.of(store))
    assert (judged.planned["calls"], judged.actual["calls"]) == (20, 20)
    # all is done, and a new plan says that nothing is left: what is kept is what was planned
    assert facts(of(judge(), refusal()), tmp_path, before) == first
    # another judge is another step
    changed = facts(of(judge(aspect="style"), refusal()), tmp_path, before)
    assert changed[0] == first[0]
    assert changed[1]["mark"] != first[1]["mark"]
