"""tag: a model labels each instruction with its difficulty, its quality and its category."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from selfinstruct.errors import ConfigError, ParseError
from selfinstruct.outlook import Estimate, Outlook, asked
from selfinstruct.parse import usable
from selfinstruct.parse.magpie import CATEGORIES, LEVELS, Tagged
from selfinstruct.parse.magpie import tag as read_tag
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion

Tag = Literal["difficulty", "quality", "category"]
TOLD = 50  # tokens of one answer, on average (assumption)
TEXT = {"type": "string"}


def _schema(kind: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "difficulty": {"intent": TEXT, "knowledge": TEXT},
        "quality": {"explanation": TEXT},
        "category": {},
    }[kind]
    allowed = list(LEVELS.get(kind) or CATEGORIES)
    fields = {**fields, kind: {"type": "string", "enum": allowed}}
    if kind == "category":
        fields["others"] = {"type": "array", "items": {"type": "string", "enum": allowed}}
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def _slots(kind: str) -> dict[str, Any]:
    return {"levels": LEVELS["difficulty"]} if kind == "difficulty" else {"categories": CATEGORIES}


def _frame(place: Place, kind: str) -> tuple[Message, ...]:
    return place.prompts.render(f"tag/{kind}", fence="0" * 16, instruction="", **_slots(kind))


def _check(place: Place, *, tags: tuple[Tag, ...], by: RoleName, **_: Any) -> None:
    if not tags:
        raise ConfigError("no tags are asked for", "tags: [difficulty, quality, category], or some of them")
    place.role(by)
    for kind in tags:
        _frame(place, kind)


def _forecast(
    outlook: Outlook, *, tags: tuple[Tag, ...], by: RoleName, max_tokens: int | None, **_: Any
) -> Estimate:
    estimates = [
        asked(
            outlook,
            _frame(outlook.place, kind),
            by=by,
            written=TOLD,
            max_tokens=max_tokens,
            schema=_schema(kind),
            source=f"one call a row and tag; prompts measured, {TOLD} tokens an answer (assumption)",
        )
        for kind in dict.fromkeys(tags)
    ]
    first, *rest = estimates
    for estimate in rest:
        first = first.plus(estimate)
    return first


@step(check=_check, forecast=_forecast)
async def tag(
    run: Run,
    samples: Samples,
    *,
    tags: tuple[Tag, ...] = ("difficulty", "quality", "category"),
    by: RoleName = "judge",
    keep_untagged: bool = False,
    temperature: float | None = 0.0,
    max_tokens: Count | None = 400,
    window: Count = 256,
) -> Samples:
    """Label the instruction of each row, as Magpie does (Xu et al. 2024, section 3; unitag.py), one question a call.

    `difficulty` is one of five levels from very easy to very hard, `quality` one of five from very poor to excellent,
    `category` one of twelve kinds of task. They go into the row's meta with what the model said about them (intent,
    knowledge, explanation, other_categories); the first two are scores from 1 to 5, too, for `select`. The prompts
    name the form of the answer before the instruction, where the original named it behind; an answer that can't be
    read is no tag, and never stands for one: the row is dropped (untagged).

    Args:
        tags: which of difficulty, quality and category
        by: the role that labels; without a `judge:` line it is the teacher
        keep_untagged: keep rows of which a tag can't be read, without that tag
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest answer
        window: rows worked on at a time
    """
    kinds = tuple(dict.fromkeys(tags))

    async def label(sample: Sample) -> tuple[Sample, list[Completion]]:
        # the mark is made from the row, so that it is the same again on replay and unknown to the row's author
        fence = sample.id[:16]
        asked_about = "\n\n".join(message.content for message in sample.prompt if message.role == "user")
        completions = []
        for kind in kinds:
            prompt = run.render(f"tag/{kind}", fence=fence, instruction=asked_about, **_slots(kind))
            completions.append(
                await run.generate(
                    prompt, by=by, schema=_schema(kind), temperature=temperature, max_tokens=max_tokens
                )
            )
        return sample, completions

    counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    untagged = 0
    async for sample, completions in run.map(label, samples, window=run.window(window, by)):
        faults: dict[str, str] = {}
        for kind, completion in zip(kinds, completions, strict=True):
            sample = run.trace(sample, completion)
            try:
                found = read_tag(usable(completion), kind)
            except ParseError as fault:
                faults[kind] = str(fault)
                continue
            counts[kind][found.value] += 1
            sample = _marked(sample, kind, found)
        untagged += bool(faults)
        if faults and not keep_untagged:
            run.drop(sample, "untagged", faults=faults)
        else:
            yield sample
    run.note(
        **{kind: {value: counts[kind][value] for value in sorted(counts[kind])} for kind in kinds},
        untagged=untagged,
        headline="; ".join(
            f"{kind}: {', '.join(f'{value} {count}' for value, count in counts[kind].most_common(4))}"
            for kind in kinds
        ),
    )


def _marked(sample: Sample, kind: str, found: Tagged) -> Sample:
    sample = sample.note(**{kind: found.value, **found.told})
    levels = LEVELS.get(kind)
    return sample if levels is None else sample.score(**{kind: levels.index(found.value) + 1})
