"""respond: the teacher answers what waits for an answer."""

from __future__ import annotations

from typing import Any

from selfinstruct.errors import ParseError
from selfinstruct.outlook import (
    PASS,
    READ_AGAIN,
    SHORT,
    Estimate,
    Outlook,
    Range,
    Rows,
    longest_answer,
    most_tokens,
    tokens,
    whole_answers,
)
from selfinstruct.parse import usable
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Count, Samples, step, whole
from selfinstruct.teachers import Completion

ANSWER = 60  # tokens of one, on average (assumption)


def _check(place: Place, *, by: RoleName, **_: Any) -> None:
    place.role(by)


def _forecast(
    outlook: Outlook,
    *,
    by: RoleName,
    system: str | None,
    again: bool,
    max_tokens: int | None,
    draws: int,
    **_: Any,
) -> Estimate:
    rows = outlook.rows
    role = outlook.place.role(by)
    limit = longest_answer(role, max_tokens)
    written = ANSWER if limit is None else min(ANSWER, limit)
    before = tokens(system or "") + rows.tokens
    share = 1.0 if again else rows.waiting
    most = rows.count.ceiling if share else 0  # rows that may be asked
    calls = rows.count.times(share, share, draws if share else 0)
    all_draws = whole_answers(role, max_tokens, draws)
    asked = (
        0
        if not share
        else None
        if rows.most is None or most is None
        else rows.most + most * most_tokens(system or "")
    )
    answers = None if all_draws is None else all_draws * READ_AGAIN
    return Estimate(
        Rows(
            count=rows.count.times(PASS, 1, 1),
            tokens=round(before + share * written),
            longest=None
            if rows.longest is None or answers is None
            else rows.longest + most_tokens(system or "") + answers,
            text=None
            if asked is None or rows.most is None or most is None or answers is None
            else max(asked, rows.most) + most * answers,
        ),
        calls=calls,
        input_tokens=Range(
            round(calls.low * before * SHORT),
            calls.expected * before,
            None if asked is None else asked * draws,
        ),
        output_tokens=rows.count.times(share * written * SHORT, share * written, all_draws if share else 0),
        role=by,
        source=f"one call a row{'' if again else ' that waits for an answer'}; {written} tokens an answer (assumption)",
    )


@step(check=_check, forecast=_forecast)
async def respond(
    run: Run,
    samples: Samples,
    *,
    by: RoleName = "teacher",
    system: str | None = None,
    again: bool = False,
    temperature: float | None = 0.7,
    max_tokens: Count | None = 2048,
    draws: Count = 2,
    window: Count = 256,
) -> Samples:
    """Have the teacher answer every row that waits for an answer.

    An answer that was cut at `max_tokens`, stopped by the provider's filter or empty is drawn again, with twice the
    `max_tokens` where it was cut. A row is dropped when no draw brings a whole answer (truncated, filtered,
    empty_output), or when the provider refuses it for good (rejected); the raw completions stay in the store.

    Args:
        by: the role that answers
        system: a system message put before the conversation; it becomes part of the row
        again: answer rows that already have an answer, too, and replace it
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest answer; null leaves it to the provider
        draws: independent answers that are asked for, one after the other, until one is whole
        window: rows worked on at a time
    """

    async def answer(sample: Sample) -> tuple[Sample, Completion | None]:
        if sample.answered and not again:
            return sample, None
        if system is not None:
            rest = tuple(m for m in sample.messages if m.role != "system")
            sample = sample.replace(messages=(Message("system", system), *rest))
        completion = await whole(
            run, sample, by=by, draws=draws, temperature=temperature, max_tokens=max_tokens
        )
        return sample, completion

    async for sample, completion in run.map(answer, samples, window=run.window(window, by)):
        if completion is None:
            yield sample
            continue
        try:
            text = usable(completion)
        except ParseError as fault:
            run.drop(sample, fault.reason, detail=fault.detail)
        else:
            yield run.trace(sample.answer(text), completion)
