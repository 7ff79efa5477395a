"""rank: variants are ranked and scored together, in one prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from selfinstruct.errors import ConfigError, ParseError
from selfinstruct.outlook import PASS, Estimate, Outlook, asked
from selfinstruct.parse import usable
from selfinstruct.parse.judgments import Rating, ratings
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample, digest, transcript
from selfinstruct.step import Count, Samples, clearest, contests, step
from selfinstruct.teachers import Completion

Of = Literal["answers", "prompts"]
SCORES: dict[Of, str] = {"answers": "quality", "prompts": "complexity"}
RIVALS = 6  # variants that are ranked together, on average (assumption; Deita's number)
LINE = 8  # tokens of `[1] Score: 3`, on average (assumption)


def _frame(place: Place, of: Of) -> tuple[Message, ...]:
    return place.prompts.render(f"rank/{of}", fence="0" * 16, conversation=(Message("user", ""),), texts=[""])


def _check(place: Place, *, of: Of, per: str | None, by: RoleName, **_: Any) -> None:
    if of == "prompts" and per is None:
        raise ConfigError(
            "nothing says which prompts are variants of one another",
            "name a key of `meta` whose value they share: per: root",
        )
    place.role(by)
    _frame(place, of)


def _forecast(
    outlook: Outlook, *, of: Of, by: RoleName, draws: int, max_tokens: int | None, **_: Any
) -> Estimate:
    estimate = asked(
        outlook,
        _frame(outlook.place, of),
        by=by,
        written=RIVALS * LINE,
        max_tokens=max_tokens,
        calls=(1 / RIVALS, 1 / RIVALS, draws),
        source=f"a call for {RIVALS} variants; {LINE} tokens a score (assumptions)",
    )
    rows = estimate.rows
    more = max(0, rows.count.expected - estimate.calls.expected) * rows.tokens  # all variants are in its call
    read = replace(estimate.input_tokens, expected=estimate.input_tokens.expected + more)
    return replace(estimate, rows=replace(rows, count=rows.count.times(PASS, 1, 1)), input_tokens=read)


@step(check=_check, forecast=_forecast)
async def rank(
    run: Run,
    samples: Samples,
    *,
    of: Of = "answers",
    per: str | None = None,
    by: RoleName = "judge",
    most: Count = 9,
    draws: Count = 2,
    fidelity: Literal["fixed", "paper"] = "fixed",
    temperature: float | None = 0.0,
    max_tokens: Count | None = 300,
    window: Count = 128,
) -> Samples:
    """Rank and score variants together, in one prompt, as Deita does (Liu et al. 2023, section 2).

    `of: answers` shows the answers to one prompt and scores their `quality`; `of: prompts` shows the prompts that
    share `per`, such as one instruction and what it evolved into, and scores their `complexity`. Of N variants the
    scores are 1 to N, and N + 1 for what could not be better, or could not be done. Scored one by one, most rows get
    the same score; side by side a judge tells them apart.

    `fidelity: paper` shows the variants in the order in which they came, in which a chain of evolutions is sorted by
    the answer. `fixed` shows them in an order drawn for each call. A score that is no whole number in the range, or
    that is of no variant, is none; such a verdict is asked for again, and a row without a score is dropped (unscored),
    as is one that has nothing to be ranked with (alone).

    Args:
        of: answers or prompts
        per: a key of `meta`; rows with the same value there are ranked together instead of those with the same prompt
        by: the role that ranks; without a `judge:` line it is the teacher
        most: of more variants the later ones are dropped (too_many)
        draws: verdicts that are asked for, one after the other, until one has a score for every variant
        fidelity: fixed, or paper for the original's order
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest verdict
        window: verdicts worked on at a time
    """
    rows = [sample async for sample in samples]
    groups = []
    for group in contests(run, rows, most=most, to="rank", before="rank", answers=of == "answers", per=per):
        if len(group) == 1:
            run.drop(group[0], "alone")
        else:
            groups.append(group)

    async def score(group: list[Sample]) -> tuple[list[Sample], list[Rating | ParseError], Completion]:
        ids = [row.id for row in group]

        async def ask(draw: int) -> tuple[list[Rating | ParseError], Completion]:
            order = list(range(len(group)))
            if fidelity == "fixed":
                run.rng("order", draw, *ids).shuffle(order)
            prompt = run.render(
                f"rank/{of}",
                # the marks are made from the rows: the same again on replay, and unknown to the rows' authors
                fence=digest(ids)[:16],
                conversation=group[0].prompt,
                texts=[_text(group[place], of) for place in order],
            )
            completion = await run.generate(
                prompt, by=by, draw=draw, temperature=temperature, max_tokens=max_tokens
            )
            try:
                read = ratings(usable(completion), len(group), 1, len(group) + 1)
            except ParseError as fault:
                read = [fault] * len(group)
            return [read[order.index(place)] for place in range(len(group))], completion

        return group, *await clearest(ask, draws=draws)

    unscored = ranked = tied = 0
    async for group, verdict, completion in run.map(score, groups, window=run.window(window, by)):
        read = [each.score for each in verdict if isinstance(each, Rating)]
        tied += len(read) > 1 and len(set(read)) == 1
        for row, each in zip(group, verdict, strict=True):
            row = run.trace(row, completion)
            if isinstance(each, ParseError):
                unscored += 1
                run.drop(row, "unscored", fault=str(each))
            else:
                ranked += 1
                yield row.score(**{SCORES[of]: float(each.score)})
    run.note(
        groups=len(groups),
        unscored=unscored,
        all_equal=tied,
        headline=f"{ranked:,} {of} in {len(groups):,} groups ranked; in {tied:,} all score the same",
    )
    if unscored > 0.2 * (ranked + unscored):
        run.note(warning=f"{unscored} of {ranked + unscored} {of} lack a score")


def _text(row: Sample, of: Of) -> str:
    if of == "answers":
        return row.output
    if len(row.prompt) == 1:
        return row.prompt[0].content
    return transcript(row.prompt)
