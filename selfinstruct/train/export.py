"""The exported model: merged safetensors, tokenizer with its chat template, generation settings, card, written whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MARKER = "COMPLETE"


@dataclass(frozen=True, slots=True)
class Card:
    """What the model card tells besides the training facts: a title and tables of JSON facts by heading."""

    title: str
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def exported(folder: Path, identity: str) -> dict[str, Any] | None:
    """The facts of the model in `folder`, if it is whole and the one that `identity` names."""
    marker = folder / MARKER
    if not marker.exists():
        return None
    stored = json.loads(marker.read_text())
    return dict(stored["facts"]) if stored["identity"] == identity else None


def origin(folder: Path) -> str | None:
    """The student that the model in `folder` was trained from; None where the folder is no export of ours."""
    marker = folder / MARKER
    return str(json.loads(marker.read_text())["base"]) if marker.exists() else None


def export(
    model: Any, tokenizer: Any, folder: Path, *, base: str, identity: str, facts: Mapping[str, Any], card: Card
) -> None:
    """Write `model` to `folder` in one move: at any time, the folder is absent, the old model or the whole new one.

    An adapter is merged into a freshly loaded base, never into a quantised one. Weights are stored in bf16 where they
    were trained on a GPU, and as they are on a CPU, so that what was measured is what was stored.

    Args:
        model: the trained model, a PEFT model where an adapter was trained.
        tokenizer: settled by `chat.settle`.
        folder: where it goes; an older model there is replaced.
        base: the folder or name that the student was loaded from.
        identity: names rows and recipe, for `exported`.
        facts: JSON facts of the training, for the card and for `exported`.
        card: the rest of the card.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    gpu = torch.cuda.is_available()
    if hasattr(model, "peft_config"):
        from peft import PeftModel

        adapter = fresh / "adapter"
        model.save_pretrained(adapter)
        plain = AutoModelForCausalLM.from_pretrained(base, dtype="bfloat16" if gpu else "float32")
        model = PeftModel.from_pretrained(plain, adapter).merge_and_unload()
        shutil.rmtree(adapter)
    elif gpu:
        model = model.to(torch.bfloat16)
    model.config.use_cache = True  # training turned it off
    given = model.generation_config.eos_token_id
    others = [] if given is None else [given] if isinstance(given, int) else list(given)
    ends = [tokenizer.eos_token_id, *(i for i in others if i != tokenizer.eos_token_id)]
    settings = model.generation_config.to_diff_dict() | {
        "eos_token_id": ends,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model.generation_config = GenerationConfig.from_dict(settings)
    model.save_pretrained(fresh)
    tokenizer.save_pretrained(fresh)
    (fresh / "README.md").write_text(_card(card, base, facts), encoding="utf-8")
    (fresh / MARKER).write_text(json.dumps({"identity": identity, "base": base, "facts": dict(facts)}))
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _card(card: Card, base: str, facts: Mapping[str, Any]) -> str:
    """A Hugging Face model card: front matter, then tables of what is known."""
    tables = {"Training": {k: v for k, v in facts.items() if k != "shown"}, **card.tables}
    hub = not Path(base).exists()
    head = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        *([f"base_model: {base}"] if hub else []),
        "tags: [selfinstruct, sft, trl]",
        "---",
        "",
        f"# {card.title}",
        "",
        f"Fine-tuned from {f'`{base}`' if hub else 'a student in `' + Path(base).name + '`'} by supervised fine-tuning "
        "with loss on answers only. The chat template is part of the tokenizer.",
    ]
    for heading, table in tables.items():
        head += ["", f"## {heading}", "", "| | |", "|---|---|"]
        head += [f"| {key.replace('_', ' ')} | {_cell(value)} |" for key, value in table.items()]
    return "\n".join(head) + "\n"


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text.replace("|", "\\|").replace("\n", " ")
