"""baize: one call writes a whole conversation from a seed question (Xu et al. 2023)."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Literal

from selfinstruct.errors import ConfigError, ParseError
from selfinstruct.outlook import PASS, READ_AGAIN, Estimate, Outlook, asked, longest_answer
from selfinstruct.parse import usable
from selfinstruct.parse.baize import transcript, transcript_paper
from selfinstruct.parse.dialogue import polite, user_turn
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Count, Samples, numbered, step
from selfinstruct.teachers import Completion

Fidelity = Literal["fixed", "paper"]
TRANSCRIPT = 500  # tokens of one, on average (assumption; Baize: 3.4 exchanges of about 150)


def _frame(place: Place, fidelity: Fidelity, low: int, high: int) -> tuple[Message, ...]:
    return _prompt(place, fidelity, question="", fence="0" * 16, low=low, high=high)


def _prompt(place: Place, fidelity: Fidelity, **slots: Any) -> tuple[Message, ...]:
    return place.prompts.render("baize/paper" if fidelity == "paper" else "baize/transcript", **slots)


def _check(place: Place, *, by: RoleName, fidelity: Fidelity, low: int, high: int, **_: Any) -> None:
    place.role(by)
    if low > high:
        raise ConfigError(f"{low} to {high} exchanges leave no choice", "low must not be above high")
    _frame(place, fidelity, low, high)


def _forecast(
    outlook: Outlook,
    *,
    by: RoleName,
    fidelity: Fidelity,
    low: int,
    high: int,
    max_tokens: int | None,
    **_: Any,
) -> Estimate:
    max_tokens = None if fidelity == "paper" else max_tokens
    estimate = asked(
        outlook,
        _frame(outlook.place, fidelity, low, high),
        by=by,
        written=TRANSCRIPT,
        max_tokens=max_tokens,
        source=f"one call a row; prompt measured, {TRANSCRIPT} tokens a conversation (assumption)",
    )
    limit = longest_answer(outlook.place.role(by), max_tokens)
    longest = None if limit is None else limit * READ_AGAIN
    count = estimate.rows.count.times(PASS, 1, 1)
    text = None if longest is None or count.ceiling is None else longest * count.ceiling
    tokens = TRANSCRIPT if limit is None else min(TRANSCRIPT, limit)
    return replace(
        estimate,
        rows=replace(estimate.rows, count=count, tokens=tokens, longest=longest, text=text, waiting=0.0),
    )


@step(check=_check, forecast=_forecast)
async def baize(
    run: Run,
    samples: Samples,
    *,
    by: RoleName = "teacher",
    fidelity: Fidelity = "fixed",
    low: Count = 2,
    high: Count = 5,
    token_cap: Count | None = None,
    temperature: float | None = 1.0,
    max_tokens: Count | None = 3072,
    window: Count = 256,
) -> Samples:
    """Make each row's question the seed of a conversation that the teacher writes in one go, as Baize does.

    The conversation replaces the row: a seed's own answer is left out. It ends before the first turn that can't be used
    (cut, empty, the same speaker twice, a human who thanks, answers or speaks as an assistant), with its last whole
    exchange, and is dropped under that turn's reason when fewer than `low` are left.

    `fidelity: paper` (Xu et al. 2023, collect.py, preprocess.py) asks once for each different question, in a
    transcript that begins with a greeting, without any sampling parameter; it splits at the marks wherever they stand,
    and always loses the last exchange. `fixed` reads marks at the start of a line only, keeps the last exchange when it
    is whole, and looks at what the human says.

    Args:
        by: the role that writes the conversation
        fidelity: fixed, or paper for the original's behaviour
        low: the fewest exchanges of a conversation (fixed)
        high: the most that are asked for (fixed)
        token_cap: stop asking once this many tokens were used, prompts included; later seeds are dropped (token_cap)
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest conversation; null leaves it to the provider
        window: conversations worked on at a time
    """
    paper = fidelity == "paper"
    used = 0
    ended: Counter[str] = Counter()
    rounds: Counter[int] = Counter()

    async def jobs() -> AsyncIterator[tuple[Sample, int, str]]:
        async for sample, copy in numbered(samples):
            why = "token_cap" if token_cap is not None and used >= token_cap else ""
            yield sample, copy, why or ("duplicate" if paper and copy else "")

    async def write(job: tuple[Sample, int, str]) -> tuple[Sample, str, Completion | None]:
        sample, copy, why = job
        if why:
            return sample, why, None
        question = sample.prompt[-1].content
        prompt = _prompt(run.place, fidelity, question=question, fence=sample.id[:16], low=low, high=high)
        params: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
        return sample, "", await run.generate(prompt, by=by, draw=copy, **({} if paper else params))

    async for sample, why, completion in run.map(write, jobs(), window=run.window(window, by)):
        if completion is None:
            run.drop(sample, why, rule="token_cap" if why == "token_cap" else "seed", threshold=token_cap)
            continue
        used += completion.usage.input_tokens + completion.usage.output_tokens
        try:
            if paper:
                talk, fault = transcript_paper(completion.text), None
            else:
                talk, fault = _usable(completion)
        except ParseError as error:
            run.drop(sample, error.reason, detail=error.detail, request=completion.key)
            continue
        row = sample.replace(messages=tuple(talk), rejected=None, parents=(*sample.parents, sample.id))
        row = run.trace(row.note(recipe="baize", rounds=len(talk) // 2), completion)
        if not paper and len(talk) // 2 < low:
            reason = "too_few_rounds" if fault is None else fault.reason
            run.drop(row, reason, rule="low", value=len(talk) // 2, threshold=low)
            continue
        ended["end" if fault is None else fault.reason] += 1
        rounds[len(talk) // 2] += 1
        yield row
    run.note(
        fidelity=fidelity,
        rounds={str(number): rounds[number] for number in sorted(rounds)},
        ended={reason: ended[reason] for reason in sorted(ended)},
    )


def _usable(completion: Completion) -> tuple[list[Message], ParseError | None]:
    """The exchanges up to the first turn that can't be used, and what is wrong with that. Raises ParseError when there
    is none before it."""
    cut = completion.finish_reason == "length"
    if not cut:
        usable(completion)
    talk, fault = transcript(completion.text, cut=cut)
    while talk and polite(talk[0].content):  # a greeting, and its answer
        del talk[:2]
    for place in range(2, len(talk), 2):  # the first message is the seed
        try:
            user_turn(talk[place].content, talk[:place])
        except ParseError as error:
            fault = error
            del talk[place:]
            break
    if not talk:
        raise fault or ParseError("politeness_only")
    return talk, fault
