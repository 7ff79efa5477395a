"""self_instruct: a pool of instructions grows from seed tasks (Wang et al. 2022, bootstrap_instructions.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from selfinstruct.errors import ConfigError, DataError, ParseError, TeacherError
from selfinstruct.growth import Dollars, Growth, Rate, Sampling
from selfinstruct.growth import check as check_growth
from selfinstruct.heuristics import SELF_INSTRUCT_WORDS, instruction_fault
from selfinstruct.novelty import NoveltyIndex
from selfinstruct.outlook import (
    PER_TEXT,
    READ_AGAIN,
    Estimate,
    Outlook,
    grown,
    longest_answer,
    most_tokens,
    tokens,
)
from selfinstruct.parse import parts
from selfinstruct.parse.self_instruct import listed, numbered, numbered_paper
from selfinstruct.run import Place, Run
from selfinstruct.sample import Message, Sample, canonical
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion

Fidelity = Literal["fixed", "paper"]

SCHEMA = {
    "type": "object",
    "properties": {"instructions": {"type": "array", "items": {"type": "string"}}},
    "required": ["instructions"],
    "additionalProperties": False,
}
TOTAL = 16  # instructions in a list, the examples included
INSTRUCTION = 22  # tokens of one, on average; the recorded runs have 16 words
ACCEPTED = 0.5  # of the instructions written; three recorded runs kept 3.7 of 7 a call
PAPER = {
    "temperature": 0.7,
    "top_p": 0.5,
    "frequency_penalty": 0,
    "presence_penalty": 2,
    "max_tokens": 1024,
    "stop": ["\n\n", "\n16", "16.", "16 ."],
}
FIXED = {"temperature": 1.0, "max_tokens": 2048}


def _frame(place: Place, *, as_json: bool, classification: bool, examples: list[str]) -> tuple[Message, ...]:
    return place.prompts.render(
        "self_instruct/instructions_json" if as_json else "self_instruct/instructions",
        classification=classification,
        examples=examples,
        first=len(examples) + 1,
        last=TOTAL,
    )


def _check(
    place: Place,
    *,
    examples: int,
    machine: int,
    classification_only: bool,
    fidelity: Fidelity,
    threshold: float,
    max_cost_per_kept: float | None,
    **_: Any,
) -> None:
    NoveltyIndex(threshold)
    check_growth(place, max_cost_per_kept)
    if examples >= TOTAL:
        raise ConfigError(f"{examples} examples leave no room in a list of {TOTAL}", "Self-Instruct takes 8")
    if machine > examples:
        raise ConfigError(
            f"{machine} of {examples} examples can't be machine-made", "Self-Instruct takes 2 of 8"
        )
    as_json = place.role("teacher").teacher.structured and fidelity == "fixed"
    _frame(place, as_json=as_json, classification=classification_only, examples=[""] * examples)


def _forecast(
    outlook: Outlook,
    *,
    n: int,
    examples: int,
    machine: int,
    classification_only: bool,
    fidelity: Fidelity,
    patience: int,
    window: int,
    **_: Any,
) -> Estimate:
    seeds = outlook.rows
    _enough(seeds.count.expected, examples, "")
    role = outlook.place.role("teacher")
    new = TOTAL - examples
    as_json = role.teacher.structured and fidelity == "fixed"
    frame = _frame(
        outlook.place, as_json=as_json, classification=classification_only, examples=[""] * examples
    )
    shown = sum(tokens(message.content) for message in frame) + examples * INSTRUCTION
    limit = longest_answer(role, int((PAPER if fidelity == "paper" else FIXED)["max_tokens"]))  # type: ignore[call-overload]
    longest = None if limit is None else limit * READ_AGAIN
    most = sum(most_tokens(message.content) for message in frame) + most_tokens(canonical(SCHEMA)) * as_json
    widest = None
    if seeds.longest is not None and longest is not None:
        lines = (examples - machine) * seeds.longest + machine * max(seeds.longest, longest)
        # in JSON a byte may be written as \\u0000
        widest = most + lines * (6 if as_json else 1) + examples * PER_TEXT
    return grown(
        n,
        a_call=new,
        accepted=ACCEPTED,
        patience=patience,
        window=window,
        shown=shown,
        widest=widest,
        task=INSTRUCTION,
        limit=limit,
        tokens_each=INSTRUCTION,
        waiting=1.0,
        source=f"prompt measured; {ACCEPTED:.0%} of {new} instructions a call are kept, {INSTRUCTION} tokens each"
        " (recorded runs)",
    )


@step(check=_check, forecast=_forecast)
async def self_instruct(
    run: Run,
    samples: Samples,
    *,
    n: Count,
    examples: Count = 8,
    machine: Annotated[int, Field(ge=0)] = 2,
    classification_only: bool = False,
    fidelity: Fidelity = "fixed",
    threshold: float = 0.7,
    sampling: Sampling = "uniform",
    patience: Count = 50,
    min_accept_rate: Rate | None = None,
    max_cost_per_kept: Dollars | None = None,
    window: Count = 32,
) -> Samples:
    """Grow a pool of instructions from the seed tasks that come in, as Self-Instruct does; yields the `n` new ones.

    Each call shows eight instructions, two of them from those kept so far, and has the list continued to sixteen
    (Wang et al. 2022, section 2.2). An instruction is kept when it passes the heuristics and its ROUGE-L to every seed
    task and every kept instruction is not above the threshold. The seed tasks themselves end here (seed_task). The new
    rows wait for instances: `classify` and `instances` come next.

    `fidelity: paper` does what the original code does, its traps included: a stop string that cuts any text at "16.",
    capitalize(), which turns NASA into nasa, a cut completion thrown away as a whole. `fixed` asks for the same list
    without stop strings (as JSON where the teacher can be held to a schema), leaves case alone, keeps what stands
    before the cut, and compares words of any language. In both, an interrupted run goes on where it was; the original
    drew its first examples over again.

    Args:
        n: how many new instructions
        examples: instructions shown in each prompt
        machine: how many of them come from the kept instructions, as far as there are any
        classification_only: show only seed tasks that are classification, and ask for such
        fidelity: fixed, or paper for the original's behaviour
        threshold: the highest ROUGE-L F to seed tasks and kept instructions
        sampling: uniform, as published, or sparse: seed tasks with few new ones near them are shown more often
        patience: stop when this many calls in a row bring nothing new
        min_accept_rate: stop when over 50 calls less than this share of the instructions written is kept
        max_cost_per_kept: stop when over 50 calls a kept instruction costs more dollars than this
        window: calls worked on at a time; what these keep is shown to later ones
    """
    paper = fidelity == "paper"
    index = NoveltyIndex(threshold, tokens="rouge" if paper else "words")
    seeds: list[Sample] = []
    async for sample in samples:
        shows = not classification_only or sample.meta.get("is_classification") is True
        if shows:
            seeds.append(sample)
        if shows or not paper:  # the original compares with the seed tasks that it shows
            index.add(sample.instruction, sample.id)
        run.drop(sample, "seed_task")
    _enough(len(seeds), examples, "classification " * classification_only)
    teacher = run.teacher()
    raw = paper and teacher.raw
    as_json = teacher.structured and not paper
    pool: list[Sample] = []
    growth = Growth(
        run,
        n,
        a_turn=TOTAL - examples,
        patience=patience,
        min_accept_rate=min_accept_rate,
        max_cost_per_kept=max_cost_per_kept,
        seeds=seeds,
        sampling=sampling,
    )

    def questions() -> Iterator[tuple[int, list[Sample]]]:
        for draw in growth.draws():
            rng = run.rng("examples", draw)
            shown = rng.sample(pool, min(machine, len(pool)))
            shown += growth.shown(rng, examples - len(shown))
            rng.shuffle(shown)
            yield draw, shown

    async def ask(question: tuple[int, list[Sample]]) -> tuple[list[Sample], Completion]:
        draw, shown = question
        texts = [sample.instruction.strip() for sample in shown]
        if not as_json:  # one line each, as in the original
            texts = [" ".join(text.split()).rstrip(":") for text in texts]
        prompt = _frame(run.place, as_json=as_json, classification=classification_only, examples=texts)
        params = PAPER if paper else FIXED
        schema = SCHEMA if as_json else None
        return shown, await run.generate(prompt, draw=draw, raw=raw, schema=schema, **params)

    read: Callable[..., list[str | ParseError]]
    read = listed if as_json else numbered_paper if paper else partial(numbered, first=examples + 1)
    while growth.open:
        async for shown, completion in run.map(ask, questions(), window=window):
            texts = parts(completion, read, paper=paper)
            fresh: list[Sample] = []
            for text in texts:
                run.made()
                if isinstance(text, ParseError):
                    run.drop(
                        text.text or completion.text, text.reason, detail=text.detail, request=completion.key
                    )
                    continue
                parents = [each.id for each in shown]
                sample = run.trace(
                    Sample.of(text, meta={"recipe": "self_instruct"}, parents=parents), completion
                )
                fault = instruction_fault(
                    text, fidelity=fidelity, banned=SELF_INSTRUCT_WORDS if paper else None
                )
                if fault is not None:
                    run.drop(sample, fault)
                    continue
                fresh.append(sample)
            taken, surplus = growth.offer(index, fresh)
            for sample, size in taken:
                if paper:
                    (similar,) = index.similar([sample.instruction], before=[size])
                    top = {each.text: each.score for each in similar.top}
                    sample = sample.note(most_similar=top, avg_similarity_score=similar.mean)
                pool.append(sample)
                yield sample
            growth.answered(completion, made=len(texts) - surplus, kept=len(taken))
    run.note(
        threshold=threshold,
        tokens="rouge" if paper else "words",
        fidelity=fidelity,
        **growth.facts(),
    )
    if not pool:
        raise TeacherError(
            f"{growth.calls} completions of {teacher.model} brought not one instruction that could be kept",
            "`selfinstruct show` counts the reasons, `selfinstruct look` shows a completion",
        )


def _enough(seeds: int, examples: int, kind: str) -> None:
    if seeds < examples:
        raise DataError(
            f"{seeds} {kind}seed task{'s' * (seeds != 1)} came in, and the first prompts show {examples}",
            "read more seed tasks, or lower `examples`",
        )
