"""judge: a model scores each answer, one row a call."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from selfinstruct.errors import ConfigError, DataError, ParseError, TeacherError
from selfinstruct.outlook import PASS, Estimate, Outlook, asked
from selfinstruct.parse import usable, verdict
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample, transcript
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion

SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": ["number", "null"]}, "reason": {"type": "string"}},
    "required": ["score", "reason"],
    "additionalProperties": False,
}
VERDICT = 40  # tokens of one, on average (assumption)
SPAN = 200  # verdicts looked back on when deciding that the judge can't do this job


def _frame(place: Place, aspect: str, low: float, high: float) -> tuple[Message, ...]:
    return place.prompts.render(
        "judge/accuracy", aspect=aspect, low=low, high=high, fence="0" * 16, prompt="", response=""
    )


def _check(
    place: Place, *, aspect: str, low: float, high: float, min_score: float | None, by: RoleName, **_: Any
) -> None:
    if low >= high:
        raise ConfigError(f"scores from {low:g} to {high:g} leave no choice", "low must be below high")
    if min_score is not None and not low <= min_score <= high:
        raise ConfigError(f"min_score {min_score:g} is not between {low:g} and {high:g}")
    place.role(by)
    _frame(place, aspect, low, high)


def _forecast(
    outlook: Outlook,
    *,
    aspect: str,
    low: float,
    high: float,
    min_score: float | None,
    by: RoleName,
    max_tokens: int | None,
    **_: Any,
) -> Estimate:
    estimate = asked(
        outlook,
        _frame(outlook.place, aspect, low, high),
        by=by,
        written=VERDICT,
        max_tokens=max_tokens,
        schema=SCHEMA,
        source=f"one call a row; prompt measured, {VERDICT} tokens a verdict (assumption)",
    )
    few = PASS if min_score is not None else 1
    return replace(estimate, rows=replace(estimate.rows, count=estimate.rows.count.times(few, 1, 1)))


@step(check=_check, forecast=_forecast)
async def judge(
    run: Run,
    samples: Samples,
    *,
    aspect: str = "accuracy",
    low: float = 0,
    high: float = 5,
    min_score: float | None = None,
    by: RoleName = "judge",
    keep_unscored: bool = False,
    max_unscored: Annotated[float, Field(ge=0, le=1)] = 0.2,
    temperature: float | None = 0.0,
    max_tokens: Count | None = 300,
    window: Count = 256,
) -> Samples:
    """Score the last answer of each row with a model, as AlpaGasus does (Chen et al. 2023, section 3).

    The score goes into the row's scores under the name of the aspect. A verdict that can't be read, is out of range,
    or that the judge itself withholds is never a number: the row counts as unscored. The row's text stands between
    marks that it can't contain.

    Args:
        aspect: what is graded (accuracy, helpfulness...); the score's name
        low: the lowest score
        high: the highest score
        min_score: drop rows that score less (below_min)
        by: the role that judges; without a `judge:` line it is the teacher
        keep_unscored: keep rows without a score instead of dropping them (unscored)
        max_unscored: stop when more than this share of the last 200 verdicts carries no score
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest verdict
        window: rows worked on at a time
    """

    async def grade(sample: Sample) -> tuple[Sample, Completion]:
        if not sample.answered:
            raise DataError(
                f"a row has no answer to judge: {sample.instruction[:60]!r}",
                "put a `respond` step before `judge`",
            )
        # the mark is made from the row, so that it is the same again on replay and unknown to the row's author
        fence = sample.id[:16]
        prompt = run.render(
            "judge/accuracy",
            aspect=aspect,
            low=f"{low:g}",
            high=f"{high:g}",
            fence=fence,
            prompt=transcript(sample.prompt),
            response=sample.output,
        )
        return sample, await run.generate(
            prompt, by=by, schema=SCHEMA, temperature=temperature, max_tokens=max_tokens
        )

    recent: list[bool] = []
    scores: dict[float, int] = {}
    unscored = 0
    async for sample, completion in run.map(grade, samples, window=run.window(window, by)):
        try:
            score, reason = verdict(usable(completion), low, high)
            fault = ParseError("withheld", reason) if score is None else None
        except ParseError as error:
            score, reason, fault = None, "", error
        recent = [*recent[1 - SPAN :], score is None]
        if len(recent) == SPAN and sum(recent) > max_unscored * SPAN:
            raise TeacherError(
                f"{sum(recent)} of the last {SPAN} verdicts of {run.teacher(by).model} carry no score"
                f" (the last: {fault})",
                "look at some with `selfinstruct look`; use another judge, or raise max_unscored",
            )
        sample = run.trace(sample, completion)
        if score is None:
            unscored += 1
            if keep_unscored:
                yield sample
            else:
                run.drop(sample, "unscored", fault=str(fault))
            continue
        scores[score] = scores.get(score, 0) + 1
        sample = sample.score(**{aspect: score}).note(judgement=reason)
        if min_score is not None and score < min_score:
            run.drop(sample, "below_min", rule=aspect, value=score, threshold=min_score)
        else:
            yield sample
    run.note(scores={f"{score:g}": scores[score] for score in sorted(scores)}, unscored=unscored)
    total = unscored + sum(scores.values())
    if unscored > max_unscored * total:
        run.note(warning=f"{unscored} of {total} verdicts carry no score")
    elif len(scores) == 1 and total >= SPAN:
        run.note(warning=f"every row scored {next(iter(scores)):g}: this judge does not tell them apart")
