"""The steps `sft` and `evaluate` in a run: what passes, what drops, what is held out, what is left on disk."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fakes import ROOT
from toys import chat, toys

from selfinstruct.document import load
from selfinstruct.errors import ConfigError, DataError
from selfinstruct.pipeline import Outcome, execute, run
from selfinstruct.step import Step
from selfinstruct.steps import evaluate, orca, read, sft, write

pytest.importorskip("torch")
pytestmark = pytest.mark.train


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [{"messages": list(chat(question, answer))} for _, question, answer in toys(60, seed=5)]
    rows.insert(10, {"messages": list(chat("Copy: " + "a b " * 40, "a b " * 40))})
    rows.insert(20, {"messages": list(chat("Who?"))})
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def go(tmp_path: Path, *steps: Step) -> Outcome:
    return execute(steps, out=tmp_path / "run")


def facts(outcome: Outcome, n: int) -> Any:
    return outcome.funnel.steps[n].facts


def test_a_student_is_trained_and_measured_on_what_was_held_out(tmp_path: Path, file: Path) -> None:
    steps = (
        read(path=str(file), license="cc0-1.0"),
        sft(max_steps=3, max_length=64, hold_out=0.3, seed=1),
        evaluate(n=10),
    )
    done = go(tmp_path, *steps)
    trained = done.funnel.steps[1]
    assert trained.came == 62
    assert trained.drops == {"too_long_for_student": 1, "unanswered": 1}
    assert trained.kept == len(done.samples) == 60
    out = [row for row in done.samples if row.meta.get("split") == "held_out"]
    assert 8 <= len(out) <= 28  # 18 expected of 60, standard deviation 3.5
    assert facts(done, 1)["held_out"] == len(out)
    assert facts(done, 1)["rows"] == 60 - len(out)
    asked = {row.prompt[0].content for row in out}
    predictions = [json.loads(line) for line in (done.dir / "predictions.jsonl").read_text().splitlines()]
    assert len(predictions) == 10
    assert {row["prompt"][0]["content"] for row in predictions} <= asked
    assert set(predictions[0]["after"]) == {"text", "ended", "exact"}
    stored = json.loads((done.dir / "evaluation.json").read_text())
    assert stored["n"] == 10
    assert stored["before"]["exact_match"] == 0.0
    assert stored["after"]["nll"] < stored["before"]["nll"]
    assert facts(done, 2)["after"] == stored["after"]
    assert facts(done, 2)["headline"].startswith("held-out exact match 0.000 -> ")
    card = (done.dir / "model" / "README.md").read_text()
    assert "| 1. read | 0 came, 62 made, 62 kept |" in card
    assert "## Evaluation" in card

    before = (done.dir / "model" / "COMPLETE").stat().st_mtime_ns
    again = go(tmp_path, *steps)
    assert (done.dir / "model" / "COMPLETE").stat().st_mtime_ns == before
    assert [row.to_row() for row in again.samples] == [row.to_row() for row in done.samples]


def test_a_lost_model_is_trained_again_and_is_the_same(tmp_path: Path, file: Path) -> None:
    import shutil

    steps = (read(path=str(file), license="cc0-1.0"), sft(max_steps=2, max_length=64))
    done = go(tmp_path, *steps)
    first = (done.dir / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(done.dir / "model")
    go(tmp_path, *steps)
    assert (done.dir / "model" / "model.safetensors").read_bytes() == first


def test_offline_tasks_and_a_file_as_questions(tmp_path: Path, file: Path, student: Path) -> None:
    source = read(path=str(file), license="cc0-1.0")
    done = go(
        tmp_path / "1",
        source,
        evaluate(tasks="offline", families=("echo",), n=5, model=str(student), base=None),
    )
    assert set(facts(done, 1)["after"]["by_family"]) == {"echo"}
    assert "before" not in facts(done, 1)
    assert len(done.samples) == 62
    done = go(tmp_path / "2", source, evaluate(tasks=str(file), n=7, model=str(student), base=str(student)))
    assert facts(done, 1)["n"] == 7
    assert facts(done, 1)["before"] == facts(done, 1)["after"]


def test_what_cannot_work_is_said_before_the_run_or_in_it(tmp_path: Path, file: Path, student: Path) -> None:
    source = read(path=str(file), license="cc0-1.0")
    with pytest.raises(ConfigError, match=r"there is no file nowhere\.jsonl"):
        go(tmp_path, source, evaluate(tasks="nowhere.jsonl"))
    with pytest.raises(ConfigError, match="unknown field `warmup_ratio`"):
        go(tmp_path, source, sft(trainer={"warmup_ratio": 0.1}))
    (tmp_path / "run" / "mine").mkdir(parents=True)
    with pytest.raises(ConfigError, match="exists and is no model of this step"):
        go(tmp_path, source, sft(output="mine"))
    with pytest.raises(DataError, match="`tasks: held_out` holds no answered question") as caught:
        go(tmp_path, source, evaluate(model=str(student)))
    assert "hold_out" in caught.value.hint
    with pytest.raises(DataError, match=r"62 came \(too_long_for_student 61, unanswered 1\)"):
        go(tmp_path / "short", source, sft(max_length=5))


def test_the_two_parts_of_orcas_curriculum_are_trained_one_after_the_other(tmp_path: Path) -> None:
    """The YAML of the page, with the tiny student and two steps of each part."""
    queries = read(path=str(ROOT / "data" / "sample" / "alpaca.json"), limit=60)
    made = execute(
        [queries, orca(second="judge", share=0.3), write(formats=("messages", "parquet"))],
        out=tmp_path / "orca",
        teacher="offline",
        judge={"model": "offline", "wrong": 0.02},
    )
    sizes = [sum(row.meta["curriculum"] == part for row in made.samples) for part in (1, 2)]
    (block,) = re.findall(
        r"(?s)```yaml needs=orca\n(steps:.*?)```", (ROOT / "docs/recipes/orca.md").read_text("utf-8")
    )
    text = block.replace("data/orca/", f"{tmp_path}/orca/").replace("Qwen/Qwen2.5-0.5B", "tiny")
    (tmp_path / "curriculum.yaml").write_text(re.sub(r"epochs: 4.*?, output", "max_steps: 2, output", text))
    done = run(load(tmp_path / "curriculum.yaml"), tmp_path / "run")
    assert [facts(done, n)["rows"] for n in (2, 5)] == sizes
    assert {row.meta["curriculum"] for row in done.samples} == {2}
    cards = [(tmp_path / "run" / name / "README.md").read_text("utf-8") for name in ("first", "model")]
    assert ["fine-tuning of `first`" in card for card in cards] == [False, True]
