"""Options -> TRL's SFTConfig and PEFT's LoraConfig. Only what differs from their defaults stands here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfinstruct.errors import ConfigError, nearest
from selfinstruct.train import hush

# Where the user sets none, by the kind of training: epochs, batch size, peak of the learning rate.
USUAL = {"tiny": (7.0, 64, 3e-3), "full": (3.0, 16, 1e-5), "lora": (3.0, 16, 2e-4)}
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

    trainer = trainer or {}
    known = SFTConfig.__dataclass_fields__
    _known("trainer", trainer, known)
    if "output_dir" in trainer:
        raise ConfigError("`trainer` can't set `output_dir`", "use the option `output`")
    gpu = torch.cuda.is_available()
    usual = USUAL["tiny" if tiny else "full" if lora is None else "lora"]
    # TRL turns it on by default, which only costs on a CPU. The old name warns where the new one exists.
    new, old = "activation_checkpointing", "gradient_checkpointing"
    checkpointing = new if new in known and old not in trainer else old
    fields: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": epochs or usual[0],
        "max_steps": max_steps or -1,
        "per_device_train_batch_size": batch_size or usual[1],
        "gradient_accumulation_steps": accumulation,
        "learning_rate": learning_rate or usual[2],
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.03,  # a share of all steps
        "max_length": max_length if packing else None,  # unpacked, `data.encode` has kept the limit
        "packing": packing,
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
        "seed": seed,
        "data_seed": seed,
    }
    if tiny:
        fields.update(TINY)
    if gpu and lora is not None:
        fields["model_init_kwargs"] = {"dtype": "bfloat16"}
    try:
        return SFTConfig(**{**fields, **trainer})
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
