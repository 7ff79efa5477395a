"""Growth: what the calls of a loop brought, and when they end."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Echo, running
from rich.console import Console

from selfinstruct import screen
from selfinstruct.errors import ConfigError
from selfinstruct.growth import SPAN, Growth
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.steps.alpaca import alpaca
from selfinstruct.steps.read import read
from selfinstruct.teachers import Completion, Request, Teacher, Usage

Play = Callable[[Teacher], str]
SEEDS = [
    "Name the rivers of Europe.",
    "Solve an equation for x.",
    "Paint a wall in blue paint.",
    "Cook soup from old bread.",
    "Sing a song about sheep.",
    "Repair my broken bicycle chain.",
]
TASK = "{n}. Instruction: {instruction}\n{n}. Input:\n<noinput>\n{n}. Output:\nYes {instruction}\n###\n"


def seeds_file(folder: Path) -> str:
    path = folder / "seeds.json"
    path.write_text(json.dumps([{"instruction": seed, "input": "", "output": "Done."} for seed in SEEDS]))
    return str(path)


class Writer(Echo):
    """Writes 17 tasks a call, of which `fresh(draw)` are new; the rest say the same again."""

    def __init__(self, fresh: Callable[[int], int], **options: Any) -> None:
        super().__init__(model=options.pop("model", "writer"), **options)
        self.fresh = fresh

    async def complete(self, request: Request) -> Completion:
        usage = (await super().complete(request)).usage
        new = self.fresh(request.draw)
        tasks = [
            f"Tell us of a{request.draw}x{k} with b{request.draw}x{k} for c{request.draw}x{k}"
            for k in range(new)
        ]
        tasks += [SEEDS[0]] * (17 - new)
        text = "".join(TASK.format(n=n, instruction=each) for n, each in enumerate(tasks, 4))
        return Completion(text.removeprefix("4. Instruction:"), usage=usage)


def go(
    folder: Path, play: Play, teacher: Echo, role: dict[str, Any] | None = None, **options: Any
) -> Outcome:
    return execute(
        [read(path=seeds_file(folder)), alpaca(window=1, **options)],
        out=folder / "run",
        teacher={"model": play(teacher), **(role or {})},
    )


def test_it_ends_when_too_little_of_what_is_written_is_kept(tmp_path: Path, play: Play) -> None:
    """17 of 17 in the first 60 calls, then 1 of 17. Over 50 calls the share falls below a half (425 of 850) once
    51 - 17k... : with k poor calls it is (50 - k) 17 + k of 850; 27 poor calls leave 418, 26 leave 434."""
    teacher = Writer(lambda draw: 17 if draw < 60 else 1)
    outcome = go(tmp_path, play, teacher, n=5_000, min_accept_rate=0.5)
    facts = outcome.funnel.steps[1].facts
    assert len(teacher.asked) == facts["growth"]["calls"] == 60 + 27
    assert len(outcome.samples) == 60 * 17 + 27
    assert facts["warning"].startswith(
        "stopped at 1047 of 5000 tasks: the last 50 calls brought 49.2% of 850 tasks"
    )


def test_it_ends_when_a_kept_task_costs_too_much(tmp_path: Path, play: Play) -> None:
    """A call costs 10 x 1 + 5 x 4 = 30 millionths of a dollar. 50 calls for 17 tasks each: 1.8 millionths a task; with
    k calls that bring one: 1500 / (850 - 16 k) is above 4 from k = 30 on (370 tasks: 4.05)."""
    teacher = Writer(lambda draw: 17 if draw < 60 else 1)
    role = {"price": {"input": 1, "output": 4}}
    outcome = go(tmp_path, play, teacher, role, n=5_000, max_cost_per_kept=4e-6)
    assert len(teacher.asked) == 60 + 30
    assert "max_cost_per_kept: $4e-06" in outcome.funnel.steps[1].facts["warning"]
    again = execute(
        [read(path=seeds_file(tmp_path)), alpaca(window=1, n=5_000, max_cost_per_kept=5e-6)],
        out=tmp_path / "run",
        teacher={"model": play(teacher), "price": {"input": 100, "output": 400}},
    )
    # what was paid when the answers came counts, not what they would cost today: k = 35 (290 tasks: 5.17)
    assert again.funnel.steps[1].facts["growth"]["calls"] < 60 + 35


def test_a_cost_can_be_watched_only_where_there_is_a_price(tmp_path: Path, play: Play) -> None:
    with pytest.raises(ConfigError, match="no price is known for writer"):
        go(tmp_path, play, Writer(lambda draw: 17), n=10, max_cost_per_kept=0.01)


def test_the_rules_wait_for_enough_calls(tmp_path: Path, play: Play) -> None:
    teacher = Writer(lambda draw: 1)
    outcome = go(tmp_path, play, teacher, n=SPAN - 1, min_accept_rate=0.99)
    assert len(outcome.samples) == SPAN - 1
    assert "warning" not in outcome.funnel.steps[1].facts


class Imitator(Echo):
    """Writes variations of the first task that it is shown, as models do; half of its answers of the first."""

    async def complete(self, request: Request) -> Completion:
        await super().complete(request)
        shown = request.messages[-1].content
        places = [place for place, seed in enumerate(SEEDS) if seed in shown]
        seed = SEEDS[min(places)].rstrip(".")
        tasks = [
            f"{seed} and k{request.draw}x{k} l{request.draw}x{k} m{request.draw}x{k} n{request.draw}x{k} o"
            for k in range(17)
        ]
        text = "".join(TASK.format(n=n, instruction=each) for n, each in enumerate(tasks, 4))
        return Completion(text.removeprefix("4. Instruction:"), usage=Usage(1, 1))


def test_sparse_sampling_spreads_what_an_imitating_teacher_writes(tmp_path: Path, play: Play) -> None:
    """With one example shown at a time a uniform draw is even already; with three, of which the teacher copies the
    first of its list, the last seeds are hardly ever copied, unless those with few tasks near them come more often."""
    near = {}
    for sampling in ("uniform", "sparse"):
        (tmp_path / sampling).mkdir()
        outcome = go(
            tmp_path / sampling, play, Imitator(model=sampling), n=1_000, sampling=sampling, threshold=0.9
        )
        facts = outcome.funnel.steps[1].facts
        near[sampling] = facts["coverage"]["regions"]
    assert near["sparse"]["reached"] >= near["uniform"]["reached"]
    assert near["sparse"]["fullest"] < 0.8 * near["uniform"]["fullest"]


def test_stretches_and_headline(tmp_path: Path) -> None:
    async def grow() -> dict[str, Any]:
        async with running(tmp_path, Echo()) as run:
            growth = Growth(run, 1_000, a_turn=10, patience=5)
            for call in range(25):
                growth.answered(Completion("x"), made=10, kept=10 if call < 10 else 4)
            return growth.facts()

    facts = asyncio.run(grow())
    assert facts["growth"] == {
        "calls": 25,
        "stretch": 10,
        "made": [100, 100, 50],
        "kept": [100, 40, 20],
    }
    assert facts["headline"] == (
        "160 tasks in 25 calls: 10,000 per 1,000 calls (100% of those written) at first; "
        "4,000 per 1,000 calls (40% of those written) at the end"
    )


def test_calls_that_find_the_pool_full_say_nothing_about_its_growth(tmp_path: Path) -> None:
    async def grow() -> dict[str, Any]:
        async with running(tmp_path, Echo()) as run:
            growth = Growth(run, 10, a_turn=1, patience=5)
            for _ in range(10):
                growth.answered(Completion("x"), made=1, kept=1)
            for _ in range(6):  # were in flight
                growth.answered(Completion("x"), made=0, kept=0)
            return growth.facts()

    facts = asyncio.run(grow())
    assert facts["headline"] == "10 tasks in 16 calls: 1,000 per 1,000 calls (100% of those written)"
    assert facts["growth"] == {"calls": 16, "stretch": 10, "made": [10], "kept": [10]}


def test_coverage_and_growth_are_shown(tmp_path: Path, play: Play) -> None:
    outcome = go(tmp_path, play, Writer(lambda draw: 5), n=10)
    console = Console(width=200, file=io.StringIO())
    console.print(screen.said(outcome.funnel))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    # five of 17, then five of five: what came when the pool was full is not counted
    assert "alpaca:         10 tasks in 2 calls: 5,000 per 1,000 calls (45% of those written)" in shown
    assert "(seed tasks → new ones)" in shown
    assert "1, 1 of them begin no seed task: tell 10" in shown
    assert re.search(r"  regions: +\d of 6 seed tasks have new tasks near them", shown)
