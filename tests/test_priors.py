"""What a run took is the next plan's source; the file holds figures only, and may be missing or damaged."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from fakes import ROOT

from selfinstruct import priors
from selfinstruct.pipeline import Pipeline, run
from selfinstruct.plan import PlanRow, as_fact, plan
from selfinstruct.steps import alpaca, judge, read

SEEDS = ROOT / "seeds" / "seed_tasks.jsonl"


def small(n: int, aspect: str = "accuracy") -> Pipeline:
    steps = (read(path=str(SEEDS)), alpaca(n=n), judge(aspect=aspect, max_unscored=1.0))
    return Pipeline("small", steps, {"teacher": "offline"})


def planned(of: Pipeline, out: Path) -> list[PlanRow]:
    return plan(of, of.place(out))


def learnt(out: Path, n: int = 60) -> None:
    rows = as_fact(planned(small(n), out))
    priors.learn(run(small(n), out).funnel, {row["n"]: row["role"] for row in rows})


def test_a_run_is_the_source_of_the_next_plan(tmp_path: Path) -> None:
    learnt(tmp_path / "first")
    found = priors.known()
    assert len(found) == 2
    took = max(found.values(), key=lambda prior: prior.made)
    row = planned(small(600), tmp_path / "second")[1]
    assert row.estimate.calls == 10 * took.calls  # ten times the rows
    assert row.estimate.input_tokens == 10 * took.input_tokens
    assert row.estimate.source.startswith(
        f"measured in a run of {took.day}: {took.calls:,} calls for 60 rows"
    )
    assert row.estimate.low_calls == round(8 * took.calls)
    # another aspect is another question
    assert "assumption" in planned(small(600, "style"), tmp_path / "second")[2].estimate.source


def test_it_holds_figures_only_and_is_its_owners(tmp_path: Path) -> None:
    learnt(tmp_path / "first")
    text = priors.path().read_text()
    assert stat.S_IMODE(priors.path().stat().st_mode) == 0o600
    for key, values in json.loads(text)["steps"].items():
        assert len(key) == 32
        assert all(isinstance(value, int) for value in values[:-1])
    learnt(tmp_path / "other", n=30)  # the same steps: their entries are replaced
    assert len(priors.known()) == 2


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "steps": {"a": [1]}}', "\x00"]
)
def test_a_damaged_file_is_an_empty_one(text: str, tmp_path: Path) -> None:
    priors.path().parent.mkdir(parents=True)
    priors.path().write_text(text)
    assert priors.known() == {}
    learnt(tmp_path / "run")
    assert len(priors.known()) == 2


def test_a_folder_that_cannot_be_written_fails_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    learnt(tmp_path / "run")
    assert priors.known() == {}
