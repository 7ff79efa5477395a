"""Training: it learns, it repeats itself to the bit, and it goes on where it was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toys import chat, toys

from selfinstruct.errors import ConfigError
from selfinstruct.train import Chat, Progress, silent
from selfinstruct.train.sft import Recipe, fit, prepare

pytest.importorskip("torch")
pytestmark = pytest.mark.train


def train(folder: Path, chats: list[Chat], recipe: Recipe, progress: Progress = silent) -> dict[str, Any]:
    ready = prepare(chats, model="tiny", student=folder / "student", recipe=recipe)
    return fit(ready, folder / "model", recipe=recipe, progress=progress)


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


class Stop(Exception):
    pass


class Interrupt:
    """Progress that ends the training after a step, and keeps the steps that it was told of."""

    def __init__(self, after: int | None = None) -> None:
        self.after = after
        self.steps: list[int] = []

    def __call__(self, done: int, total: int, text: str) -> None:
        if text.startswith("training"):
            self.steps.append(done)
            if done == self.after:
                raise Stop


def test_a_student_that_knew_nothing_learns_the_tasks(tmp_path: Path) -> None:
    from selfinstruct.train.evaluation import ask
    from selfinstruct.train.metrics import Question, measure

    found = toys(2200, seed=7)
    recipe = Recipe(max_steps=200, batch_size=64)
    facts = train(tmp_path, [chat(question, answer) for _, question, answer in found[200:]], recipe)
    questions = [Question(chat(question), answer, family) for family, question, answer in found[:200]]
    before = measure(questions, ask(str(tmp_path / "student"), questions))
    after = measure(questions, ask(str(tmp_path / "model"), questions))
    assert before["exact_match"] == 0.0
    assert after["exact_match"] > 0.9
    assert after["ended"] > 0.99
    assert after["nll"] < before["nll"] / 10
    assert set(after["by_family"]) == {"echo", "reverse", "first", "last"}
    assert facts["steps"] == 200
    assert facts["base"] == "tiny"


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 8},
        {"batch_size": 4, "accumulation": 2, "packing": True, "max_length": 64},
    ],
)
def test_interrupted_or_not_the_same_seed_gives_the_same_weights(
    tmp_path: Path, chats: list[Chat], options: dict[str, Any]
) -> None:
    recipe = Recipe(max_steps=20, trainer={"save_steps": 5}, **options)
    train(tmp_path / "straight", chats, recipe)
    with pytest.raises(Stop):
        train(tmp_path / "stopped", chats, recipe, Interrupt(after=13))
    work = next((tmp_path / "stopped" / "model.work").iterdir())
    (work / "checkpoint-10" / "COMPLETE").unlink()  # as if it had died while writing this one
    assert not (tmp_path / "stopped" / "model").exists()
    again = Interrupt()
    facts = train(tmp_path / "stopped", chats, recipe, again)
    assert again.steps == list(range(6, 21))
    assert weights(tmp_path / "stopped") == weights(tmp_path / "straight")
    assert facts["steps"] == 20
    assert "10" in facts["losses"]
    assert not work.parent.exists()
    other = Recipe(max_steps=20, seed=1, **options)
    train(tmp_path / "other", chats, other)
    assert weights(tmp_path / "other") != weights(tmp_path / "straight")


def test_a_finished_model_is_not_trained_again_but_another_recipe_replaces_it(
    tmp_path: Path, chats: list[Chat]
) -> None:
    recipe = Recipe(max_steps=2)
    facts = train(tmp_path, chats, recipe)
    first = weights(tmp_path)
    watch = Interrupt()
    assert train(tmp_path, chats, recipe, watch) == facts
    assert watch.steps == []
    train(tmp_path, chats, Recipe(max_steps=3), watch)
    assert watch.steps == [1, 2, 3]
    assert weights(tmp_path) != first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "student"]


def test_checkpoints_of_another_recipe_are_not_continued(tmp_path: Path, chats: list[Chat]) -> None:
    with pytest.raises(Stop):
        train(tmp_path, chats, Recipe(max_steps=20, trainer={"save_steps": 5}), Interrupt(after=7))
    watch = Interrupt()
    train(tmp_path, chats, Recipe(max_steps=6, trainer={"save_steps": 5}), watch)
    assert watch.steps[0] == 1


def test_lora_trains_an_adapter_and_exports_one_merged_model(
    tmp_path: Path, chats: list[Chat], student: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    recipe = Recipe(max_steps=5, lora={"r": 4})
    ready = prepare(chats, model=str(student), student=tmp_path / "none", recipe=recipe)
    facts = fit(ready, tmp_path / "model", recipe=recipe)
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert "model.safetensors" in names
    assert not any("adapter" in name for name in names)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    base = AutoModelForCausalLM.from_pretrained(student, dtype=merged.dtype)  # bf16 where a GPU trained
    changed = {
        name
        for (name, a), b in zip(base.named_parameters(), merged.parameters(), strict=True)
        if not torch.equal(a, b)
    }
    assert changed == {name for name, _ in base.named_parameters() if "_proj" in name}
    # rank 4 on q, k, v, o of 96 by 256 and on gate, up, down of 96 by 128, in two layers
    assert facts["trained_parameters"] == 2 * 4 * (4 * (96 + 256) + 3 * (96 + 128))


@pytest.mark.parametrize(
    ("option", "message", "hint"),
    [
        (
            {"trainer": {"warmup_ratio": 0.1}},
            "`trainer` has the unknown field `warmup_ratio`",
            "did you mean",
        ),
        ({"trainer": {"output_dir": "x"}}, "can't set `output_dir`", "output"),
        ({"trainer": {"lr_scheduler_type": "sideways"}}, "TRL refuses the training options", "trainer"),
        (
            {"lora": {"lora_alfa": 8}},
            "`lora` has the unknown field `lora_alfa`",
            "did you mean `lora_alpha`?",
        ),
        ({"lora": {"zzzz": 8}}, "`lora` has the unknown field `zzzz`", "look at the library's page"),
    ],
)
def test_wrong_options_are_named(
    tmp_path: Path, chats: list[Chat], option: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        train(tmp_path, chats, Recipe(max_steps=1, **option))
    assert hint in caught.value.hint


def test_a_student_that_is_not_there_is_named(tmp_path: Path, chats: list[Chat]) -> None:
    with pytest.raises(ConfigError, match="'no/such-model' can't be opened"):
        prepare(chats, model="no/such-model", student=tmp_path, recipe=Recipe())
