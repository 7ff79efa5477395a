"""What the steps of conversations are planned to take holds what they take: a teacher whose bill differs by seed."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import ROOT
from plan_trials import PRICE

from selfinstruct.pipeline import Pipeline, run
from selfinstruct.plan import plan
from selfinstruct.step import Step
from selfinstruct.steps import baize, openings, orca, read, ultrachat
from selfinstruct.store import Store

ROWS = read(path=str(ROOT / "data" / "sample" / "alpaca.json"), limit=12)
TEXTS = read(path=str(ROOT / "data" / "sample" / "texts.jsonl"))
STEPS: dict[str, list[Step]] = {
    "orca": [ROWS, orca(second="judge", share=0.3, max_tokens=500)],
    "ultrachat": [ROWS, ultrachat(max_tokens=300)],
    "ultrachat_paper": [ROWS, ultrachat(low=2, high=3, fidelity="paper", max_tokens=300, draws=1)],
    "baize": [ROWS, baize(max_tokens=900)],
    "world": [openings(n=40, max_tokens=500, window=2)],
    "creation": [openings(n=40, sector="creation", max_tokens=500, window=2)],
    "materials": [TEXTS, openings(n=40, sector="materials", max_tokens=500)],
    "both": [TEXTS, openings(n=9, sector="materials", max_tokens=500), ultrachat(max_tokens=300)],
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", STEPS)
def test_the_bill_the_calls_and_the_rows_lie_under_the_ceiling(name: str, seed: int, tmp_path: Path) -> None:
    model = {"model": "plan_trials:Uneven", "seed": seed, "price": PRICE}
    pipeline = Pipeline("p", STEPS[name], {"teacher": model, "judge": model, "user": model})
    rows = plan(pipeline, pipeline.place(tmp_path))
    outcome = run(pipeline, tmp_path)
    with Store.read(tmp_path) as store:
        actual = store.booked().nano
    low, ceiling = (sum(getattr(row, f"{which}_nano") or 0 for row in rows) for which in ("low", "ceiling"))
    assert all(row.ceiling_nano is not None for row in rows)
    assert 0 < low <= actual <= ceiling
    for row, step in zip(rows, outcome.funnel.steps, strict=True):
        calls, kept = row.estimate.calls, row.estimate.rows.count
        assert calls.ceiling is not None
        assert kept.ceiling is not None
        assert calls.low <= step.calls <= calls.ceiling
        assert step.kept <= kept.ceiling
        if step.name != "read":
            assert row.estimate.input_tokens.ceiling is not None
            assert step.input_tokens <= row.estimate.input_tokens.ceiling


@pytest.mark.parametrize(
    "step", [orca(second="judge"), ultrachat(), baize(), openings(n=30)], ids=lambda step: step.name
)
def test_an_answer_without_a_limit_has_no_ceiling(step: Step, tmp_path: Path) -> None:
    step = step.type.make(**{**step.values, "max_tokens": None})
    pipeline = Pipeline("p", [ROWS, step], {"teacher": "offline"})
    (_, row) = plan(pipeline, pipeline.place(tmp_path))
    assert row.estimate.output_tokens.ceiling is None
    assert row.estimate.calls.ceiling is not None


def test_the_dearest_role_is_reckoned_with(tmp_path: Path) -> None:
    cheap, dear = (
        {"model": f"openai/{name}", "base_url": "http://127.0.0.1:1", "price": {"input": 1, "output": price}}
        for name, price in (("a", 1), ("b", 9))
    )
    for step in (ultrachat(), orca(second="user")):
        pipeline = Pipeline("p", [ROWS, step], {"teacher": cheap, "user": dear})
        assert plan(pipeline, pipeline.place(tmp_path))[1].estimate.role == "user"
