"""cot_self_instruct: the teacher reasons about a few seed tasks, plans, and then writes a new one (Yu et al. 2025)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from selfinstruct import growth as growing
from selfinstruct import verify
from selfinstruct.errors import DataError, ParseError, TeacherError
from selfinstruct.growth import Dollars, Growth, Rate, Sampling
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
from selfinstruct.parse import usable
from selfinstruct.parse.cot_self_instruct import planned
from selfinstruct.run import Place, Run
from selfinstruct.sample import Message, Sample, digest
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion

Fidelity = Literal["fixed", "paper"]
Kind = Literal["verifiable", "open"]
Answers = Literal["number", "exact"]

WRITTEN = 450  # tokens of reasoning, task and solution (assumption)
TASK = 60  # tokens of a task (assumption)
ACCEPTED = 0.7  # of the tasks written (assumption)


def _frame(place: Place, kind: Kind, answers: Answers, language: str, examples: int) -> tuple[Message, ...]:
    return place.prompts.render(
        f"cot_self_instruct/{kind}",
        answers=answers,
        language=language,
        fence="0" * 16,
        examples=[""] * examples,
    )


def _check(
    place: Place,
    *,
    kind: Kind,
    answers: Answers,
    language: str,
    examples: int,
    threshold: float,
    max_cost_per_kept: float | None,
    **_: Any,
) -> None:
    NoveltyIndex(threshold)
    growing.check(place, max_cost_per_kept)
    _frame(place, kind, answers, language, examples)


def _forecast(
    outlook: Outlook,
    *,
    n: int,
    kind: Kind,
    answers: Answers,
    examples: int,
    language: str,
    max_tokens: int | None,
    patience: int,
    window: int,
    **_: Any,
) -> Estimate:
    seeds = outlook.rows
    _enough(seeds.count.expected, examples)
    frame = _frame(outlook.place, kind, answers, language, examples)
    shown = sum(tokens(message.content) for message in frame) + examples * seeds.tokens
    most = sum(most_tokens(message.content) for message in frame)
    widest = None if seeds.longest is None else most + examples * (seeds.longest + PER_TEXT)
    limit = longest_answer(outlook.place.role("teacher"), max_tokens)
    return grown(
        n,
        a_call=1,
        accepted=ACCEPTED,
        patience=patience,
        window=window,
        shown=shown,
        widest=widest,
        task=WRITTEN,
        limit=limit,
        tokens_each=TASK,
        waiting=1.0,
        source=f"prompt measured; {ACCEPTED:.0%} of the tasks are kept, {WRITTEN} tokens each (assumptions)",
    )


@step(check=_check, forecast=_forecast)
async def cot_self_instruct(
    run: Run,
    samples: Samples,
    *,
    n: Count,
    kind: Kind = "verifiable",
    answers: Answers = "number",
    examples: Count = 2,
    fidelity: Fidelity = "fixed",
    threshold: float = 0.7,
    language: str = "English",
    sampling: Sampling = "uniform",
    temperature: float | None = 0.7,
    max_tokens: Count | None = 4096,
    patience: Count = 50,
    min_accept_rate: Rate | None = None,
    max_cost_per_kept: Dollars | None = None,
    window: Count = 64,
) -> Samples:
    """Have the teacher reason about a few seed tasks, plan, and write a new one; yields `n` that wait for an answer.

    CoT-Self-Instruct (arXiv 2507.23751). With `kind: verifiable` the teacher also solves its task, and the answer goes
    into `meta.answer`; a `best_of` step with `pick: majority` and `reference: answer` behind this one is the paper's
    answer-consistency filter. With `kind: open` a `best_of` step with `pick: score` and `min_worst` is its filter by
    the worst answer (RIP). The seed tasks themselves end here (seed_task).

    `fidelity: paper` takes every task that can be read. `fixed` also applies the heuristics for instructions and drops
    tasks whose ROUGE-L to a seed task or an earlier task is above the threshold, and answers that no verifier reads.

    Args:
        n: how many new tasks
        kind: verifiable (the teacher gives an answer that can be checked) or open
        answers: what verifiable answers are: a number, or exact text
        examples: seed tasks shown in each prompt
        fidelity: fixed, or paper for the published method alone
        threshold: the highest ROUGE-L F to seed tasks and kept tasks
        language: the language that the tasks are asked for in
        sampling: uniform, or sparse: seed tasks with few new tasks near them are shown more often
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest completion, reasoning included
        patience: stop when this many calls in a row bring nothing new
        min_accept_rate: stop when over 50 calls less than this share of the tasks written is kept
        max_cost_per_kept: stop when over 50 calls a kept task costs more dollars than this
        window: calls worked on at a time
    """
    seeds = [sample async for sample in samples]
    _enough(len(seeds), examples)
    verifiable, paper = kind == "verifiable", fidelity == "paper"
    index = NoveltyIndex(threshold)
    for seed in seeds:
        index.add(seed.instruction, seed.id)
        run.drop(seed, "seed_task")
    growth = Growth(
        run,
        n,
        a_turn=1,
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
            f"cot_self_instruct/{kind}",
            answers=answers,
            language=language,
            fence=digest([seed.id for seed in shown])[:16],
            examples=[seed.prompt[-1].content for seed in shown],
        )
        return shown, await run.generate(prompt, draw=draw, temperature=temperature, max_tokens=max_tokens)

    def read(shown: list[Sample], completion: Completion) -> list[Sample]:
        """The new row, or none where it is dropped."""
        try:
            task, answer = planned(usable(completion), verifiable=verifiable)
        except ParseError as error:
            text = error.text or completion.text
            run.drop(text, error.reason, detail=error.detail, request=completion.key)
            return []
        meta = {"recipe": "cot_self_instruct", **({"answer": answer} if verifiable else {})}
        sample = run.trace(Sample.of(task, meta=meta, parents=[seed.id for seed in shown]), completion)
        fault = None
        if not paper:
            fault = instruction_fault(task) or (_unreadable(answers, answer) if verifiable else None)
        if fault is not None:
            run.drop(sample, fault)
            return []
        return [sample]

    while growth.open:
        async for shown, completion in run.map(ask, questions(), window=window):
            run.made()
            taken, surplus = growth.offer(None if paper else index, read(shown, completion))
            for row, _ in taken:
                yield row
            growth.answered(completion, made=1 - surplus, kept=len(taken))
    compared = {} if paper else {"threshold": threshold, "tokens": "words"}
    run.note(fidelity=fidelity, **compared, **growth.facts())
    if not growth.kept:
        raise TeacherError(
            f"{growth.calls} completions of {run.teacher().model} brought not one task that could be kept",
            "`selfinstruct show` counts the reasons, `selfinstruct look` shows a completion",
        )


def _enough(seeds: int, examples: int) -> None:
    if seeds < examples:
        raise DataError(
            f"{seeds} seed task{'s' * (seeds != 1)} came in, and each prompt shows {examples}",
            "read more seed tasks, or lower `examples`",
        )


def _unreadable(answers: Answers, answer: str) -> str | None:
    try:
        verify.final(answers, answer)
    except ParseError as error:
        return f"answer_{error.reason}"
    return None
