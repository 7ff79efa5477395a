"""Options -> TRL's SFTConfig and DPOConfig, PEFT's LoraConfig. Only what differs from their defaults stands here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfinstruct.errors import ConfigError, nearest
from selfinstruct.train import hush

# Where the user sets none, by the kind of training: epochs, batch size, peak of the learning rate.
USUAL = {"tiny": (7.0, 64, 3e-3), "full": (3.0, 16, 1e-5), "lora": (3.0, 16, 2e-4)}
DPO = {"full": (1.0, 16, 1e-6), "lora": (1.0, 16, 1e-5)}
LORA: Mapping[str, Any] = {
    "r": 16,
    "lora_alpha": 32,
    "target_modules": "all-linear",
    "task_type": "CAUSAL_LM",
}
# A strong decay has a student that starts from nothing learn rules instead of rows: raised from 0.1 to 1, it took one
# with three heads from 80 to 95 % of new drills.
TINY: Mapping[str, Any] = {"lr_scheduler_type": "linear", "adam_beta2": 0.99, "weight_decay": 1.0}


def sft_config(
    folder: Path,
    *,
    tiny: bool,
    epochs: float | None = None,
    max_steps: int | None = None,
    batch_size: int | None = None,
    accumulation: int = 1,
    learning_rate: float | None = None,
    max_length: int = 1024,
    packing: bool = False,
    lora: Mapping[str, Any] | None = None,
    seed: int = 0,
    end: str | None = None,
    trainer: Mapping[str, Any] | None = None,
) -> Any:
    """An SFTConfig that trains in fp32 on a CPU and in bf16 on a GPU. The fields in `trainer` win.

    Raises:
        ConfigError: `trainer` names an unknown field, or TRL refuses a value.
    """
    hush()
    import torch
    from trl import SFTConfig

    usual = USUAL["tiny" if tiny else "full" if lora is None else "lora"]
    fields: dict[str, Any] = {
        **_course(folder, usual, epochs, max_steps, batch_size, accumulation, learning_rate, lora, seed),
        "max_length": max_length if packing else None,  # unpacked, `data.encode` has kept the limit
        "packing": packing,
        "eos_token": end,
        **_checkpointing(SFTConfig, torch.cuda.is_available() and not tiny, trainer),
    }
    if tiny:
        fields.update(TINY)
    return _made(SFTConfig, fields, trainer)


def dpo_config(
    folder: Path,
    *,
    beta: float = 0.1,
    sft_weight: float = 1.0,
    epochs: float | None = None,
    max_steps: int | None = None,
    batch_size: int | None = None,
    accumulation: int = 1,
    learning_rate: float | None = None,
    lora: Mapping[str, Any] | None = None,
    seed: int = 0,
    trainer: Mapping[str, Any] | None = None,
) -> Any:
    """A DPOConfig, as `sft_config`. Beside DPO's loss stands the likelihood of the chosen answers, lest a student lose
    what it knew.

    Raises:
        ConfigError: `trainer` names an unknown field, or TRL refuses a value.
    """
    hush()
    import torch
    from trl import DPOConfig

    usual = DPO["full" if lora is None else "lora"]
    fields = {
        **_course(folder, usual, epochs, max_steps, batch_size, accumulation, learning_rate, lora, seed),
        "max_length": None,  # `data.encode` has kept the limit
        "beta": beta,
        "loss_type": ["sigmoid", "sft"] if sft_weight else ["sigmoid"],
        "loss_weights": [1.0, sft_weight] if sft_weight else [1.0],
        **_checkpointing(DPOConfig, torch.cuda.is_available(), trainer),
    }
    return _made(DPOConfig, fields, trainer)


def _course(
    folder: Path,
    usual: tuple[float, int, float],
    epochs: float | None,
    max_steps: int | None,
    batch_size: int | None,
    accumulation: int,
    learning_rate: float | None,
    lora: Mapping[str, Any] | None,
    seed: int,
) -> dict[str, Any]:
    """What is the same for every kind of training."""
    import torch

    gpu = torch.cuda.is_available()
    fields: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": epochs or usual[0],
        "max_steps": max_steps or -1,
        "per_device_train_batch_size": batch_size or usual[1],
        "gradient_accumulation_steps": accumulation,
        "learning_rate": learning_rate or usual[2],
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.03,  # a share of all steps
        "bf16": gpu,
        "use_cpu": not gpu,
        "save_strategy": "steps",
        "save_steps": 200,
        "save_total_limit": 2,
        "logging_steps": 10,
        "disable_tqdm": True,
        "report_to": [],
        "seed": seed,
        "data_seed": seed,
    }
    if gpu and lora is not None:
        fields["model_init_kwargs"] = {"dtype": "bfloat16"}
    return fields


def _checkpointing(kind: Any, wanted: bool, trainer: Mapping[str, Any] | None) -> dict[str, bool]:
    """TRL turns it on by default, which only costs on a CPU. The old name warns where the new one exists."""
    new, old = "activation_checkpointing", "gradient_checkpointing"
    known = kind.__dataclass_fields__
    return {new if new in known and old not in (trainer or {}) else old: wanted}


def _made(kind: Any, fields: Mapping[str, Any], trainer: Mapping[str, Any] | None) -> Any:
    """The config, with the user's own fields winning."""
    trainer = trainer or {}
    _known("trainer", trainer, kind.__dataclass_fields__)
    if "output_dir" in trainer:
        raise ConfigError("`trainer` can't set `output_dir`", "use the option `output`")
    try:
        return kind(**{**fields, **trainer})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"TRL refuses the training options: {error}", "look at `trainer`") from error


def lora_config(options: Mapping[str, Any] | None) -> Any:
    """A LoraConfig of rank 16 on all linear layers, changed by `options`; None for None.

    Raises:
        ConfigError: an unknown field, or PEFT refuses a value.
    """
    if options is None:
        return None
    hush()
    from peft import LoraConfig

    _known("lora", options, LoraConfig.__dataclass_fields__)
    try:
        return LoraConfig(**{**LORA, **options})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"PEFT refuses `lora`: {error}", "look at its LoraConfig") from error


def _known(option: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name in given:
        if name not in known:
            # There are some hundred names: only the nearest one helps.
            close = nearest(name, known).partition(" (")[0]
            hint = close if close.startswith("did you mean") else "look at the library's page"
            raise ConfigError(f"`{option}` has the unknown field `{name}`", hint)
