"""The lean head computes TRL's own loss; packed rows that see each other are found out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfinstruct.train import Chat, silent

pytest.importorskip("torch")
pytestmark = pytest.mark.train


def trainer(student: Path, chats: list[Chat], folder: Path, **options: Any) -> tuple[Any, Any]:
    from selfinstruct.train.settings import sft_config
    from selfinstruct.train.sft import Recipe, _trainer, prepare

    recipe = Recipe(max_steps=1, batch_size=8, **options)
    ready = prepare(chats, model=str(student), student=folder, recipe=recipe)
    config = sft_config(
        folder, tiny=False, batch_size=8, packing=recipe.packing, max_length=64, lora=recipe.lora
    )
    made, _ = _trainer(ready, config, recipe, silent)
    return made, ready


@pytest.mark.parametrize("options", [{}, {"packing": True}, {"lora": {}}])
def test_the_lean_head_computes_the_loss_and_the_gradients_of_trl(
    student: Path, chats: list[Chat], tmp_path: Path, options: dict[str, Any]
) -> None:
    import torch
    from trl import SFTTrainer

    made, _ = trainer(student, chats, tmp_path, **options)
    batch = next(iter(made.get_train_dataloader()))
    count = (batch["labels"] != -100).sum()
    found = []
    for compute in (made.compute_loss, SFTTrainer.compute_loss.__get__(made)):
        made.model.zero_grad()
        loss = compute(made.model, dict(batch), num_items_in_batch=count)
        loss.backward()
        gradients = [p.grad.clone() for p in made.model.parameters() if p.grad is not None]
        found.append((loss.item(), gradients))
    (ours, our_gradients), (theirs, their_gradients) = found
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert len(our_gradients) == len(their_gradients) > 0
    for a, b in zip(our_gradients, their_gradients, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_trl_trains_on_our_rows_as_they_are(student: Path, chats: list[Chat], tmp_path: Path) -> None:
    made, ready = trainer(student, chats, tmp_path)
    assert [(row["input_ids"], row["labels"]) for row in made.train_dataset] == [
        (row.ids, row.labels) for row in ready.rows
    ]


def rows(n: int = 4, length: int = 12) -> list[list[int]]:
    return [[(7 * i + 3 * j) % 50 + 3 for j in range(length)] for i in range(n)]


def test_packed_rows_of_a_llama_do_not_see_each_other(student: Path) -> None:
    from transformers import AutoModelForCausalLM

    from selfinstruct.train.trainer import LEAK, packing_leak

    assert packing_leak(AutoModelForCausalLM.from_pretrained(student), rows()) < LEAK


def test_an_architecture_that_mixes_packed_rows_is_found_out() -> None:
    import torch
    from transformers import MambaConfig, MambaForCausalLM

    from selfinstruct.train.trainer import LEAK, packing_leak

    torch.manual_seed(0)
    mamba = MambaForCausalLM(MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=4))
    assert packing_leak(mamba, rows()) > 10 * LEAK


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    from selfinstruct.train.trainer import last_whole

    assert last_whole(tmp_path) is None
    for step, whole in ((90, True), (100, True), (110, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if whole:
            (tmp_path / f"checkpoint-{step}" / "COMPLETE").touch()
    assert last_whole(tmp_path) == tmp_path / "checkpoint-100"
