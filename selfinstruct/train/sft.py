"""Supervised fine-tuning: conversations in, an exported model out, continued from the last whole checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from selfinstruct.errors import ConfigError
from selfinstruct.sample import digest
from selfinstruct.train import TINY, Chat, Progress, hush, silent
from selfinstruct.train.data import Refused, Row, Turns, digest_rows, encode, none_left
from selfinstruct.train.settings import lora_config, sft_config
from selfinstruct.train.stage import opened, tokenizer_of, train
from selfinstruct.train.tiny import make


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train; the defaults and the meaning of each are those of the `sft` step."""

    epochs: float | None = None
    max_steps: int | None = None
    batch_size: int | None = None
    accumulation: int = 1
    learning_rate: float | None = None
    max_length: int = 1024
    turns: Turns = "every"
    packing: bool = False
    lora: Mapping[str, Any] | None = None
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
        model: `tiny` (made from `chats`, in `student`), a folder or a name on the Hub.
        student: where the tiny student goes.
        recipe: how to train.
        progress: called now and then.

    Raises:
        ConfigError: the libraries or the model are missing, or its chat template fails a gate.
        DataError: no row is left to train on.
    """
    hush()
    if not chats:
        raise none_left([], [])
    tiny = model == TINY
    base = str(make(chats, student, seed=recipe.seed)) if tiny else model
    tokenizer = tokenizer_of(model, base)
    made = encode(tokenizer, chats, limit=recipe.max_length, turns=recipe.turns, progress=progress)
    return Prepared(base, tiny, tokenizer, made.rows, made.refused, made.facts)


def fit(
    ready: Prepared,
    output: Path,
    *,
    recipe: Recipe,
    tables: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train on `ready` and export to `output`. Returns JSON facts: steps, losses, seconds, and what `ready` counted.

    The same call continues from the last whole checkpoint, and returns the stored facts once `output` is whole. On one
    machine, the same rows and recipe give the same weights to the bit, interrupted or not.

    Args:
        ready: what `prepare` gave.
        output: the folder of the model; an older model there is replaced.
        recipe: how to train.
        tables: more facts for the model's card, by heading.
        progress: called after each step; what it raises ends the training, to be continued.

    Raises:
        ConfigError: an option is unknown to SFTConfig or LoraConfig, or the model can't be packed.
    """
    hush()

    def make_trainer(work: Path) -> tuple[Any, Any]:
        arguments = sft_config(
            work,
            tiny=ready.tiny,
            epochs=recipe.epochs,
            max_steps=recipe.max_steps,
            batch_size=recipe.batch_size,
            accumulation=recipe.accumulation,
            learning_rate=recipe.learning_rate,
            max_length=recipe.max_length,
            packing=recipe.packing,
            lora=recipe.lora,
            seed=recipe.seed,
            end=ready.tokenizer.eos_token,
            trainer=recipe.trainer,
        )
        return _trainer(ready, arguments, recipe, progress)

    return train(
        output,
        digest([TINY if ready.tiny else ready.base, digest_rows(ready.rows), asdict(recipe)]),
        make_trainer,
        base=ready.base,
        tokenizer=ready.tokenizer,
        facts=ready.facts,
        tiny=ready.tiny,
        tables=tables,
        progress=progress,
    )


def _trainer(ready: Prepared, arguments: Any, recipe: Recipe, progress: Progress) -> tuple[Any, Any]:
    from datasets import Dataset

    from selfinstruct.train.trainer import LEAK, LEAK_BF16, Trainer, Watch, packing_leak

    watch = Watch(progress)
    # Rows that come with ids and labels are taken as they are: nothing is tokenised, cut or masked again.
    trainer = opened(
        Trainer,
        ready.base,
        args=arguments,
        train_dataset=Dataset.from_dict(
            {"input_ids": [row.ids for row in ready.rows], "labels": [row.labels for row in ready.rows]}
        ),
        processing_class=ready.tokenizer,
        peft_config=lora_config(recipe.lora),
        callbacks=[watch],
    )
    if recipe.packing:
        leak = packing_leak(trainer.model, [row.ids[-64:] for row in ready.rows[:4]])
        if leak > (LEAK_BF16 if arguments.bf16 else LEAK):
            raise ConfigError(
                f"packed rows of the student {ready.base!r} see each other (likelihood {leak:.1%} off)",
                "set `packing: false`",
            )
    return trainer, watch
