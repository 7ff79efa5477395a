"""The exported model: safetensors, tokenizer with its chat template, generation settings, card; written whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfinstruct.train import MARKER

CARD = "README.md"


def exported(folder: Path, identity: str) -> dict[str, Any] | None:
    """The facts of the model in `folder`, if it is whole and the one that `identity` names."""
    stored = _record(folder)
    return dict(stored["facts"]) if stored and stored["identity"] == identity else None


def origin(folder: Path) -> str | None:
    """The student that the model in `folder` was trained from; None where the folder is no export of ours."""
    stored = _record(folder)
    if stored is None:
        return None
    beside = folder / stored["base"]
    return str(beside.resolve()) if beside.is_dir() else str(stored["base"])


def export(
    model: Any,
    tokenizer: Any,
    folder: Path,
    *,
    base: str,
    identity: str,
    facts: Mapping[str, Any],
    tables: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write `model` to `folder`, which holds nothing, the old model or the whole new one, whenever the power goes.

    An adapter is merged into a freshly loaded base, never into a quantised one. Weights are stored in bf16 where a GPU
    trained them and in fp32 on a CPU, where what is stored is to the bit what was trained.

    Args:
        model: the trained model; a PEFT model where an adapter was trained.
        tokenizer: settled by `chat.settle`.
        folder: where it goes; an older model there is replaced.
        base: the folder or name that the student was loaded from.
        identity: names rows and recipe, for `exported`.
        facts: JSON facts of the training, for the card and for `exported`.
        tables: more facts for the card, by heading.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    if hasattr(model, "peft_config"):
        from peft import PeftModel

        adapter = fresh / "adapter"
        model.save_pretrained(adapter)
        plain = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
        model = PeftModel.from_pretrained(plain, adapter).merge_and_unload()
        shutil.rmtree(adapter)
    model = model.to(dtype)
    model.config.use_cache = True  # training turned it off
    settings = model.generation_config.to_diff_dict()
    before = settings.get("eos_token_id")
    others = [] if before is None else [before] if isinstance(before, int) else before
    settings["eos_token_id"] = list(dict.fromkeys([tokenizer.eos_token_id, *others]))
    settings["pad_token_id"] = tokenizer.pad_token_id
    model.generation_config = GenerationConfig.from_dict(settings)
    model.save_pretrained(fresh)
    tokenizer.save_pretrained(fresh)
    (fresh / CARD).write_text(_card(base, facts, tables), encoding="utf-8")
    own = Path(base).resolve().parent == folder.resolve().parent  # so named, the run's folder can be moved
    record = {"identity": identity, "base": f"../{Path(base).name}" if own else base, "facts": dict(facts)}
    (fresh / MARKER).write_text(json.dumps(record), encoding="utf-8")
    for file in fresh.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def extend_card(folder: Path, heading: str, table: Mapping[str, Any]) -> None:
    """Add a section to the card of the model in `folder`; an older one of that heading is replaced."""
    card = folder / CARD
    parts = card.read_text(encoding="utf-8").split("\n## ")
    parts = [part for part in parts if not part.startswith(f"{heading}\n")]
    text = parts[0].rstrip("\n") + "".join(f"\n\n## {part.strip()}" for part in parts[1:])
    fresh = card.with_suffix(".new")
    fresh.write_text(text + "\n" + _section(heading, table), encoding="utf-8")
    fresh.replace(card)


def _record(folder: Path) -> dict[str, Any] | None:
    marker = folder / MARKER
    if not marker.is_file():
        return None
    stored = json.loads(marker.read_text(encoding="utf-8"))
    return stored if isinstance(stored, dict) and "identity" in stored else None


def _card(base: str, facts: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> str:
    """A Hugging Face model card: front matter, then tables of what is known."""
    hub = not Path(base).exists()
    front = ["---", "library_name: transformers", "pipeline_tag: text-generation"]
    front += [f"base_model: {base}"] if hub else []
    pairs = "pairs" in facts
    front += [f"tags: [selfinstruct, trl, {'dpo' if pairs else 'sft'}]", "---", ""]
    start = (
        "a small random student made from the training text"
        if facts["base"] == "tiny"
        else f"`{facts['base']}`"
    )
    text = (
        f"# {'A fine-tuned student' if not hub else base + ', fine-tuned'}\n\n"
        + ("Preference training (DPO) of " if pairs else "Supervised fine-tuning of ")
        + f"{start}{'' if pairs else ', with loss on answers only'}. The chat template is part of the tokenizer; "
        "generation ends with the tokens in `generation_config.json`.\n"
    )
    training = {key: value for key, value in facts.items() if key != "shown"}
    sections = {"Training": training, **tables}
    return "\n".join(front) + text + "".join(_section(head, table) for head, table in sections.items())


def _section(heading: str, table: Mapping[str, Any]) -> str:
    rows = "".join(f"| {_cell(key.replace('_', ' '))} | {_cell(value)} |\n" for key, value in table.items())
    return f"\n## {heading}\n\n| what | value |\n|---|---|\n{rows}"


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("|", "\\|").replace("\n", " ")
