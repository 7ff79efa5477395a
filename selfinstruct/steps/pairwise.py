"""pairwise: the answers to one prompt are compared two by two, in both orders."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import combinations
from typing import Any

from selfinstruct.errors import ParseError
from selfinstruct.outlook import PASS, Estimate, Outlook, asked
from selfinstruct.parse import usable
from selfinstruct.parse.judgments import Side, better
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, digest
from selfinstruct.step import Count, Samples, contests, step
from selfinstruct.teachers import Completion

SCHEMA = {
    "type": "object",
    "properties": {"better": {"type": "string", "enum": ["A", "B", "tie"]}, "reason": {"type": "string"}},
    "required": ["better", "reason"],
    "additionalProperties": False,
}
VERDICT = 40  # tokens of one, on average (assumption)
RIVALS = 4  # answers to a prompt, on average (assumption)
_OTHER: dict[Side, Side] = {"first": "second", "second": "first", "tie": "tie"}


def _frame(place: Place, aspect: str) -> tuple[Message, ...]:
    return place.prompts.render(
        "pairwise/better",
        aspect=aspect,
        fence="0" * 16,
        conversation=(Message("user", ""),),
        first="",
        second="",
    )


def _check(place: Place, *, aspect: str, by: RoleName, **_: Any) -> None:
    place.role(by)
    _frame(place, aspect)


def _forecast(
    outlook: Outlook, *, aspect: str, by: RoleName, most: int, max_tokens: int | None, **_: Any
) -> Estimate:
    estimate = asked(
        outlook,
        _frame(outlook.place, aspect),
        by=by,
        written=VERDICT,
        max_tokens=max_tokens,
        # so many others does an answer meet, each of them in two orders, and each call is for two
        calls=(min(1, most - 1), min(RIVALS, most) - 1, most - 1),
        schema=SCHEMA,
        source=f"each of {RIVALS} answers with each, in both orders; {VERDICT} tokens a verdict (assumptions)",
    )
    rows, read = estimate.rows, estimate.input_tokens
    # two answers stand in each call
    return replace(
        estimate,
        rows=replace(rows, count=rows.count.times(PASS, 1, 1)),
        input_tokens=replace(
            read,
            expected=read.expected + estimate.calls.expected * rows.tokens // 2,
            ceiling=None
            if read.ceiling is None or rows.most is None
            else read.ceiling + rows.most * (most - 1),
        ),
    )


@step(check=_check, forecast=_forecast)
async def pairwise(
    run: Run,
    samples: Samples,
    *,
    aspect: str = "overall quality",
    by: RoleName = "judge",
    most: Count = 4,
    temperature: float | None = 0.0,
    max_tokens: Count | None = 300,
    window: Count = 256,
) -> Samples:
    """Compare the answers to each prompt two by two, each two in both orders; the share of comparisons won is `wins`.

    By the rule of AlpaGasus (Chen et al. 2023, section 4) an answer wins when it wins in both orders, or in one and
    ties in the other; it ties when both verdicts are ties, or when the judge contradicts itself. A win counts 1, a tie
    a half. So a judge that favours a place, not an answer, decides nothing; the note says how often the first place
    won, and how often the two orders agreed.

    A verdict that can't be read leaves its comparison out (unread). A row in no comparison that counts has no score:
    it is dropped as alone, where no other answers its prompt, or as unscored.

    Args:
        aspect: what they are compared by
        by: the role that compares; without a `judge:` line it is the teacher
        most: of more answers to one prompt the later ones are dropped (too_many); k answers take k x (k - 1) calls
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest verdict
        window: verdicts worked on at a time
    """
    rows = [sample async for sample in samples]
    groups = list(contests(run, rows, most=most, to="compare", before="pairwise"))

    async def compare(
        item: tuple[int, int, int],
    ) -> tuple[tuple[int, int, int], Side | ParseError, Completion]:
        """Places of the group and, in it, of the answers that stand first and second."""
        number, first, second = item
        group = groups[number]
        prompt = run.render(
            "pairwise/better",
            aspect=aspect,
            # the marks are made from the rows: the same again on replay, and unknown to the rows' authors
            fence=digest([row.id for row in group])[:16],
            conversation=group[0].prompt,
            first=group[first].output,
            second=group[second].output,
        )
        completion = await run.generate(
            prompt, by=by, schema=SCHEMA, temperature=temperature, max_tokens=max_tokens
        )
        try:
            return item, better(usable(completion)), completion
        except ParseError as fault:
            return item, fault, completion

    items = [
        (number, *order)
        for number, group in enumerate(groups)
        for one, other in combinations(range(len(group)), 2)
        for order in ((one, other), (other, one))
    ]
    points: dict[tuple[int, int], list[float]] = defaultdict(list)
    seen: dict[tuple[int, int], Completion] = {}
    before: Side | ParseError = "tie"
    verdicts: list[Side] = []
    compared = agreed = unread = 0
    async for (number, first, second), verdict, completion in run.map(
        compare, items, window=run.window(window, by)
    ):
        seen.setdefault((number, first), completion)
        seen.setdefault((number, second), completion)
        if not isinstance(verdict, ParseError):
            verdicts.append(verdict)
        if first < second:
            before = verdict
            continue
        if isinstance(before, ParseError) or isinstance(verdict, ParseError):
            unread += 1
            continue
        compared += 1
        agreed += before == _OTHER[verdict]
        won = _outcome(before, _OTHER[verdict])
        points[number, second].append(won)  # it stood first before
        points[number, first].append(1 - won)
    for number, group in enumerate(groups):
        for place, row in enumerate(group):
            if (number, place) in seen:
                row = run.trace(row, seen[number, place])
            if found := points[number, place]:
                yield row.score(wins=sum(found) / len(found))
            else:
                run.drop(row, "alone" if len(group) == 1 else "unscored")
    decided = [each for each in verdicts if each != "tie"]
    leaning = decided.count("first") / len(decided) if decided else None
    run.note(
        compared=compared,
        unread=unread,
        agreed=agreed,
        first_place_wins=leaning,
        headline=f"{compared:,} comparisons; the two orders agree in {agreed / max(compared, 1):.0%}"
        + ("" if leaning is None else f", the first place wins {leaning:.0%} of what is decided"),
    )
    if unread > 0.2 * (compared + unread):
        run.note(warning=f"{unread} of {compared + unread} comparisons could not be read")


def _outcome(one: Side, other: Side) -> float:
    """What the answer gets that `first` stands for in both verdicts: 1, a half, or 0."""
    value = {"first": 1, "tie": 0, "second": -1}
    both = value[one] + value[other]
    return 1.0 if both > 0 else 0.5 if both == 0 else 0.0
