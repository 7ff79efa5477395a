"""The plan: figures with their sources, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import ROOT, Echo

from selfinstruct.outlook import CHARS_PER_TOKEN, Range
from selfinstruct.pipeline import Pipeline, run
from selfinstruct.plan import PlanRow, plan
from selfinstruct.prompts import Prompts
from selfinstruct.step import Step
from selfinstruct.steps import alpaca, answered, judge, read, respond, select, write

SEEDS = ROOT / "seeds" / "seed_tasks.jsonl"
PRICE = {"input": 1, "output": 4}


def pipeline(*steps: Step, teacher: Any = "offline", **more: Any) -> Pipeline:
    return Pipeline("small", steps, {"teacher": teacher}, beside=ROOT / "pipelines", **more)


def planned(of: Pipeline, out: Path) -> list[PlanRow]:
    return plan(of, of.place(out))


def test_read_counts_and_what_follows_builds_on_it(tmp_path: Path) -> None:
    rows = planned(pipeline(read(path=str(SEEDS), limit=40), answered(), select(k=7, at_least=1)), tmp_path)
    assert [(row.name, row.estimate.rows.count.expected) for row in rows] == [
        ("read", 40),
        ("answered", 40),
        ("select", 7),
    ]
    assert rows[0].estimate.source == "seed_tasks.jsonl: counted"
    assert [row.expected_nano for row in rows] == [0, 0, 0]


def test_one_call_a_row_at_the_price_of_the_role(tmp_path: Path) -> None:
    """Tokens by length (characters by CHARS_PER_TOKEN), an answer of 60 or, at most, of max_tokens."""
    texts = ["Name a colour.", "Name a river in Europe, and say where it ends."] * 50
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"instruction": "{text}"}}\n' for text in texts))
    teacher = {"model": "openai/x", "base_url": "http://localhost:1/v1", "price": PRICE}
    steps = read(path=str(tmp_path / "rows.jsonl")), respond(max_tokens=500)
    row = planned(pipeline(*steps, teacher=teacher), tmp_path)[1]
    found = row.estimate
    assert (found.calls.expected, found.output_tokens.expected) == (100, 6_000)
    read_tokens = 50 * sum(round(len(text) / CHARS_PER_TOKEN) for text in texts[:2])
    assert found.input_tokens.expected == pytest.approx(read_tokens, rel=0.1)
    assert row.expected_nano == found.input_tokens.expected * 1_000 + 6_000 * 4_000
    # at the most: two draws a row, the second with twice the room, each tried six times; a token for every byte,
    # and sixteen around each of the two messages (the question, and the system message, which may be empty)
    most_read = 2 * 50 * (len(texts[0]) + len(texts[1]) + 4 * 16)
    assert found.input_tokens.ceiling == most_read
    assert found.output_tokens.ceiling == 100 * (500 + 1_000)
    assert row.ceiling_nano == 6 * (most_read * 1_000 + 150_000 * 4_000)
    assert (row.input_tokens.ceiling, row.output_tokens.ceiling) == (6 * most_read, 6 * 150_000)


def test_alpaca_by_its_published_yield(tmp_path: Path) -> None:
    """17 tasks a call of which 27 % are kept: 52,002 rows take 11,330 calls. The prompt is measured, not assumed."""
    row = planned(pipeline(read(path=str(SEEDS)), alpaca(n=52_002)), tmp_path)[1]
    assert (row.estimate.calls.low, row.estimate.calls.expected) == (3_059, 11_330)  # low: all 17 are kept
    (frame,) = Prompts().render("alpaca/blocks", examples=[], total=20, language="English")
    assert row.estimate.input_tokens.expected > 11_330 * len(frame.content) / CHARS_PER_TOKEN
    # a kept task ends each series of fewer than `patience` (50) barren calls; `window` (64) are on their way
    assert row.estimate.calls.ceiling == 52_002 * 50 - 1 + 64
    assert (row.model, row.expected_nano) == ("offline", 0)


def test_an_unknown_price_is_no_zero(tmp_path: Path) -> None:
    steps = read(path=str(SEEDS)), judge()
    row = planned(
        pipeline(*steps, teacher={"model": "openai/x", "base_url": "https://far.example/v1"}), tmp_path
    )[1]
    assert row.estimate.calls == Range.exactly(175)
    assert (row.priced, row.low_nano, row.expected_nano, row.ceiling_nano) == (False, None, None, None)


def test_the_judges_price_is_the_judges(tmp_path: Path) -> None:
    of = pipeline(read(path=str(SEEDS)), judge())
    local = {"model": "openai/x", "base_url": "http://localhost:1/v1"}
    of = replace(of, models={"teacher": "offline", "judge": {**local, "price": PRICE}})
    row = planned(of, tmp_path)[1]
    assert row.model.startswith("openai/x")
    assert row.expected_nano == row.estimate.input_tokens.expected * 1_000 + 175 * 40 * 4_000


def test_nothing_is_asked(tmp_path: Path, play: Callable[[Any], str]) -> None:
    teacher = Echo()
    planned(pipeline(read(path=str(SEEDS)), alpaca(n=50), judge(), write(), teacher=play(teacher)), tmp_path)
    assert teacher.asked == []
    assert list(tmp_path.iterdir()) == []


def test_what_is_done_is_not_to_do_and_what_changed_is_measured(tmp_path: Path) -> None:
    def steps(n: int, **options: Any) -> Pipeline:
        return pipeline(read(path=str(SEEDS)), alpaca(n=n), judge(**options), select(at_least=4))

    done = run(steps(60), tmp_path).funnel.steps
    again = planned(steps(60), tmp_path)
    assert {row.estimate.source for row in again} == {"done in the run here"}
    assert [row.estimate.rows.count.expected for row in again] == [row.kept for row in done]
    assert sum(row.estimate.calls.expected for row in again) == 0

    # twice as many tasks: twice the calls that sixty took, and as many verdicts as rows
    more = planned(steps(120), tmp_path)
    assert more[0].estimate.source == "done in the run here"
    assert more[1].estimate.calls.expected == 2 * done[1].calls
    assert more[1].estimate.source == f"measured in the run here: {done[1].calls:,} calls for 60 rows"
    assert more[2].estimate.calls.expected == 120
    assert more[3].estimate.rows.count.expected == round(
        round(done[2].kept * 2) * done[3].kept / done[3].came
    )

    # another aspect: only the judge's calls are left
    other = planned(steps(60, min_score=1), tmp_path)
    assert [row.estimate.calls.expected for row in other] == [0, 0, 60, 0]
