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
    window: Count = 256,
) -> Samples:
    """Have the teacher answer every row that waits for an answer.

    A row is dropped when its answer was cut at `max_tokens` (truncated), stopped by the provider's filter (filtered),
    refused for good (rejected) or empty (empty_output); the raw completion stays in the store.

    Args:
        by: the role that answers
        system: a system message put before the conversation; it becomes part of the row
        again: answer rows that already have an answer, too, and replace it
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest answer; null leaves it to the provider
        window: rows worked on at a time
    """

    async def answer(sample: Sample) -> tuple[Sample, Completion | None]:
        if sample.answered and not again:
            return sample, None
        if system is not None:
            rest = tuple(m for m in sample.messages if m.role != "system")
            sample = sample.replace(messages=(Message("system", system), *rest))
        completion = await run.generate(sample, by=by, temperature=temperature, max_tokens=max_tokens)
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
