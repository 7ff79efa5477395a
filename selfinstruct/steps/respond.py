"""respond: the teacher answers what waits for an answer."""

from __future__ import annotations

from typing import Any

from selfinstruct.errors import ParseError
from selfinstruct.outlook import Estimate, Outlook
from selfinstruct.parse import usable
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion


def _check(place: Place, *, by: RoleName, **_: Any) -> None:
    place.role(by)


def _forecast(outlook: Outlook, *, max_tokens: int | None, **_: Any) -> Estimate:
    written = outlook.rows * 60
    return Estimate(
        rows=outlook.rows,
        row_tokens=outlook.row_tokens + 60,
        calls=outlook.rows,
        input_tokens=outlook.rows * outlook.row_tokens,
        output_tokens=written,
        ceiling_calls=outlook.rows,
        ceiling_output=outlook.rows * (max_tokens or 4096),
        source="one call a row; 60 tokens an answer (assumption)",
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
        room = max_tokens
        for draw in range(draws):
            completion = await run.generate(
                sample, by=by, draw=draw, temperature=temperature, max_tokens=room
            )
            if completion.finish_reason == "rejected" or _whole(completion):
                break
            if completion.finish_reason == "length" and room is not None:
                room *= 2
        return sample, completion

    async for sample, completion in run.map(answer, samples, window=window):
        if completion is None:
            yield sample
            continue
        try:
            text = usable(completion)
        except ParseError as fault:
            run.drop(sample, fault.reason, detail=fault.detail)
        else:
            yield run.trace(sample.answer(text), completion)


def _whole(completion: Completion) -> bool:
    return completion.finish_reason == "stop" and bool(completion.text.strip())
