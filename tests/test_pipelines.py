"""Every pipeline that comes with the package runs, at a tiny size, and replays equal without asking anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import ROOT

import selfinstruct.roles
import selfinstruct.steps
from selfinstruct.document import load
from selfinstruct.pipeline import Outcome, Pipeline, run
from selfinstruct.teachers import Completion, Request, Teacher
from selfinstruct.teachers.connect import connect

FILES = sorted((ROOT / "pipelines").glob("*.yaml"))
TRAINING = ("sft", "dpo", "evaluate")
TRAINED = [path for path in FILES if "\n  - sft" in path.read_text("utf-8")]


def tiny(path: Path, sets: tuple[str, ...] = ()) -> Pipeline:
    return load(path, sets, limit=30)


def written(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "dataset").iterdir())}


def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on every teacher has its name and its answers on file, and says nothing more."""

    async def refuse(request: Request) -> Completion:
        raise AssertionError(f"asked again: {request}")

    def opened(spec: str | Mapping[str, Any], *, role: str) -> Teacher:
        teacher = connect(spec, role=role)
        monkeypatch.setattr(teacher, "complete", refuse)
        return teacher

    monkeypatch.setattr(selfinstruct.roles, "connect", opened)


def holds(outcome: Outcome) -> None:
    """Rows came out, and at each step those that came and were made are those that were kept and dropped."""
    assert outcome.samples
    for row in outcome.funnel.steps:
        assert row.done
        assert row.came + row.made == row.kept + row.dropped
        assert row.pending == 0


def test_there_are_pipelines() -> None:
    assert {path.stem for path in FILES} >= {"quickstart", "alpaca", "curate", "lima"}
    assert ROOT / "pipelines" / "quickstart.yaml" in TRAINED


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem)
def first(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Pipeline, Outcome]:
    pipeline = tiny(request.param)
    pipeline = replace(pipeline, steps=[step for step in pipeline.steps if step.name not in TRAINING])
    return pipeline, run(pipeline, tmp_path_factory.mktemp(pipeline.name))


def test_it_runs(first: tuple[Pipeline, Outcome]) -> None:
    holds(first[1])
    assert {"train.parquet", "README.md"} <= set(written(first[1].dir))


def test_it_replays_equal_without_asking(
    first: tuple[Pipeline, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, outcome = first
    before = written(outcome.dir)
    silence(monkeypatch)
    again = run(pipeline, outcome.dir, fresh=True)
    assert again.samples == outcome.samples
    assert written(outcome.dir) == before

    def counts(of: Outcome) -> list[Any]:
        return [(row.name, row.came, row.made, row.kept, row.drops, row.calls) for row in of.funnel.steps]

    assert counts(again) == counts(outcome)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_twin_in_python_is_the_same_pipeline(path: Path, tmp_path: Path) -> None:
    text = yaml.safe_load(path.read_text("utf-8"))
    steps = []
    for entry in text["steps"]:
        ((name, options),) = entry.items() if isinstance(entry, dict) else ((entry, {}),)
        steps.append(getattr(selfinstruct.steps, name)(**options or {}))
    models = {role: text[role] for role in ("teacher", "judge", "user", "student") if role in text}
    twin = Pipeline(text["name"], steps, models, beside=path.parent)
    pipeline = load(path)
    assert twin.fingerprints(twin.place(tmp_path)) == pipeline.fingerprints(pipeline.place(tmp_path))


@pytest.mark.train
@pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.stem)
def test_it_trains_and_measures_and_replays_equal(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("trl")
    pipeline = tiny(path, ("sft.max_steps=3", "evaluate.n=4"))
    outcome = run(pipeline, tmp_path)
    holds(outcome)
    facts = {row.name: row.facts for row in outcome.funnel.steps}
    assert 0 < facts["evaluate"]["n"] <= 4
    assert set(facts["evaluate"]) >= {"before", "after"}
    assert (tmp_path / "model" / "model.safetensors").is_file()
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    silence(monkeypatch)
    again = run(pipeline, tmp_path, fresh=True)
    assert again.samples == outcome.samples
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
