"""answers: several answers to each prompt, each a row of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from selfinstruct.errors import ConfigError, ParseError
from selfinstruct.outlook import PASS, READ_AGAIN, Estimate, Outlook, asked, dearest, longest_answer
from selfinstruct.parse import usable
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample, question
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion

PRINCIPLES = ("helpfulness", "truthfulness", "honesty", "calibration")
ANSWER = 60  # tokens of one, on average (assumption)


def _check(place: Place, *, by: tuple[RoleName, ...], principles: bool, **_: Any) -> None:
    if not by:
        raise ConfigError("`by` names no role", "name one or more: by: [teacher, student]")
    for role in by:
        place.role(role)
    for principle in PRINCIPLES if principles else ():
        place.prompts.render("answers/principled", principle=principle, question="")


def _forecast(
    outlook: Outlook,
    *,
    k: int,
    by: tuple[RoleName, ...],
    principles: bool,
    keep: bool,
    max_tokens: int | None,
    **_: Any,
) -> Estimate:
    frame: tuple[Message, ...] = ()
    if principles:
        prompts = outlook.place.prompts
        frames = [prompts.render("answers/principled", principle=each, question="") for each in PRINCIPLES]
        frame = max(frames, key=lambda found: len(found[0].content.encode()))
    shares = Counter(by[place % len(by)] for place in range(k))
    first, *others = (
        asked(
            outlook,
            frame,
            by=role,
            written=ANSWER,
            max_tokens=max_tokens,
            calls=(calls, calls, calls),
            source=f"{k} calls a row; {ANSWER} tokens an answer (assumption)",
        )
        for role, calls in shares.items()
    )
    for other in others:
        first = first.plus(other)
    rows = outlook.rows
    limits = [longest_answer(outlook.place.role(role), max_tokens) for role in shares]
    longest = max((limit * READ_AGAIN for limit in limits if limit is not None), default=0)
    bounded = None not in limits
    most = k + 1 if keep else k
    answered = rows.count.times(PASS * k, k + (1 - rows.waiting) * keep, most)
    return replace(
        first,
        role=dearest(outlook.place, *by),
        rows=replace(
            rows,
            count=answered,
            tokens=rows.tokens + ANSWER,
            longest=None if rows.longest is None or not bounded else rows.longest + longest,
            text=None
            if rows.most is None or answered.ceiling is None or not bounded
            else rows.most * most + answered.ceiling * longest,
            waiting=0.0,
        ),
    )


@step(check=_check, forecast=_forecast)
async def answers(
    run: Run,
    samples: Samples,
    *,
    k: Count = 4,
    by: tuple[RoleName, ...] = ("teacher",),
    principles: bool = False,
    keep: bool = False,
    temperature: float | None = 1.0,
    max_tokens: Count | None = 2048,
    window: Count = 256,
) -> Samples:
    """Have every prompt answered `k` times; each answer goes on as a row of its own.

    The material of all that compares answers: InstructGPT (Ouyang et al. 2022) had 4 to 9 of each prompt ranked,
    UltraFeedback (Cui et al. 2023, section 2) rates 4 by different models. The answers are independent draws, of
    several roles in turn where `by` names several; each row says in its meta which model gave it (`answered_by`).
    With `principles`, as in UltraFeedback, each is written under a system message drawn from four (helpfulness,
    truthfulness, honesty, calibration); it is noted in the meta and is no part of the row, so that answers to one
    prompt stay answers to one prompt. The draws are even; the original's shares differ by the source of the prompts.

    An answer that is cut, refused by the provider or empty is dropped (truncated, filtered, rejected, empty_output),
    and so is one that says what another to the same prompt said (same_answer). Rows with the same prompt get
    independent answers.

    Args:
        k: answers to each prompt
        by: the roles that answer, in turn
        principles: put a system message of a principle, drawn for each answer, before the conversation
        keep: keep the answer that a row came with, as one more
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest answer; null leaves it to the provider
        window: answers worked on at a time
    """
    rows = [sample async for sample in samples]
    asked: list[tuple[Sample, int | None]] = []  # the row, and which draw of an answer to its prompt
    seen: Counter[str] = Counter()
    for row in rows:
        prompt = question(row)
        if keep and row.answered:
            asked.append((row, None))
        for _ in range(k):
            asked.append((row, seen[prompt]))
            seen[prompt] += 1

    async def answer(item: tuple[Sample, int | None]) -> tuple[Sample, Completion | None, RoleName, str]:
        row, draw = item
        if draw is None:
            return row, None, by[0], ""
        role = by[draw % len(by)]
        principle, messages = "", row.prompt
        if principles:
            principle = run.rng("principle", question(row), draw).choice(PRINCIPLES)
            messages = _under(run, principle, row.prompt)
        completion = await run.generate(
            messages, by=role, draw=draw, temperature=temperature, max_tokens=max_tokens
        )
        return row, completion, role, principle

    run.made(len(asked) - len(rows))
    texts: set[tuple[str, str]] = set()
    answerers = {role: run.teacher(role).model for role in by}
    width = max(run.window(window, role) for role in by)
    async for row, completion, role, principle in run.map(answer, asked, window=width):
        sample = row
        if completion is not None:
            try:
                # scores that the row came with are of another answer
                sample = row.answer(usable(completion)).replace(rejected=None, scores={})
            except ParseError as fault:
                run.drop(row, fault.reason, detail=fault.detail, request=completion.key)
                continue
            sample = run.trace(sample.note(answered_by=answerers[role]), completion)
            sample = sample.note(principle=principle) if principle else sample
        said = question(row), sample.output.strip()
        if said in texts:
            run.drop(sample, "same_answer")
            continue
        texts.add(said)
        yield sample


def _under(run: Run, principle: str, prompt: tuple[Message, ...]) -> tuple[Message, ...]:
    """The conversation with the principle as its system message, after the one that it may have."""
    asked = prompt[-1].content if prompt and prompt[-1].role == "user" else ""
    rendered = run.render("answers/principled", principle=principle, question=asked)
    told = "\n\n".join(message.content for message in (*prompt, *rendered) if message.role == "system")
    talk = [message for message in prompt if message.role != "system"]
    if asked.strip() and rendered[-1].content != asked.strip():
        talk[-1] = rendered[-1]  # else the row's own: rendering strips, and spaces before code mean something
    return Message("system", told), *talk
