"""Supervised fine-tuning: conversations in, an exported model out, continued from the last whole checkpoint."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from selfinstruct.errors import ConfigError, nearest
from selfinstruct.sample import digest
from selfinstruct.train import Chat, Progress, hush, silent
from selfinstruct.train.chat import settle
from selfinstruct.train.data import Refused, Row, Turns, encode
from selfinstruct.train.export import Card, export, exported
from selfinstruct.train.tiny import make

TINY = "tiny"
_LEARNING_RATE = {"tiny": 3e-3, "full": 1e-5, "lora": 2e-4}  # where the user sets none
_LORA: dict[str, Any] = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
_LEAK = 1e-2  # relative; rounding in bf16 stays below, a leak seen is above


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. `trainer` are fields of TRL's SFTConfig and win over everything that is set here."""

    epochs: float = 3.0
    max_steps: int | None = None
    batch_size: int = 16
    accumulation: int = 1
    learning_rate: float | None = None
    max_length: int = 1024
    turns: Turns = "every"
    lora: Mapping[str, Any] | None = None
    packing: bool = False
    seed: int = 0
    trainer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A student and its token rows, ready to train. `refused` conversations aren't among the rows."""

    base: str
    tiny: bool
    tokenizer: Any
    rows: list[Row]
    refused: list[Refused]
    facts: dict[str, Any]


def prepare(
    chats: Sequence[Chat], *, model: str, student: Path, recipe: Recipe, progress: Progress = silent
) -> Prepared:
    """Open or make the student's tokenizer and turn the conversations into gated token rows.

    Args:
        chats: the conversations to train on.
        model: `tiny` (made from `chats` in `student`), a folder or a name on the Hub.
        student: where the tiny student goes.
        recipe: how to train.
        progress: called now and then.

    Raises:
        ConfigError: the libraries or the model are missing, or its chat template fails a gate.
        DataError: no row is left to train on.
    """
    hush()
    from transformers import AutoTokenizer

    tiny = model == TINY
    if tiny and not chats:
        encode(None, [], limit=0)
    base = str(make(chats, student, seed=recipe.seed)) if tiny else model
    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the student {model!r} can't be opened: {str(error).splitlines()[0]}",
            "give a folder with a model and its tokenizer, a name on the Hugging Face Hub, or `tiny`",
        ) from error
    settle(tokenizer)
    made = encode(tokenizer, chats, limit=recipe.max_length, turns=recipe.turns, progress=progress)
    return Prepared(base, tiny, tokenizer, made.rows, made.refused, made.facts)


def fit(
    ready: Prepared, output: Path, *, recipe: Recipe, card: Card, progress: Progress = silent
) -> dict[str, Any]:
    """Train on `ready` and export to `output`. Returns JSON facts: steps, losses, seconds, and what `ready` counted.

    The same call continues from the last whole checkpoint, and returns the stored facts once `output` is whole. On one
    machine, the same rows, recipe and number of threads give the same weights to the bit, interrupted or not.

    Raises:
        ConfigError: an option is unknown to SFTConfig or LoraConfig, or the model can't be packed.
    """
    identity = digest(
        [ready.base if not ready.tiny else "tiny", [[r.ids, r.start] for r in ready.rows], asdict(recipe)]
    )
    stored = exported(output, identity)
    if stored is not None:
        return stored
    hush()
    from transformers import PrinterCallback, ProgressCallback

    from selfinstruct.train.trainer import Trainer, Watch, last_whole

    work = output.with_name(f"{output.name}.work")
    folder = work / identity
    if work.exists():  # checkpoints of other rows or another recipe: they can't be continued
        for stale in work.iterdir():
            if stale != folder:
                shutil.rmtree(stale)
    folder.mkdir(parents=True, exist_ok=True)
    arguments = _arguments(recipe, folder, tiny=ready.tiny, end=ready.tokenizer.eos_token)
    watch = Watch(progress)
    progress(0, max(arguments.max_steps, 0), "loading the student")
    trainer = Trainer(
        model=ready.base,
        args=arguments,
        train_dataset=_dataset(ready.rows),
        processing_class=ready.tokenizer,
        peft_config=_lora(recipe.lora),
        callbacks=[watch],
    )
    for printing in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printing)
    if recipe.packing:
        _packable(trainer.model, ready)
    last = last_whole(folder)
    begun = time.monotonic()
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    facts = {
        **ready.facts,
        "base": "tiny" if ready.tiny else ready.base,
        "steps": trainer.state.global_step,
        "epochs": round(float(trainer.state.epoch or 0), 2),
        "loss_first": watch.losses[0] if watch.losses else None,
        "loss_last": watch.losses[-1] if watch.losses else None,
        "trained_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "training_seconds": round(time.monotonic() - begun, 1),
    }
    progress(trainer.state.global_step, trainer.state.global_step, "exporting")
    export(trainer.model, ready.tokenizer, output, base=ready.base, identity=identity, facts=facts, card=card)
    shutil.rmtree(work)
    return facts


def _dataset(rows: Sequence[Row]) -> Any:
    """Token rows as TRL takes them ready-made: it neither tokenises, truncates nor masks them again."""
    from datasets import Dataset

    return Dataset.from_dict({"input_ids": [row.ids for row in rows], "labels": [row.labels for row in rows]})


def _arguments(recipe: Recipe, folder: Path, *, tiny: bool, end: str) -> Any:
    import torch
    from trl import SFTConfig

    gpu = torch.cuda.is_available()
    known = SFTConfig.__dataclass_fields__
    # The old name warns where the new one exists, and TRL turns it on by default, which only costs on a CPU.
    new = "activation_checkpointing"
    checkpointing = new if new in known and "gradient_checkpointing" not in recipe.trainer else "gradient_checkpointing"
    kind = "tiny" if tiny else "lora" if recipe.lora is not None else "full"
    fields: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": recipe.epochs,
        "max_steps": recipe.max_steps or -1,
        "per_device_train_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.accumulation,
        "learning_rate": recipe.learning_rate or _LEARNING_RATE[kind],
        "lr_scheduler_type": "linear" if tiny else "cosine",
        "warmup_steps": 0.03,
        "weight_decay": 0.0,
        "max_length": recipe.max_length if recipe.packing else None,  # `encode` has kept the limit
        "packing": recipe.packing,
        "eos_token": end,
        "bf16": gpu,
        "use_cpu": not gpu,
        checkpointing: gpu and not tiny,
        "save_strategy": "steps",
        "save_steps": 200,
        "save_total_limit": 2,
        "logging_steps": 10,
        "disable_tqdm": True,
        "report_to": [],
        "seed": recipe.seed,
        "data_seed": recipe.seed,
    }
    if tiny:
        fields["adam_beta2"] = 0.99
    if gpu and recipe.lora is not None:
        fields["model_init_kwargs"] = {"dtype": "bfloat16"}
    for name in recipe.trainer:
        if name not in known:
            raise ConfigError(f"`trainer` has the unknown field `{name}`", _close(name, known))
        if name == "output_dir":
            raise ConfigError("`trainer` can't set `output_dir`", "use the option `output`")
    try:
        return SFTConfig(**{**fields, **recipe.trainer})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"TRL refuses the training options: {error}", "look at `trainer`") from error


def _lora(options: Mapping[str, Any] | None) -> Any:
    if options is None:
        return None
    from peft import LoraConfig

    known = LoraConfig.__dataclass_fields__
    for name in options:
        if name not in known:
            raise ConfigError(f"`lora` has the unknown field `{name}`", _close(name, known))
    try:
        return LoraConfig(**{**_LORA, **options})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"PEFT refuses `lora`: {error}", "look at its LoraConfig") from error


def _close(name: str, known: Mapping[str, Any]) -> str:
    """`nearest` without its list, which is of some hundred names here."""
    return nearest(name, known).partition(" (")[0] if "did you mean" in nearest(name, known) else "look at TRL's page"


def _packable(model: Any, ready: Prepared) -> None:
    from selfinstruct.train.trainer import packing_leak

    probe = [row.ids[-64:] for row in ready.rows[:4]]
    leak = packing_leak(model, probe)
    if leak > _LEAK:
        raise ConfigError(
            f"packed rows of the student {ready.base!r} see each other (log-likelihood {leak:.1%} off)",
            "set `packing: false`, or an attention implementation for packed rows (flash attention) in `trainer`",
        )

