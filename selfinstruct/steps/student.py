"""sft and dpo: a student is trained on the samples and exported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.funnel import Funnel
from selfinstruct.run import Place, Run
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Samples, step
from selfinstruct.train import MARKER, TINY, Chat, require

STUDENT = "student"  # the folder of the tiny student, inside the run's folder


def _check(place: Place, *, output: str, lora: Any, trainer: Any, packing: bool, **_: Any) -> None:
    require()
    folder = _free(place, output)
    if lora is not None or trainer or packing:
        from selfinstruct.train.settings import lora_config, sft_config

        lora_config(lora)
        sft_config(folder, tiny=False, lora=lora, packing=packing, trainer=trainer)


def _free(place: Place, output: str) -> Path:
    """The folder of the model that is to be made. Raises ConfigError when it holds something else."""
    folder = place.dir / output
    if output == STUDENT:
        raise ConfigError(f"`output: {STUDENT}` is where the tiny student goes", "give `output` another name")
    if folder.exists() and not (folder / MARKER).is_file():
        raise ConfigError(f"{folder} exists and is no model of this step", "give `output` another name")
    return folder


def _sees(place: Place, *, model: str, **_: Any) -> Any:
    """A student in a folder counts as another one when one of its files has another size."""
    folder = place.path(model)
    if model == TINY or not folder.is_dir():
        return None
    return sorted([path.name, path.stat().st_size] for path in folder.iterdir() if path.is_file())


def _intact(place: Place, facts: Mapping[str, Any], *, output: str, **_: Any) -> bool:
    return (place.dir / output / MARKER).is_file()


@step(check=_check, sees=_sees, intact=_intact)
async def sft(
    run: Run,
    samples: Samples,
    *,
    model: str = "tiny",
    output: str = "model",
    epochs: Annotated[float, Field(gt=0)] | None = None,
    max_steps: Annotated[int, Field(gt=0)] | None = None,
    batch_size: Annotated[int, Field(gt=0)] | None = None,
    accumulation: Annotated[int, Field(gt=0)] = 1,
    learning_rate: Annotated[float, Field(gt=0)] | None = None,
    max_length: Annotated[int, Field(gt=0)] = 1024,
    turns: Literal["every", "last"] = "every",
    packing: bool = False,
    lora: dict[str, Any] | None = None,
    hold_out: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    seed: int = 0,
    trainer: dict[str, Any] | None = None,
) -> Samples:
    """Fine-tune a student with TRL, with loss on answers only, and export it as a folder of safetensors.

    The samples pass through. Those held out get `split: held_out` in their meta and are never trained on; which ones is
    decided by the question alone, so that a question stays on its side whatever else is in the set. No answer is ever
    cut: a sample that is too long is dropped (too_long_for_student), and so are those that can't be trained on
    (unanswered, empty_answer, control_token, template_refused). An interrupted training goes on from its last whole
    checkpoint and gives the same weights.

    Args:
        model: the student: a folder of this run such as an earlier `sft` leaves, any folder, a name on the Hugging Face
            Hub, or tiny: a small Llama with random weights and a tokenizer made from the samples, for trying out
        output: the folder of the model, inside the run's folder
        epochs: passes over the samples; by default 3, for tiny 7
        max_steps: optimizer steps; replaces epochs
        batch_size: rows of one forward pass; by default 16, for tiny 64
        accumulation: forward passes of one optimizer step
        learning_rate: its peak; by default 1e-5, with LoRA 2e-4, for tiny 3e-3
        max_length: tokens that a row may have, question and answer
        turns: train on every assistant turn of a conversation, a row each, or on the last
        packing: fill rows up to max_length with several samples that don't see each other; checked on the student
        lora: train a LoRA adapter and merge it: fields of PEFT's LoraConfig, {} for rank 16 on all linear layers
        hold_out: share of the samples that is kept for `evaluate`
        seed: of the student's first weights, the order of the rows and the held-out share
        trainer: fields of TRL's SFTConfig, passed on as they are; they win over the options here
    """
    from selfinstruct.train.data import held_out
    from selfinstruct.train.sft import Recipe, fit, prepare

    recipe = Recipe(
        epochs=epochs,
        max_steps=max_steps,
        batch_size=batch_size,
        accumulation=accumulation,
        learning_rate=learning_rate,
        max_length=max_length,
        turns=turns,
        lora=lora,
        packing=packing,
        seed=seed,
        trainer=trainer or {},
    )
    rows = [sample async for sample in samples]
    kept = [bool(hold_out) and held_out(_chat(row.messages), hold_out, seed) for row in rows]
    learnt = [place for place, out in enumerate(kept) if not out]
    ready = prepare(
        [_chat(rows[place].messages) for place in learnt],
        model=model if model == TINY else _student(run, model),
        student=run.dir / STUDENT,
        recipe=recipe,
        progress=run.progress,
    )
    refused = {learnt[each.index]: each for each in ready.refused}
    facts = fit(ready, run.dir / output, recipe=recipe, tables=_tables(run.funnel()), progress=run.progress)
    run.note(model=output, held_out=sum(kept), **facts, **_words(facts))
    for place, row in enumerate(rows):
        if place in refused:
            run.drop(row, refused[place].reason, **refused[place].detail)
        else:
            yield row.note(split="held_out") if kept[place] else row


def _words(facts: Mapping[str, Any]) -> dict[str, str]:
    """The line for the summary, and a warning where there is something to warn of."""
    losses = list(facts["losses"].values())
    found = {
        "headline": f"{facts['trained_parameters']:,} parameters, {facts['rows']:,} rows, {facts['steps']:,} steps "
        f"in {facts['training_seconds']:.0f} s"
        + (f", loss {losses[0]:.2f} -> {losses[-1]:.2f}" if losses else "")
    }
    if facts["torn_prompts"]:
        found["warning"] = (
            f"in {facts['torn_prompts']:,} of {facts['rows']:,} rows the prompt ends in other tokens before an answer "
            "than when it is asked: the chat template should end prompts with a line break or a special token"
        )
    return found


def _sees_dpo(place: Place, *, model: str, **_: Any) -> Any:
    """A bare name is that of a folder of the run, which follows from the steps before."""
    return None if Path(model).name == model else _sees(place, model=model)


def _check_dpo(place: Place, *, model: str, output: str, lora: Any, trainer: Any, **_: Any) -> None:
    require()
    folder = _free(place, output)
    if output == model:
        raise ConfigError("`output` is the student itself", "give `output` another name")
    if lora is not None or trainer:
        from selfinstruct.train.settings import dpo_config, lora_config

        lora_config(lora)
        dpo_config(folder, lora=lora, trainer=trainer)


@step(check=_check_dpo, sees=_sees_dpo, intact=_intact)
async def dpo(
    run: Run,
    samples: Samples,
    *,
    model: str = "model",
    output: str = "aligned",
    beta: Annotated[float, Field(gt=0)] = 0.1,
    sft_weight: Annotated[float, Field(ge=0)] = 1.0,
    epochs: Annotated[float, Field(gt=0)] | None = None,
    max_steps: Annotated[int, Field(gt=0)] | None = None,
    batch_size: Annotated[int, Field(gt=0)] | None = None,
    accumulation: Annotated[int, Field(gt=0)] = 1,
    learning_rate: Annotated[float, Field(gt=0)] | None = None,
    max_length: Annotated[int, Field(gt=0)] = 1024,
    lora: dict[str, Any] | None = None,
    seed: int = 0,
    trainer: dict[str, Any] | None = None,
) -> Samples:
    """Train a student with TRL's DPO (Rafailov et al. 2023) on rows that have a rejected answer beside the chosen one.

    The samples pass through. Rows without a rejected answer are dropped (no_rejected), as are those whose two answers
    are the same (same_answers); for the rest the rules of `sft` hold for both answers. Beside DPO's loss stands the
    likelihood of the chosen answer (`sft_weight`): without it a student comes to prefer rightly and to answer worse.

    Args:
        model: the student: a folder of this run such as `model`, which `sft` leaves, any folder, or a name on the Hub
        output: the folder of the new model, inside the run's folder
        beta: how firmly the student is held to what it was
        sft_weight: weight of the chosen answers' likelihood beside the preference; 0 for DPO alone, as published
        epochs: passes over the pairs; by default 1
        max_steps: optimizer steps; replaces epochs
        batch_size: pairs of one forward pass; by default 16
        accumulation: forward passes of one optimizer step
        learning_rate: its peak; by default 1e-6, with LoRA 1e-5
        max_length: tokens that a question and either answer may have
        lora: train a LoRA adapter and merge it: fields of PEFT's LoraConfig, {} for rank 16 on all linear layers
        seed: of the order of the rows
        trainer: fields of TRL's DPOConfig, passed on as they are; they win over the options here
    """
    from selfinstruct.train.dpo import Pair, Recipe, fit, prepare

    recipe = Recipe(
        beta=beta,
        sft_weight=sft_weight,
        epochs=epochs,
        max_steps=max_steps,
        batch_size=batch_size,
        accumulation=accumulation,
        learning_rate=learning_rate,
        max_length=max_length,
        lora=lora,
        seed=seed,
        trainer=trainer or {},
    )
    rows: list[Sample] = []
    async for sample in samples:
        if not sample.rejected:
            run.drop(sample, "no_rejected")
        elif sample.rejected == sample.output:
            run.drop(sample, "same_answers")
        else:
            rows.append(sample)
    if not rows:
        raise DataError("no row has a rejected answer", "put a step that makes pairs (`pairs`) before `dpo`")
    ready = prepare(
        [Pair(_chat(row.messages), _chat(row.answer(str(row.rejected)).messages)) for row in rows],
        model=_student(run, model),
        recipe=recipe,
        progress=run.progress,
    )
    refused = {each.index: each for each in ready.refused}
    facts = fit(ready, run.dir / output, recipe=recipe, tables=_tables(run.funnel()), progress=run.progress)
    run.note(model=output, **facts, headline=_preferred(facts))
    for place, row in enumerate(rows):
        if place in refused:
            run.drop(row, refused[place].reason, **refused[place].detail)
        else:
            yield row


def _preferred(facts: Mapping[str, Any]) -> str:
    right = " -> ".join(f"{share:.0%}" for share in facts["accuracy"])
    course = f"{facts['pairs']:,} pairs, {facts['steps']:,} steps in {facts['training_seconds']:.0f} s"
    return f"{course}, rightly preferred {right}"


def _chat(messages: tuple[Message, ...]) -> Chat:
    return [{"role": message.role, "content": message.content} for message in messages]


def _student(run: Run, model: str) -> str:
    """A folder of this run, else a folder where there is one of that name, else a name on the Hub."""
    if (run.dir / model).is_dir():
        return str(run.dir / model)
    path = run.path(model)
    return str(path) if path.exists() else model


def _tables(funnel: Funnel) -> dict[str, dict[str, Any]]:
    """Where the rows came from, for the model's card."""
    data: dict[str, Any] = dict(funnel.teachers)
    for row in funnel.steps:
        if row.done:
            data[f"{row.n + 1}. {row.name}"] = f"{row.came:,} came, {row.made:,} made, {row.kept:,} kept"
    return {"Data": data}
