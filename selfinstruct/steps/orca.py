"""orca: a teacher answers queries under system messages that ask for explanations (Mukherjee et al. 2023, Orca)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from selfinstruct.errors import ConfigError, ParseError
from selfinstruct.outlook import (
    PASS,
    READ_AGAIN,
    SHORT,
    Estimate,
    Outlook,
    Range,
    asked,
    dearest,
    most_tokens,
    tokens,
    whole_answers,
)
from selfinstruct.parse import usable
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Count, Samples, numbered, step, whole
from selfinstruct.teachers import Completion

MESSAGES = 16
# Which messages a sub-collection of FLAN draws from, as the paper's figure of their shares has it.
SUBSETS: dict[str, tuple[int, ...]] = {
    "cot": (6, 11, 16),
    "niv2": (1, 2, 5, 7, 9, 12, 13, 14, 15),
    "flan2021": (3, 4, 7, 8, 10),
    "t0": (1, 2, 3, 5, 7),
}
GENERAL = (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 16)  # for queries from elsewhere; ours
CHOICE = (8, 10)  # only for multiple-choice queries
EXPLANATION = 250  # tokens of one, on average (assumption; OpenOrca's are about as long)

_OPTION = re.compile(r"^[ \t]{0,8}([A-Ea-e])[).][ \t]|(?<!\w)\(([A-Ea-e])\)", re.MULTILINE)
_LISTED = re.compile(
    r"^[ \t]{0,8}(?:options|choices)[ \t]{0,8}:[ \t]{0,8}\n[ \t]{0,8}[-*•][ \t]", re.IGNORECASE | re.MULTILINE
)


def multiple_choice(text: str) -> bool:
    """Whether the text offers options from A on, as (A) anywhere or as B) or C. at the start of a line, or lists them
    under "Options:"."""
    letters = {"".join(found).lower() for found in _OPTION.findall(text)}
    return {"a", "b"} <= letters or _LISTED.search(text) is not None


def allowed(collection: str, choice: bool) -> tuple[int, ...]:
    """The messages that may be drawn for a query of a sub-collection; any name that is none takes the general ones."""
    subset = SUBSETS.get(collection, GENERAL)
    return subset if choice else tuple(number for number in subset if number not in CHOICE)


def _messages(place: Place) -> tuple[Message, ...]:
    found = place.prompts.render("orca/messages")
    if len(found) != MESSAGES or any(message.role != "system" for message in found):
        raise ConfigError(
            f"prompt 'orca/messages' must hold {MESSAGES} system messages, and has {len(found)} messages",
            "begin each with a line `=== system ===`; the first may be empty",
        )
    return found


def _check(
    place: Place,
    *,
    by: RoleName,
    second: RoleName | None,
    erase_system: bool,
    generic: str | None,
    **_: Any,
) -> None:
    place.role(by)
    if second is not None:
        if second == by:
            raise ConfigError(f"`second` is `{by}`, who answers every row already", "name another role")
        place.role(second)
    if generic is not None and not erase_system:
        raise ConfigError("`generic` replaces the system message only with `erase_system: true`")
    _messages(place)


def _forecast(
    outlook: Outlook,
    *,
    by: RoleName,
    second: RoleName | None,
    share: float,
    max_tokens: int | None,
    draws: int,
    **_: Any,
) -> Estimate:
    place, rows = outlook.place, outlook.rows
    role = dearest(place, by, *([second] if second else []))
    messages = _messages(place)
    longest = max(messages, key=lambda message: most_tokens(message.content))
    mean = sum(tokens(message.content) for message in messages) // MESSAGES
    again = share if second else 0.0
    most = 2 if second else 1  # rows out of one
    estimate = asked(
        outlook,
        [longest],
        by=role,
        written=EXPLANATION,
        max_tokens=max_tokens,
        calls=(1, 1 + again, most * draws),
        source=f"{1 + again:g} calls a row; {EXPLANATION} tokens an explanation (assumption)",
    )
    calls = estimate.calls
    answers = [whole_answers(place.role(name), max_tokens, draws) for name in (by, second or by)]
    answer = None if None in answers else max(each for each in answers if each is not None)
    written = estimate.output_tokens.expected // max(calls.expected, 1)
    system = most_tokens(longest.content)
    end = None if answer is None else system + answer * READ_AGAIN
    return replace(
        estimate,
        rows=replace(
            rows,
            count=rows.count.times(PASS, 1 + again, most),
            tokens=rows.tokens + mean + written,
            longest=None if end is None or rows.longest is None else rows.longest + end,
            text=None
            if end is None or rows.most is None or rows.count.ceiling is None
            else most * (rows.most + rows.count.ceiling * end),
            waiting=0.0,
        ),
        input_tokens=Range(
            round(calls.low * (mean + rows.tokens) * SHORT),
            calls.expected * (mean + rows.tokens),
            estimate.input_tokens.ceiling,
        ),
        output_tokens=Range(
            estimate.output_tokens.low,
            estimate.output_tokens.expected,
            None if answer is None or rows.count.ceiling is None else most * rows.count.ceiling * answer,
        ),
    )


@step(check=_check, forecast=_forecast)
async def orca(
    run: Run,
    samples: Samples,
    *,
    by: RoleName = "teacher",
    second: RoleName | None = None,
    share: Annotated[float, Field(gt=0, le=1)] = 0.2,
    collection: str = "collection",
    erase_system: bool = False,
    generic: str | None = None,
    temperature: float | None = 0.7,
    max_tokens: Count | None = 2048,
    draws: Count = 2,
    window: Count = 256,
) -> Samples:
    """Answer every query under one of sixteen system messages that ask for explanations, as Orca does.

    The message is drawn from those that the query's sub-collection of FLAN allows (cot, niv2, flan2021, t0; others draw
    from a general set; the two about multiple choice are only drawn for queries with options, or with `meta.choices`).
    It becomes the row's system message, in the place of one that came with it; its number is `meta.system_message`. An
    answer that came with the query is replaced, and kept as `meta.label`. Cut, filtered and empty answers are drawn
    again and dropped as in `respond`.

    With `second`, a random share of the queries is answered by another role, too, in rows of their own that come after
    all others: the curriculum of the paper, ChatGPT's five million answers first, then GPT-4's to a fifth of the same
    queries. `meta.curriculum` is 1 or 2.

    With `erase_system` (Mitra et al. 2023, Orca 2) the drawn message is only used to ask: the row gets the `generic`
    one, or none, and `meta.system` keeps what was asked with.

    Source: Mukherjee et al. 2023, sections 3.1 and 3.2, table 2.

    Args:
        by: the role that answers every query
        second: the role that also answers a share of them
        share: the share of the queries that `second` answers, too
        collection: the key of `meta` that names a query's sub-collection
        erase_system: leave the drawn system message out of the row
        generic: the system message that stands in its place
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest answer; null leaves it to the provider
        draws: independent answers that are asked for, one after the other, until one is whole
        window: queries worked on at a time
    """
    messages = _messages(run.place)
    teachers: list[RoleName] = [by] if second is None else [by, second]

    async def explain(job: tuple[Sample, int]) -> tuple[Sample, int, list[Completion]]:
        sample, copy = job
        key = sample.replace(messages=sample.prompt).id
        text = next((m.content for m in reversed(sample.prompt) if m.role == "user"), "")
        name = str(sample.meta.get(collection, "")).lower()
        choice = bool(sample.meta.get("choices")) or multiple_choice(text)
        number = run.rng("message", key, copy).choice(allowed(name, choice))
        both = run.rng("second", key, copy).random() < share
        prompt = _under(messages[number - 1].content, sample.prompt)
        found = []
        for place, role in enumerate(teachers[: 1 + both]):
            found.append(
                await whole(
                    run,
                    prompt,
                    by=role,
                    draw=(copy * 2 + place) * draws,
                    draws=draws,
                    temperature=temperature,
                    max_tokens=max_tokens,
                )
            )
        return sample, number, found

    drawn: Counter[int] = Counter()
    later: list[Sample] = []
    jobs = run.map(explain, numbered(samples), window=max(run.window(window, role) for role in teachers))
    async for sample, number, found in jobs:
        drawn[number] += 1
        message = messages[number - 1].content
        asked = sample.replace(messages=_under(message, sample.prompt), rejected=None)
        asked = asked.note(recipe="orca", system_message=number)
        if sample.answered:
            asked = asked.note(label=sample.output)
        run.made(len(found) - 1)
        for place, completion in enumerate(found):
            row = asked if second is None else asked.note(curriculum=place + 1)
            if place:
                row = row.replace(parents=(*sample.parents, sample.id))
            try:
                row = row.answer(usable(completion))
            except ParseError as fault:
                run.drop(row, fault.reason, detail=fault.detail, request=completion.key)
                continue
            if erase_system:
                row = row.replace(messages=_under(generic or "", row.messages)).note(system=message)
            row = run.trace(row, completion)
            if place:
                later.append(row)
            else:
                yield row
    for row in later:
        yield row
    run.note(system_messages={str(number): drawn[number] for number in sorted(drawn)})


def _under(system: str, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages under that system message, which may be none, and no other."""
    rest = tuple(message for message in messages if message.role != "system")
    return (Message("system", system), *rest) if system else rest
