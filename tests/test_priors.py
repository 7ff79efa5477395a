"""What earlier runs came to: kept as figures, found again by the next plan, and harmless when damaged."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fakes import ROOT, Echo

from selfinstruct import priors
from selfinstruct.outlook import Measured
from selfinstruct.pipeline import Pipeline
from selfinstruct.plan import plan
from selfinstruct.steps import alpaca, judge, read, respond

SEEDS = str(ROOT / "seeds" / "seed_tasks.jsonl")
TODAY = date(2026, 11, 25)
FOUND = Measured("here", 40, 175, 680, 400, 20_000, 60_000, 80.0)


def planned(step: Any, out: Path, **more: Any) -> Any:
    of = Pipeline("p", (read(path=SEEDS), step), {"teacher": "offline"})
    return plan(of, of.place(out), **more)[1]


def test_the_figures_of_a_run_are_the_next_plans(tmp_path: Path) -> None:
    """400 rows took 40 calls, 20,000 tokens in and 60,000 out: 1,000 rows take 2.5 times that, whatever `n` was."""
    of = Pipeline("p", (read(path=SEEDS), alpaca(n=400)), {"teacher": "offline"})
    place = of.place(tmp_path)
    priors.keep({priors.key(of.steps[1], place, "teacher"): FOUND}, TODAY)
    row = planned(alpaca(n=1000, patience=20, window=8), tmp_path, prior=priors.load()).estimate
    assert (row.calls.expected, row.input_tokens.expected, row.output_tokens.expected) == (
        100,
        50_000,
        150_000,
    )
    assert row.source == "measured in an earlier run (2026-11-25): 40 calls for 400 rows"
    assert row.calls.ceiling == 1000 * 20 - 1 + 8  # a measured yield moves no bound
    other = planned(alpaca(n=1000, threshold=0.5), tmp_path, prior=priors.load()).estimate
    assert "Alpaca's figures" in other.source  # another option that matters: nothing is known of it


def test_the_length_of_rows_is_that_of_those_that_come(tmp_path: Path) -> None:
    of = Pipeline("p", (read(path=SEEDS), respond(again=True)), {"teacher": "offline"})
    key = priors.key(of.steps[1], of.place(tmp_path), "teacher")
    prior = {key: Measured("before", 10, 10, 0, 10, 1_000_000, 500)}
    assumed = planned(respond(again=True), tmp_path).estimate
    row = planned(respond(again=True), tmp_path, prior=prior).estimate
    assert row.output_tokens.expected == 175 * 50
    assert row.input_tokens.expected == pytest.approx(assumed.input_tokens.expected, rel=0.1)


def test_what_was_measured_for_this_plan_beats_what_an_earlier_run_came_to(tmp_path: Path) -> None:
    of = Pipeline("p", (read(path=SEEDS), judge()), {"teacher": "offline"})
    key = priors.key(of.steps[1], of.place(tmp_path), "judge")
    pilot = Measured("pilot: 50 calls", 50, 50, 0, 25, 5_000, 1_000)
    row = planned(judge(), tmp_path, measured={1: pilot}, prior={key: FOUND}).estimate
    assert (row.source, row.rows.count.expected, row.output_tokens.expected) == ("pilot: 50 calls", 88, 3_500)


def test_figures_and_no_texts_in_a_file_of_ones_own() -> None:
    priors.keep({"k": FOUND}, TODAY)
    priors.keep({"other": replace(FOUND, calls=1)}, TODAY)
    path = priors.file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = json.loads(path.read_text())
    assert kept["format"] == 1
    assert kept["steps"]["k"] == {
        "calls": 40, "came": 175, "made": 680, "kept": 400, "input_tokens": 20_000, "output_tokens": 60_000,
        "seconds": 80.0, "day": "2026-11-25",
    }  # fmt: skip
    assert set(priors.load()) == {"k", "other"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"format": 1}',
        '{"format": 1, "steps": {"k": {"calls": -1}}}',
        '{"format": 1, "steps": {"k": 3}}',
        '{"steps": 1, "format": 1}',
        "\x00\ud800".encode("utf-8", "surrogatepass"),
        "[" * 100_000,
    ],
)
def test_a_damaged_file_counts_for_nothing_and_is_replaced(
    text: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = priors.file()
    path.parent.mkdir(parents=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert priors.load() == {}
    (warning,) = caplog.records
    assert "can't be used" in warning.getMessage()
    priors.keep({"k": FOUND}, TODAY)
    assert set(priors.load()) == {"k"}


def test_a_file_of_a_newer_version_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    path = priors.file()
    path.parent.mkdir(parents=True)
    path.write_text('{"format": 2, "steps": 7}')
    assert priors.load() == {}
    assert "its format is 2" in caplog.text
    priors.keep({"k": FOUND}, TODAY)
    assert path.read_text() == '{"format": 2, "steps": 7}'


def test_a_place_that_cant_be_written_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    path = priors.file()
    path.parent.parent.mkdir(parents=True)
    path.parent.write_text("a file where the folder should be")
    priors.keep({"k": FOUND}, TODAY)
    assert "can't be written" in caplog.text
    assert priors.load() == {}


def test_the_default_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert priors.file() == Path("/home/someone/.local/state/selfinstruct/priors.json")


def test_another_model_is_another_key(tmp_path: Path, play: Callable[[Any], str]) -> None:
    step = alpaca(n=10)
    names = ["offline", play(Echo(model="one")), play(Echo(model="two"))]
    keys = {
        priors.key(step, Pipeline("p", (step,), {"teacher": n}).place(tmp_path), "teacher") for n in names
    }
    assert len(keys) == 3
