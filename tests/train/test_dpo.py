"""Preference training: pairs go in as TRL would cut them; it learns to prefer, and goes on where it stopped."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from fakes import ROOT
from test_sft import Interrupt, Stop
from toys import chat, toys

from selfinstruct.document import load
from selfinstruct.errors import ConfigError, DataError
from selfinstruct.pipeline import execute, run
from selfinstruct.steps import dpo, evaluate, read, sft
from selfinstruct.train import silent
from selfinstruct.train.dpo import Pair, Recipe, fit, prepare

pytest.importorskip("torch")
pytestmark = pytest.mark.train


def wrong(answer: str) -> str:
    """Another answer of the same kind: letters moved on by one."""
    return "".join("abcdefghija"["abcdefghij".index(c) + 1] if c != " " else c for c in answer)


def pairs(n: int, seed: int = 1) -> list[Pair]:
    return [Pair(chat(q, a), chat(q, wrong(a))) for _, q, a in toys(n, seed=seed)]


def trainer(student: Path, found: list[Pair], folder: Path, **options: Any) -> tuple[Any, Any]:
    from selfinstruct.train.dpo import _trainer
    from selfinstruct.train.settings import dpo_config

    recipe = Recipe(**options)
    ready = prepare(found, model=str(student), recipe=recipe)
    config = dpo_config(folder, sft_weight=recipe.sft_weight, max_steps=1, batch_size=8, lora=recipe.lora)
    return _trainer(ready, config, recipe, silent)[0], ready


def test_the_rows_are_those_that_trl_would_make(student: Path, tmp_path: Path) -> None:
    """But for what the template writes behind the end token, which is not learnt here."""
    from datasets import Dataset
    from trl import DPOTrainer

    found = pairs(20)
    made, ready = trainer(student, found, tmp_path)
    rows = [
        {"prompt": list(p.chosen[:-1]), "chosen": [p.chosen[-1]], "rejected": [p.rejected[-1]]} for p in found
    ]
    theirs = DPOTrainer._prepare_dataset(made, Dataset.from_list(rows), ready.tokenizer, made.args, "train")
    end = ready.tokenizer.eos_token_id
    for ours, each in zip(made.train_dataset, theirs, strict=True):
        assert ours["prompt_ids"] == each["prompt_ids"]
        for side in ("chosen_ids", "rejected_ids"):
            assert ours[side] == each[side][: each[side].index(end) + 1]


@pytest.mark.parametrize("lora", [None, {"r": 4}])
def test_a_student_that_is_its_own_reference_has_no_preference(
    student: Path, tmp_path: Path, lora: dict[str, Any] | None
) -> None:
    """The loss is then ln 2, whatever the weights (Rafailov et al. 2023, equation 7, with equal log-ratios)."""
    made, _ = trainer(student, pairs(8), tmp_path, sft_weight=0.0, lora=lora)
    batch = made._prepare_inputs(next(iter(made.get_train_dataloader())))
    made.model.eval()
    assert made.compute_loss(made.model, batch).item() == pytest.approx(math.log(2), abs=2e-3)


def go(folder: Path, student: Path, watch: Any = silent, **options: Any) -> dict[str, Any]:
    recipe = Recipe(**{"max_steps": 12, "batch_size": 8, "learning_rate": 1e-3, **options})
    ready = prepare(pairs(96), model=str(student), recipe=recipe)
    return fit(ready, folder / "model", recipe=recipe, progress=watch)


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path, student: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    more = {"trainer": {"save_steps": 5, "logging_steps": 5}}
    whole = go(tmp_path / "a", student, **more)
    with pytest.raises(Stop):
        go(tmp_path / "b", student, Interrupt(after=8), **more)
    watch = Interrupt()
    resumed = go(tmp_path / "b", student, watch, **more)
    assert watch.steps[0] == 6
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]
    for fact in ("losses", "accuracy", "margin", "steps", "pairs"):
        assert resumed[fact] == whole[fact]
    assert whole["accuracy"][1] > whole["accuracy"][0]
    assert (
        go(tmp_path / "b", student, Interrupt(after=1), **more) == resumed
    )  # whole: nothing is trained again


def rows(path: Path, n: int, seed: int) -> str:
    """Questions with their right answers, and the wrong ones as rejected, in a file of whole samples."""
    import pyarrow.parquet as pq

    from selfinstruct.formats import parquet
    from selfinstruct.sample import Sample

    found = [Sample.of(q, "", a).replace(rejected=wrong(a)) for _, q, a in toys(n, seed=seed)]
    found.insert(3, Sample.of("Copy: q q", "", "q q"))
    found.insert(5, Sample.of("Copy: h h", "", "h h").replace(rejected="h h"))
    found.insert(7, Sample.of("Copy: " + "a " * 80, "", "a").replace(rejected="b"))
    found.insert(9, Sample.of("Copy: b", "", "b").replace(rejected="b " * 80))
    with path.open("wb") as file:
        parquet.write(found, file)
    assert pq.read_table(path).num_rows == n + 4
    return str(path)


def test_what_was_learnt_is_kept_and_what_is_better_preferred(tmp_path: Path) -> None:
    """A student fine-tuned on right answers, then on pairs of right and wrong: it prefers rightly on nearly all pairs
    and answers no worse than before."""
    file = rows(tmp_path / "pairs.parquet", 1_000, seed=7)
    steps = [
        read(path=file, format="parquet"),
        sft(max_steps=120, batch_size=64, max_length=64),
        dpo(learning_rate=1e-4, max_length=64, batch_size=32),
        evaluate(model="aligned", tasks=file, n=200),
    ]
    done = execute(steps, out=tmp_path / "run")
    aligned = done.funnel.steps[2]
    assert aligned.came + aligned.made == aligned.kept + aligned.dropped
    assert dict(aligned.drops) == {"no_rejected": 1, "same_answers": 1, "too_long_for_student": 1}
    facts = aligned.facts
    assert facts["pairs"] == aligned.kept == 1_000
    assert facts["accuracy"][1] > 0.9
    assert facts["margin"][1] > 0
    measured = done.funnel.steps[3].facts
    assert measured["after"]["exact_match"] >= measured["before"]["exact_match"] - 0.02
    card = (tmp_path / "run" / "aligned" / "README.md").read_text()
    assert "Preference training (DPO) of `model`" in card
    assert "tags: [selfinstruct, trl, dpo]" in card
    assert json.loads((tmp_path / "run" / "aligned" / "COMPLETE").read_text())["base"] == "../model"


def test_lora_trains_an_adapter_and_exports_one_merged_model(tmp_path: Path, student: Path) -> None:
    facts = go(tmp_path, student, lora={"r": 4}, max_steps=3)
    # rank 4 on q, k, v, o of 96 by 256 and on gate, up, down of 96 by 128, in two layers
    assert facts["trained_parameters"] == 2 * 4 * (4 * (96 + 256) + 3 * (96 + 128))
    assert not any("adapter" in path.name for path in (tmp_path / "model").iterdir())


def test_what_can_not_work_is_refused_before_anything_runs(tmp_path: Path, student: Path) -> None:
    file = rows(tmp_path / "pairs.parquet", 10, seed=1)
    source = read(path=file, format="parquet")
    with pytest.raises(ConfigError, match="`output` is the student itself"):
        execute([source, dpo(model="x", output="x")], out=tmp_path / "a")
    with pytest.raises(ConfigError, match="unknown field `betta`"):
        execute([source, dpo(trainer={"betta": 1})], out=tmp_path / "b")
    with pytest.raises(ConfigError, match="can't be opened"):
        execute([source, dpo(model="nowhere")], out=tmp_path / "c")
    plain = tmp_path / "plain.jsonl"
    plain.write_text(json.dumps({"messages": list(chat("Copy: a", "a"))}) + "\n")
    with pytest.raises(DataError, match="no row has a rejected answer"):
        execute([read(path=str(plain)), dpo(model=str(student))], out=tmp_path / "d")


def test_the_page_trains_on_pairs_as_they_are_made(tmp_path: Path) -> None:
    """The pipeline of docs/recipes/preference.md that ends in `dpo`, with fewer rows and steps."""
    page = (ROOT / "docs" / "recipes" / "preference.md").read_text("utf-8")
    (block,) = (each for each in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "- dpo" in each)
    (tmp_path / "p.yaml").write_text(block.replace("data/sample", str(ROOT / "data" / "sample")))
    sets = ("sft.max_steps=3", "dpo.epochs=null", "dpo.max_steps=2")
    done = run(load(tmp_path / "p.yaml", sets, limit=30), tmp_path / "run")
    steps = {row.name: row for row in done.funnel.steps}
    assert steps["dpo"].facts["pairs"] == steps["pairs"].kept == steps["dpo"].kept > 0
    assert all(row.came + row.made == row.kept + row.dropped for row in done.funnel.steps)
    assert (tmp_path / "run" / "aligned" / "model.safetensors").is_file()
