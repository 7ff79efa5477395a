"""ultrafeedback: the answers to one prompt are rated together, aspect by aspect."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Literal

from selfinstruct.errors import ConfigError, ParseError
from selfinstruct.outlook import PASS, Estimate, Outlook, asked
from selfinstruct.parse import usable
from selfinstruct.parse.judgments import Rating, ratings
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample, digest
from selfinstruct.step import Count, Samples, clearest, contests, step
from selfinstruct.teachers import Completion

Aspect = Literal["instruction_following", "honesty", "truthfulness", "helpfulness"]
ASPECTS: tuple[Aspect, ...] = ("instruction_following", "honesty", "truthfulness", "helpfulness")
LOW, HIGH = 1, 5
SCHEMA = {
    "type": "object",
    "properties": {
        "ratings": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer"},
                    "rating": {"type": ["integer", "null"]},
                    "rationale": {"type": "string"},
                },
                "required": ["id", "rating", "rationale"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["ratings"],
    "additionalProperties": False,
}
RIVALS = 4  # answers to a prompt, on average (assumption; UltraFeedback's number)
RATING = 35  # tokens of one with its rationale, on average (assumption)


def _frame(place: Place, aspect: Aspect) -> tuple[Message, ...]:
    conversation = (Message("user", ""),)
    return place.prompts.render(
        "ultrafeedback/aspect", aspect=aspect, fence="0" * 16, conversation=conversation, texts=[""]
    )


def _check(place: Place, *, aspects: tuple[Aspect, ...], by: RoleName, **_: Any) -> None:
    if not aspects:
        raise ConfigError("`aspects` is empty", f"name some of {', '.join(ASPECTS)}")
    place.role(by)
    for aspect in aspects:
        _frame(place, aspect)


def _forecast(
    outlook: Outlook,
    *,
    aspects: tuple[Aspect, ...],
    by: RoleName,
    draws: int,
    max_tokens: int | None,
    **_: Any,
) -> Estimate:
    frame = max(
        (_frame(outlook.place, aspect) for aspect in aspects),
        key=lambda found: sum(len(message.content.encode()) for message in found),
    )
    each = len(aspects)
    estimate = asked(
        outlook,
        frame,
        by=by,
        written=RIVALS * RATING,
        max_tokens=max_tokens,
        calls=(each / RIVALS, each / RIVALS, each * draws),
        schema=SCHEMA,
        source=f"{each} calls a prompt with {RIVALS} answers; {RATING} tokens a rating (assumptions)",
    )
    rows = estimate.rows
    # each call shows all answers to its prompt
    more = max(0, rows.count.expected * each - estimate.calls.expected) * rows.tokens
    read = replace(estimate.input_tokens, expected=estimate.input_tokens.expected + more)
    return replace(estimate, rows=replace(rows, count=rows.count.times(PASS, 1, 1)), input_tokens=read)


@step(check=_check, forecast=_forecast)
async def ultrafeedback(
    run: Run,
    samples: Samples,
    *,
    aspects: tuple[Aspect, ...] = ASPECTS,
    by: RoleName = "judge",
    least: Count = 2,
    most: Count = 9,
    draws: Count = 2,
    temperature: float | None = 0.0,
    max_tokens: Count | None = 1500,
    window: Count = 128,
) -> Samples:
    """Rate the answers to each prompt together, one call for each aspect (UltraFeedback, Cui et al. 2023, section 2).

    Rows with the same prompt are shown to the judge side by side, in an order drawn for each call, and get a whole
    number from 1 to 5 with a rationale. The numbers go into the row's scores under the aspects' names, and their mean
    as `overall`; the rationales into its meta (`feedback`).

    Nothing is guessed (the original's reader took a 10 for a 1): a rating that is no whole number in the range, that
    is of a text that was not shown, or that the judge withholds is none. A verdict with such ratings is asked for
    again, in another order; a row that then lacks one is dropped (unscored).

    Args:
        aspects: what is rated, of instruction_following, honesty, truthfulness and helpfulness
        by: the role that rates; without a `judge:` line it is the teacher
        least: prompts with fewer answers are not asked about, and their answers dropped (alone)
        most: of more answers to one prompt the later ones are dropped (too_many)
        draws: verdicts that are asked for, one after the other, until one has a rating for every answer
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest verdict
        window: verdicts worked on at a time
    """
    rows = [sample async for sample in samples]
    groups = []
    for group in contests(run, rows, most=most, to="rate", before="ultrafeedback"):
        if len(group) < least:
            for row in group:
                run.drop(row, "alone", rule="least", value=len(group), threshold=least)
        else:
            groups.append(group)

    async def rate(item: tuple[list[Sample], Aspect]) -> tuple[list[Rating | ParseError], Completion]:
        group, aspect = item
        ids = [row.id for row in group]

        async def ask(draw: int) -> tuple[list[Rating | ParseError], Completion]:
            order = run.rng("order", aspect, draw, *ids).sample(range(len(group)), len(group))
            prompt = run.render(
                "ultrafeedback/aspect",
                aspect=aspect,
                # the marks are made from the rows: the same again on replay, and unknown to the rows' authors
                fence=digest(ids)[:16],
                conversation=group[0].prompt,
                texts=[group[place].output for place in order],
            )
            completion = await run.generate(
                prompt, by=by, draw=draw, schema=SCHEMA, temperature=temperature, max_tokens=max_tokens
            )
            try:
                read = ratings(usable(completion), len(group), LOW, HIGH)
            except ParseError as fault:
                read = [fault] * len(group)
            return [read[order.index(place)] for place in range(len(group))], completion

        return await clearest(ask, draws=draws)

    items = [(group, aspect) for group in groups for aspect in aspects]
    given: dict[Aspect, Counter[int]] = {aspect: Counter() for aspect in aspects}
    unscored = place = 0
    found: list[list[Rating | ParseError]] = []
    async for verdict, completion in run.map(rate, items, window=run.window(window, by)):
        group, aspect = items[place]
        place += 1
        if aspect == aspects[0]:
            found, first = [], completion
        found.append(verdict)
        if len(found) < len(aspects):
            continue
        for row, each in zip(group, zip(*found, strict=True), strict=True):
            row = run.trace(row, first)
            faults = [
                f"{name}: {read}"
                for name, read in zip(aspects, each, strict=True)
                if isinstance(read, ParseError)
            ]
            if faults:
                unscored += 1
                run.drop(row, "unscored", fault="; ".join(faults))
                continue
            read = [rating for rating in each if isinstance(rating, Rating)]
            scores = {name: float(rating.score) for name, rating in zip(aspects, read, strict=True)}
            for name, rating in zip(aspects, read, strict=True):
                given[name][rating.score] += 1
            overall = sum(scores.values()) / len(scores)
            feedback = {name: rating.reason for name, rating in zip(aspects, read, strict=True)}
            yield row.score(**scores, overall=overall).note(feedback=feedback)
    _report(run, given, unscored, len(groups))


def _report(run: Run, given: dict[Aspect, Counter[int]], unscored: int, prompts: int) -> None:
    rated = next(iter(given.values())).total()
    means = {
        name: round(sum(score * times for score, times in counts.items()) / max(rated, 1), 2)
        for name, counts in given.items()
    }
    run.note(
        ratings={
            name: {str(score): counts[score] for score in sorted(counts)} for name, counts in given.items()
        },
        means=means,
        unscored=unscored,
        headline=f"{rated:,} answers to {prompts:,} prompts rated; "
        + ", ".join(f"{name.replace('_', ' ')} {mean:.2f}" for name, mean in means.items()),
    )
    if unscored > 0.2 * (rated + unscored):
        run.note(warning=f"{unscored} of {rated + unscored} answers lack a rating")
