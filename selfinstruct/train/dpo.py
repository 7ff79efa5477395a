"""Preference training (DPO; Rafailov et al. 2023): pairs of answers in, an exported model out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from selfinstruct.errors import DataError
from selfinstruct.sample import digest
from selfinstruct.train import Chat, Progress, hush, silent
from selfinstruct.train.data import Refused, Row, digest_rows, encode
from selfinstruct.train.settings import dpo_config, lora_config
from selfinstruct.train.stage import opened, tokenizer_of, train


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train; the defaults and the meaning of each are those of the `dpo` step."""

    beta: float = 0.1
    sft_weight: float = 1.0
    epochs: float | None = None
    max_steps: int | None = None
    batch_size: int | None = None
    accumulation: int = 1
    learning_rate: float | None = None
    max_length: int = 1024
    lora: Mapping[str, Any] | None = None
    seed: int = 0
    trainer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two conversations that differ in their last answer only."""

    chosen: Chat
    rejected: Chat


@dataclass(frozen=True, slots=True)
class Prepared:
    """A student and its pairs of token rows. `refused` names pairs by their place in what came."""

    base: str
    tokenizer: Any
    chosen: list[Row]
    rejected: list[Row]
    refused: list[Refused]
    facts: dict[str, Any]


def prepare(pairs: Sequence[Pair], *, model: str, recipe: Recipe, progress: Progress = silent) -> Prepared:
    """Open the student's tokenizer and turn the pairs into gated token rows; a pair is refused when either answer is.

    Raises:
        ConfigError: the libraries or the model are missing, or its chat template fails a gate.
        DataError: no pair is left to train on.
    """
    hush()
    tokenizer = tokenizer_of(model, model)

    def rows(chats: Sequence[Chat]) -> Any:
        return encode(tokenizer, chats, limit=recipe.max_length, turns="last", progress=progress)

    left = list(range(len(pairs)))
    refused: list[Refused] = []
    sides: dict[str, Any] = {}
    for side in ("chosen", "rejected"):  # only what passes on one side is looked at on the other
        if not left:
            raise DataError("no pair is left to train on", "see the drop reasons of the steps before")
        made = sides[side] = rows([getattr(pairs[place], side) for place in left])
        lost = {left[each.index]: each for each in made.refused}
        refused += [
            replace(each, index=place, detail={**each.detail, "side": side}) for place, each in lost.items()
        ]
        left = [place for place in left if place not in lost]
    chosen, rejected = sides["chosen"], sides["rejected"]
    if rejected.refused:  # the chosen answers of those pairs go, too
        chosen = rows([pairs[place].chosen for place in left])
    refused.sort(key=lambda each: each.index)
    facts = {**chosen.facts, "pairs": len(left), "rejected_tokens": rejected.facts["answer_tokens"]}
    return Prepared(model, tokenizer, chosen.rows, rejected.rows, refused, facts)


def fit(
    ready: Prepared,
    output: Path,
    *,
    recipe: Recipe,
    tables: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train on `ready` and export to `output`. Returns JSON facts: those of `sft.fit`, and the share of pairs that the
    student prefers rightly (`accuracy`) and by how much (`margin`), at the first and the last logged step.

    The reference is the student as it came, loaded from its folder, or with LoRA the student without the adapter.

    Raises:
        ConfigError: an option is unknown to DPOConfig or LoraConfig.
    """
    hush()

    def make_trainer(work: Path) -> tuple[Any, Any]:
        arguments = dpo_config(
            work,
            beta=recipe.beta,
            sft_weight=recipe.sft_weight,
            epochs=recipe.epochs,
            max_steps=recipe.max_steps,
            batch_size=recipe.batch_size,
            accumulation=recipe.accumulation,
            learning_rate=recipe.learning_rate,
            lora=recipe.lora,
            seed=recipe.seed,
            trainer=recipe.trainer,
        )
        return _trainer(ready, arguments, recipe, progress)

    return train(
        output,
        digest([ready.base, digest_rows(ready.chosen), digest_rows(ready.rejected), asdict(recipe)]),
        make_trainer,
        base=ready.base,
        tokenizer=ready.tokenizer,
        facts=ready.facts,
        tables=tables,
        progress=progress,
    )


def _trainer(ready: Prepared, arguments: Any, recipe: Recipe, progress: Progress) -> tuple[Any, Any]:
    from datasets import Dataset

    from selfinstruct.train.trainer import PairTrainer, PairWatch

    watch = PairWatch(progress)
    starts = [min(a.start, b.start) for a, b in zip(ready.chosen, ready.rejected, strict=True)]
    trainer = opened(
        PairTrainer,
        ready.base,
        args=arguments,
        train_dataset=Dataset.from_dict(
            {
                "prompt_ids": [row.ids[:start] for row, start in zip(ready.chosen, starts, strict=True)],
                "chosen_ids": [row.ids[start:] for row, start in zip(ready.chosen, starts, strict=True)],
                "rejected_ids": [row.ids[start:] for row, start in zip(ready.rejected, starts, strict=True)],
            }
        ),
        processing_class=ready.tokenizer,
        peft_config=lora_config(recipe.lora),
        callbacks=[watch],
    )
    return trainer, watch
