"""The ceilings of Magpie's, backtranslation's, the grid's and translation's forecasts bound what their pipelines do."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import ROOT

from selfinstruct.document import load
from selfinstruct.outlook import Outlook
from selfinstruct.pipeline import run

ASKING = {
    "magpie": ["magpie", "tag", "respond", "magpie_turns"],
    "backtranslation": ["backtranslate", "self_curate"],
    "persona": ["personas", "persona", "respond"],
    "translate": ["translate"],
}


@pytest.mark.parametrize("name", sorted(ASKING))
def test_the_ceilings_hold(tmp_path: Path, name: str) -> None:
    pipeline = load(ROOT / "pipelines" / f"{name}.yaml", limit=40)
    outlook = Outlook(pipeline.place(tmp_path))
    done = run(pipeline, tmp_path).funnel.steps
    asking = []
    for step, row in zip(pipeline.steps, done, strict=True):
        estimate = step.forecast(outlook)
        for figure, was in (
            (estimate.rows.count, row.kept),
            (estimate.calls, row.calls),
            (estimate.input_tokens, row.input_tokens),
            (estimate.output_tokens, row.output_tokens),
        ):
            assert figure.ceiling is not None
            assert figure.low <= figure.expected <= figure.ceiling
            assert was <= figure.ceiling, step.name
        if row.calls:
            asking.append(step.name)
        outlook = Outlook(outlook.place, estimate.rows)
    assert asking == ASKING[name]
