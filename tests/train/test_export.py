"""The exported folder: the same model as in memory, with all that it takes to talk to it, whole or absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.train import hush
from selfinstruct.train.export import export, exported, extend_card, origin

pytest.importorskip("torch")
FACTS = {"base": "tiny", "rows": 3, "shown": [{"asked": "never", "learnt": "shown"}]}


def write(model: Any, tokenizer: Any, folder: Path, student: Path, identity: str = "1") -> None:
    from selfinstruct.train.chat import settle

    settle(tokenizer)
    tables = {"Data": {"1. read": "3 came", "a|b": "c\nd"}}
    export(model, tokenizer, folder, base=str(student), identity=identity, facts=FACTS, tables=tables)


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(input_ids=torch.arange(3, 40)[None], use_cache=False).logits


def test_what_is_loaded_again_equals_the_model_in_memory(
    student: Path, tokenizer: Any, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(student)
    torch.manual_seed(0)
    torch.nn.init.normal_(model.lm_head.weight, std=0.5)
    expected = logits(model)
    write(model, tokenizer, tmp_path / "model", student)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    if torch.cuda.is_available():  # stored in bf16: 8 bits of each weight
        assert torch.allclose(logits(again).float(), expected, rtol=0.05, atol=0.05 * float(expected.std()))
        return
    assert torch.equal(logits(again), expected)


def test_a_merged_adapter_equals_the_adapted_model_in_memory(
    student: Path, tokenizer: Any, tmp_path: Path
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    hush()
    torch.manual_seed(0)
    plain = AutoModelForCausalLM.from_pretrained(student)
    untouched = logits(plain)
    config = LoraConfig(r=8, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    adapted = get_peft_model(plain, config)
    expected = logits(adapted)
    write(adapted, tokenizer, tmp_path / "model", student)
    merged = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "model")).float()
    # stored in fp32 on a CPU, in bf16 on a GPU
    assert torch.allclose(merged, expected, atol=1e-5 if not torch.cuda.is_available() else 5e-2)
    assert not torch.allclose(merged, untouched, atol=1e-2)


def test_the_folder_holds_all_that_it_takes_to_talk_to_the_model(
    student: Path, tokenizer: Any, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(student)
    model.config.use_cache = False  # as training leaves it
    model.generation_config.eos_token_id = 7  # as a base model brings it
    folder = tmp_path / "model"
    write(model, tokenizer, folder, student)
    assert {path.name for path in folder.iterdir()} == {
        "COMPLETE",
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert json.loads((folder / "config.json").read_text())["use_cache"] is True
    generation = json.loads((folder / "generation_config.json").read_text())
    again = AutoTokenizer.from_pretrained(folder)
    assert generation["eos_token_id"] == [again.convert_tokens_to_ids("<|im_end|>"), 7]
    assert generation["pad_token_id"] == again.convert_tokens_to_ids("<|pad|>")
    assert again.chat_template == tokenizer.chat_template
    assert exported(folder, "1") == FACTS
    assert exported(folder, "2") is None
    assert origin(folder) == str(student)
    assert origin(student) is None


def test_a_run_can_be_moved_with_its_student(student: Path, tokenizer: Any, tmp_path: Path) -> None:
    import shutil

    from transformers import AutoModelForCausalLM

    shutil.copytree(student, tmp_path / "run" / "student")
    write(
        AutoModelForCausalLM.from_pretrained(student),
        tokenizer,
        tmp_path / "run" / "model",
        tmp_path / "run" / "student",
    )
    (tmp_path / "run").rename(tmp_path / "moved")
    assert origin(tmp_path / "moved" / "model") == str(tmp_path / "moved" / "student")
    assert str(tmp_path) not in (tmp_path / "moved" / "model" / "COMPLETE").read_text()


def test_the_card_has_front_matter_and_tables(student: Path, tokenizer: Any, tmp_path: Path) -> None:
    import yaml
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "model"
    write(AutoModelForCausalLM.from_pretrained(student), tokenizer, folder, student)
    extend_card(folder, "Evaluation", {"n": 1})
    extend_card(folder, "Evaluation", {"n": 2})
    _, front, text = (folder / "README.md").read_text().split("---\n")
    assert yaml.safe_load(front) == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["selfinstruct", "trl", "sft"],
    }
    assert "| rows | 3 |\n" in text
    assert "| a\\|b | c d |\n" in text
    assert text.count("## Evaluation") == 1
    assert "| n | 2 |" in text
    assert text.index("## Training") < text.index("## Data") < text.index("## Evaluation")
    assert "never" not in text
    assert str(student.parent) not in text


def test_an_older_model_is_replaced_and_a_broken_attempt_swept_away(
    student: Path, tokenizer: Any, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    (tmp_path / "model.new").mkdir()
    (tmp_path / "model.new" / "half").touch()
    for identity in ("1", "2"):
        write(AutoModelForCausalLM.from_pretrained(student), tokenizer, tmp_path / "model", student, identity)
    assert exported(tmp_path / "model", "2") == FACTS
    assert not (tmp_path / "model" / "half").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
