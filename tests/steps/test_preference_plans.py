"""What the preference steps cost lies within what was planned, and a rehearsal says what a run will ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import ROOT

from selfinstruct.pipeline import Pipeline, run
from selfinstruct.plan import plan
from selfinstruct.rehearsal import rehearse
from selfinstruct.step import Step
from selfinstruct.steps import answers, judge, pairs, pairwise, rank, read, ultrafeedback, write
from selfinstruct.teachers import Teacher

READ = read(path=str(ROOT / "data" / "sample" / "alpaca.json"), limit=40)
PIPELINES: dict[str, tuple[Step, ...]] = {
    "preference": (READ, answers(), judge(min_score=4), pairs(by="accuracy", dropped=("below_min",))),
    "ultrafeedback": (
        READ,
        answers(by=("teacher", "student"), principles=True),
        ultrafeedback(least=1),
        pairs(by="overall"),
    ),
    "instructgpt": (READ, answers(k=6, keep=True), rank(), pairs(by="quality", against="all")),
    "pairwise": (READ, answers(k=3), pairwise(), pairs(by="wins")),
    "two": (READ, answers(k=2, by=("student", "user")), pairwise(most=2), pairs(by="wins")),
}


def made(name: str, steps: tuple[Step, ...]) -> Pipeline:
    models = {
        role: {"model": "offline", "wrong": 0.4, "faults": 0.3}
        for role in ("teacher", "judge", "student", "user")
    }
    return Pipeline(name, (*steps, write(formats=("parquet",))), models)


@pytest.mark.parametrize("name", PIPELINES)
def test_calls_tokens_and_rows_lie_between_low_and_ceiling(name: str, tmp_path: Path) -> None:
    pipeline = made(name, PIPELINES[name])
    planned = plan(pipeline, pipeline.place(tmp_path))
    found = run(pipeline, tmp_path).funnel.steps
    for row, step in zip(planned, found, strict=True):
        estimate = row.estimate
        for figure, actual in (
            (estimate.rows.count, step.kept),
            (estimate.calls, step.calls),
            (estimate.input_tokens, step.input_tokens),
            (estimate.output_tokens, step.output_tokens),
        ):
            assert figure.ceiling is not None
            assert actual <= figure.ceiling, (step.name, figure, actual)
        for figure in (estimate.calls, estimate.input_tokens, estimate.output_tokens):
            assert figure.low <= figure.expected <= (figure.ceiling or 0)


def test_what_was_seen_of_so_many_rows_is_expected_of_as_many(tmp_path: Path) -> None:
    """Four answers a row are asked for, however many of them turned out equal in an earlier run."""
    run(made("p", (READ, answers())), tmp_path)
    fewer = read(path=str(ROOT / "data" / "sample" / "alpaca.json"), limit=10)
    changed = made("p", (fewer, answers()))
    _, row, _ = plan(changed, changed.place(tmp_path))
    assert row.estimate.calls.expected == 40
    assert row.estimate.rows.count.expected < 40
    assert "measured in the run here" in row.estimate.source


def test_a_rehearsal_ends_where_a_step_asks_for_what_only_a_run_leaves(tmp_path: Path) -> None:
    """Pairs of dropped rows hang on drops; while these are on file as they will be, they can be told, else not."""
    _, some, score, _ = PIPELINES["preference"]
    last = pairs(by="accuracy", dropped=("below_min",))
    run(made("p", (READ, some, score, last)), tmp_path)
    changed = made("p", (READ, some, score, pairs(by="accuracy", dropped=("below_min",), margin=1)))
    found = rehearse(changed, changed.place(tmp_path))
    assert found is not None
    assert (found.parts[3].state, found.asks, found.exact) == ("played", 0, True)
    other = made("p", (READ, some, judge(min_score=2), last))
    found = rehearse(other, other.place(tmp_path))
    assert found is not None
    assert [part.state for part in found.parts] == ["done", "done", "played", "ahead", "ahead"]


def test_a_rehearsal_counts_what_is_not_answered_yet(tmp_path: Path, play: Callable[[Teacher], str]) -> None:
    run(made("p", (READ, answers(k=2), rank(), pairs(by="quality"))), tmp_path)
    more = made("p", (READ, answers(k=3), rank(), pairs(by="quality")))
    found = rehearse(more, more.place(tmp_path))
    assert found is not None
    assert (found.parts[1].reused, found.parts[1].asks, found.parts[1].exact) == (80, 40, True)
