"""alpaca: the teacher writes new tasks from three seed tasks at a time (Taori et al. 2023, generate_instruction.py)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from selfinstruct import parse
from selfinstruct.errors import ConfigError, DataError, ParseError, TeacherError
from selfinstruct.growth import Dollars, Growth, Rate, Sampling
from selfinstruct.growth import check as check_growth
from selfinstruct.heuristics import instruction_fault
from selfinstruct.novelty import NoveltyIndex
from selfinstruct.outlook import (
    PER_TEXT,
    Estimate,
    Outlook,
    grown,
    longest_answer,
    most_tokens,
    tokens,
)
from selfinstruct.parse import Task
from selfinstruct.run import Place, Run
from selfinstruct.sample import Message, Sample, canonical
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion

Fidelity = Literal["fixed", "paper"]

SCHEMA = {
    "type": "object",
    "properties": {
        "tasks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in Task._fields},
                "required": list(Task._fields),
                "additionalProperties": False,
            },
        }
    },
    "required": ["tasks"],
    "additionalProperties": False,
}
TOTAL = 20  # tasks in a list, the examples included
TASK = 85  # tokens of one as it is written; from the same figures
ACCEPTED = 0.27  # of the tasks written; follows from Alpaca's cost and prices (52,002 rows for under $500)
PAPER = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 3072, "stop": ["\n20", "20."]}
PAPER_RAW = {
    **PAPER,
    "logit_bias": {"50256": -100},
}  # GPT-3's end-of-text token: means nothing to a chat model
FIXED = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 4096}


def _frame(place: Place, name: str, examples: int, language: str) -> tuple[Message, ...]:
    blank = [Task("", "", "")] * examples
    return place.prompts.render(f"alpaca/{name}", examples=blank, total=TOTAL, language=language)


def _check(
    place: Place,
    *,
    threshold: float,
    examples: int,
    fidelity: Fidelity,
    language: str,
    max_cost_per_kept: float | None,
    **_: Any,
) -> None:
    NoveltyIndex(threshold)
    check_growth(place, max_cost_per_kept)
    if examples >= TOTAL:
        raise ConfigError(f"{examples} examples leave no room in a list of {TOTAL}", "Alpaca takes 3")
    as_json = place.role("teacher").teacher.structured and fidelity == "fixed"
    _frame(place, "json" if as_json else "blocks", examples, language)


def _forecast(
    outlook: Outlook,
    *,
    n: int,
    examples: int,
    fidelity: Fidelity,
    language: str,
    patience: int,
    window: int,
    **_: Any,
) -> Estimate:
    seeds = outlook.rows
    _enough(seeds.count.expected, examples)
    role = outlook.place.role("teacher")
    new = TOTAL - examples
    as_json = role.teacher.structured and fidelity == "fixed"
    frame = _frame(outlook.place, "json" if as_json else "blocks", examples, language)
    shown = sum(tokens(message.content) for message in frame) + examples * seeds.tokens
    most = sum(most_tokens(message.content) for message in frame) + most_tokens(canonical(SCHEMA)) * as_json
    # in JSON a byte may be written as \\u0000
    widest = (
        None
        if seeds.longest is None
        else most + examples * (seeds.longest * (6 if as_json else 1) + PER_TEXT)
    )
    limit = longest_answer(role, int((PAPER if fidelity == "paper" else FIXED)["max_tokens"]))  # type: ignore[call-overload]
    return grown(
        n,
        a_call=new,
        accepted=ACCEPTED,
        patience=patience,
        window=window,
        shown=shown,
        widest=widest,
        task=TASK,
        limit=limit,
        tokens_each=73,
        source=f"prompt measured; {ACCEPTED:.0%} of {new} tasks a call are kept, {TASK} tokens each (Alpaca's figures)",
    )


@step(check=_check, forecast=_forecast)
async def alpaca(
    run: Run,
    samples: Samples,
    *,
    n: Count,
    examples: Count = 3,
    fidelity: Fidelity = "fixed",
    threshold: float = 0.7,
    language: str = "English",
    sampling: Sampling = "uniform",
    patience: Count = 50,
    min_accept_rate: Rate | None = None,
    max_cost_per_kept: Dollars | None = None,
    window: Count = 64,
) -> Samples:
    """Grow a pool of tasks from the seed tasks that come in, as Alpaca does; yields the `n` new ones.

    Each call shows three seed tasks and asks for seventeen more. A task is kept when its instruction passes the
    heuristics and its ROUGE-L to every seed task and every kept task is not above the threshold. The seed tasks
    themselves end here (seed_task).

    `fidelity: paper` does what the original code does, its traps included: stop strings that cut any text at "20.",
    numbering that must be consecutive, outputs that nobody looks at, tokens without letters beyond a-z. `fixed` asks
    for the same list without stop strings (as JSON where the teacher can be held to a schema), reads each task on its
    own, drops empty, echoed and cut outputs, and compares words of any language.

    Args:
        n: how many new tasks
        examples: seed tasks shown in each prompt
        fidelity: fixed, or paper for the original's behaviour
        threshold: the highest ROUGE-L F to seed tasks and kept tasks
        language: the language that the tasks are asked for in
        sampling: uniform, as published, or sparse: seed tasks with few new tasks near them are shown more often
        patience: stop when this many calls in a row bring nothing new
        min_accept_rate: stop when over 50 calls less than this share of the tasks written is kept
        max_cost_per_kept: stop when over 50 calls a kept task costs more dollars than this
        window: calls worked on at a time
    """
    seeds = [sample async for sample in samples]
    _enough(len(seeds), examples)
    paper = fidelity == "paper"
    index = NoveltyIndex(threshold, tokens="rouge" if paper else "words")
    for seed in seeds:
        index.add(seed.instruction, seed.id)
        run.drop(seed, "seed_task")
    teacher = run.teacher()
    raw = paper and teacher.raw
    as_json = teacher.structured and not paper
    params = (PAPER_RAW if raw else PAPER) if paper else FIXED
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
            yield draw, growth.shown(run.rng("examples", draw), examples)

    async def ask(question: tuple[int, list[Sample]]) -> tuple[list[Sample], Completion]:
        draw, shown = question
        prompt = run.render(
            "alpaca/json" if as_json else "alpaca/blocks",
            examples=[
                Task(_line(s.instruction) if paper else s.instruction, s.input, s.output) for s in shown
            ],
            total=TOTAL,
            language=language,
        )
        completion = await run.generate(
            prompt, draw=draw, raw=raw, schema=SCHEMA if as_json else None, **params
        )
        return shown, completion

    blocks = partial(parse.blocks_paper if paper else parse.blocks, first=examples + 1)
    while growth.open:
        async for shown, completion in run.map(ask, questions(), window=window):
            tasks = parse.parts(completion, parse.tasks if as_json else blocks, paper=paper)
            fresh: list[Sample] = []
            for task in tasks:
                run.made()
                if isinstance(task, ParseError):
                    run.drop(
                        task.text or completion.text, task.reason, detail=task.detail, request=completion.key
                    )
                    continue
                sample = run.trace(
                    Sample.of(*task, meta={"recipe": "alpaca"}, parents=[seed.id for seed in shown]),
                    completion,
                )
                fault = instruction_fault(task.instruction, fidelity=fidelity)
                fault = fault or (None if paper else _output_fault(task))
                if fault is not None:
                    run.drop(sample, fault)
                    continue
                fresh.append(sample)
            taken, surplus = growth.offer(index, fresh)
            for sample, size in taken:
                if paper:
                    (similar,) = index.similar([sample.instruction], before=[size])
                    top = {each.text: each.score for each in similar.top}
                    sample = sample.note(most_similar_instructions=top, avg_similarity_score=similar.mean)
                yield sample
            growth.answered(completion, made=len(tasks) - surplus, kept=len(taken))
    run.note(
        threshold=threshold,
        tokens="rouge" if paper else "words",
        fidelity=fidelity,
        **growth.facts(),
    )
    if not growth.kept:
        raise TeacherError(
            f"{growth.calls} completions of {teacher.model} brought not one task that could be kept",
            "`selfinstruct show` counts the reasons, `selfinstruct look` shows a completion",
        )


def _enough(seeds: int, examples: int) -> None:
    if seeds < examples:
        raise DataError(
            f"{seeds} seed task{'s' * (seeds != 1)} came in, and each prompt shows {examples}",
            "read more seed tasks, or lower `examples`",
        )


def _line(instruction: str) -> str:
    """As the original shows an instruction: on one line, without a colon at its end."""
    return " ".join(instruction.split()).rstrip(":")


def _output_fault(task: Task) -> str | None:
    if not task.output:
        return "empty_output"
    return "echo" if task.output in (task.input, task.instruction) else None
