"""backtranslate, self_curate: texts become responses; a model finds the instructions (Humpback, Li et al. 2023)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from selfinstruct.errors import DataError, ParseError
from selfinstruct.outlook import PASS, Estimate, Outlook, asked, most_tokens, tokens
from selfinstruct.parse import usable, verdict
from selfinstruct.parse.backtranslate import instruction as read_instruction
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion

SCHEMA = {
    "type": "object",
    "properties": {"instruction": {"type": "string"}},
    "required": ["instruction"],
    "additionalProperties": False,
}
SCORE = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": {"type": ["integer", "null"]}},
    "required": ["reason", "score"],
    "additionalProperties": False,
}
LOW, HIGH = 1, 5
WRITTEN = 35  # tokens of an instruction, on average (assumption)
VERDICT = 45  # tokens of a rating, on average (assumption)


def _frame(place: Place) -> tuple[Message, ...]:
    return place.prompts.render("backtranslate/instruction", fence="0" * 16, text="")


def _check(place: Place, *, by: RoleName, **_: Any) -> None:
    place.role(by)
    _frame(place)


def _forecast(
    outlook: Outlook, *, by: RoleName, system: str | None, max_tokens: int | None, **_: Any
) -> Estimate:
    estimate = asked(
        outlook,
        _frame(outlook.place),
        by=by,
        written=WRITTEN,
        max_tokens=max_tokens,
        schema=SCHEMA,
        source=f"one call a row; prompt measured, {WRITTEN} tokens an instruction (assumption)",
    )
    rows, more = estimate.rows, most_tokens(system or "")
    written = estimate.output_tokens.ceiling
    most = rows.most
    return replace(
        estimate,
        rows=replace(
            rows,
            count=rows.count.times(PASS, 1, 1),
            tokens=rows.tokens + WRITTEN + tokens(system or ""),
            longest=None
            if rows.longest is None or written is None or not rows.count.ceiling
            else rows.longest + more + 2 * (written // rows.count.ceiling),
            text=None
            if most is None or written is None or rows.count.ceiling is None
            else most + rows.count.ceiling * more + 2 * written,
            waiting=0.0,
        ),
    )


@step(check=_check, forecast=_forecast)
async def backtranslate(
    run: Run,
    samples: Samples,
    *,
    by: RoleName = "teacher",
    system: str | None = None,
    temperature: float | None = 0.7,
    top_p: float | None = 0.9,
    max_tokens: Count | None = 512,
    window: Count = 256,
) -> Samples:
    """Find the instruction that each text answers, and make the pair a row (instruction backtranslation).

    This is self-augmentation in Humpback (Li et al. 2023, section 2.2). The text of a row is its answer or, where it
    waits for one, what its user wrote: web text, a passage, an article. It becomes the response, untouched. The paper
    trains a model of its own for this, on seed rows turned around; here the teacher is asked. An instruction that
    points at the text (meta_words) or gives it away (echo) is a drop.

    Args:
        by: the role that finds the instructions
        system: a system message put before each new row; the paper tells rows made of web text apart by one
        temperature: sampling temperature; null leaves it to the provider
        top_p: nucleus sampling; null leaves it to the provider
        max_tokens: the longest answer
        window: rows worked on at a time
    """

    async def find(sample: Sample) -> tuple[Sample, str, Completion | None]:
        text = sample.output if sample.answered else sample.prompt[-1].content
        if not text.strip():
            return sample, text, None
        # the mark is made from the row, so that it is the same again on replay and unknown to the row's author
        prompt = run.render("backtranslate/instruction", fence=sample.id[:16], text=text)
        completion = await run.generate(
            prompt, by=by, schema=SCHEMA, temperature=temperature, top_p=top_p, max_tokens=max_tokens
        )
        return sample, text, completion

    async for sample, text, completion in run.map(find, samples, window=run.window(window, by)):
        if completion is None:
            run.drop(sample, "no_text")
            continue
        try:
            found = read_instruction(usable(completion), text)
        except ParseError as fault:
            run.drop(sample, fault.reason, detail=fault.detail, request=completion.key)
            continue
        meta = {key: value for key, value in sample.meta.items() if key != "input"}
        first = (Message("system", system),) if system is not None else ()
        row = Sample(
            (*first, Message("user", found), Message("assistant", text)),
            scores=sample.scores,
            meta={**meta, "recipe": "backtranslation"},
            parents=(sample.id,),
        )
        yield run.trace(row, completion)


def _curation(place: Place) -> tuple[Message, ...]:
    return place.prompts.render("backtranslate/score", fence="0" * 16, instruction="", response="")


def _check_curate(place: Place, *, by: RoleName, **_: Any) -> None:
    place.role(by)
    _curation(place)


def _forecast_curate(outlook: Outlook, *, by: RoleName, max_tokens: int | None, **_: Any) -> Estimate:
    estimate = asked(
        outlook,
        _curation(outlook.place),
        by=by,
        written=VERDICT,
        max_tokens=max_tokens,
        schema=SCORE,
        source=f"one call a row; prompt measured, {VERDICT} tokens a rating (assumption)",
    )
    return replace(estimate, rows=replace(estimate.rows, count=estimate.rows.count.times(PASS, 1, 1)))


@step(check=_check_curate, forecast=_forecast_curate)
async def self_curate(
    run: Run,
    samples: Samples,
    *,
    min_score: Annotated[float, Field(ge=LOW, le=HIGH)] = 5,
    by: RoleName = "teacher",
    temperature: float | None = 0.0,
    max_tokens: Count | None = 400,
    window: Count = 256,
) -> Samples:
    """Rate each response from 1 to 5 as an assistant's answer to its instruction, and keep the best.

    This is self-curation in Humpback (Li et al. 2023, section 2.3). There the model that learns rates its own data, and
    the better model of each round rates them again: name the student here (`by`) for that. The score is called
    `curation`. A rating that can't be read, is out of range or is withheld is no number: such rows are dropped
    (unscored).

    Args:
        min_score: the lowest score that is kept; the paper's best set keeps 5
        by: the role that rates
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest rating
        window: rows worked on at a time
    """

    async def rate(sample: Sample) -> tuple[Sample, Completion]:
        if not sample.answered:
            raise DataError(
                f"a row has no response to rate: {sample.instruction[:60]!r}",
                "put a `backtranslate` step before `self_curate`",
            )
        said = "\n\n".join(m.content for m in sample.prompt if m.role != "system")
        prompt = run.render(
            "backtranslate/score", fence=sample.id[:16], instruction=said, response=sample.output
        )
        return sample, await run.generate(
            prompt, by=by, schema=SCORE, temperature=temperature, max_tokens=max_tokens
        )

    scores: Counter[float] = Counter()
    unscored = 0
    async for sample, completion in run.map(rate, samples, window=run.window(window, by)):
        sample = run.trace(sample, completion)
        try:
            score, reason = verdict(usable(completion), LOW, HIGH)
            if score is None:
                raise ParseError("withheld", reason)
        except ParseError as fault:
            unscored += 1
            run.drop(sample, "unscored", fault=str(fault))
            continue
        scores[score] += 1
        sample = sample.score(curation=score).note(curation_reason=reason)
        if score < min_score:
            run.drop(sample, "below_min", rule="curation", value=score, threshold=min_score)
        else:
            yield sample
    run.note(scores={f"{score:g}": scores[score] for score in sorted(scores)}, unscored=unscored)
