"""Reasons aloud where a final line "The answer is ..." is asked for: a few steps, then the computed answer."""

from __future__ import annotations

import re
from itertools import accumulate
from random import Random

from selfinstruct.teachers.offline.catalog import recognise
from selfinstruct.teachers.offline.family import Family, Slots, Task
from selfinstruct.teachers.offline.faults import mistake
from selfinstruct.teachers.offline.part import Answer, Asked
from selfinstruct.teachers.offline.respond import REFUSAL

_CONTRACT = re.compile(r'"The answer is [A-Z]\."')
_OPENINGS = (
    "Let me work this out step by step.",
    "Step by step:",
    "First I look at what is asked.",
    "I go through it in order.",
)
_CHECKS = (
    "That is all that is asked for.",
    "I checked it once more.",
    "Nothing else changes it.",
    "So much for the steps.",
)


def reasoned(asked: Asked) -> Answer | None:
    """Steps and the answer of the user's task; a wrong one, or none that can be read, at the set rates."""
    rules = "\n".join(message.content for message in asked.request.messages if message.role == "system")
    if not _CONTRACT.search(rules):
        return None
    question = asked.last
    found = recognise(question)
    right = found[0].answer(found[1]) if found else None
    if found is None or right is None:
        return Answer(REFUSAL)
    answer = right
    if asked.rng.random() < asked.writer.wrong:
        answer = mistake(Task(question, "", right, found[0].name), asked.rng, found[0].labels)
    text = solution(found[0], found[1], answer, asked.rng)
    if asked.writer.damaged(asked.rng):  # it stops before the answer
        return Answer(text[: len(text) // 2].rstrip(), cut=True)
    if asked.rng.random() < asked.writer.malformed:
        return Answer(text)
    return Answer(f"{text}\nThe answer is {answer}.")


def solution(family: Family, slots: Slots, answer: str, rng: Random) -> str:
    """The steps that lead to `answer`, in words that differ from draw to draw."""
    steps = _STEPS.get(family.name, _plain)(slots)
    return "\n".join([rng.choice(_OPENINGS), *steps, f"That gives {answer}. {rng.choice(_CHECKS)}"])


def _sums(slots: Slots) -> list[str]:
    numbers = [int(part) for part in slots["numbers"].split(", ")]
    totals = list(accumulate(numbers))
    return [
        f"{before} + {n} = {after}" for before, n, after in zip(totals, numbers[1:], totals[1:], strict=False)
    ]


def _mean(slots: Slots) -> list[str]:
    numbers = slots["numbers"].split(", ")
    return [*_sums(slots), f"There are {len(numbers)} numbers, so I divide by {len(numbers)}."]


def _story(slots: Slots) -> list[str]:
    n, m, k = int(slots["n"]), int(slots["m"]), int(slots["k"])
    return [f"{n} and {m} more are {n + m}.", f"Take away {k} of {n + m}."]


def _sharing(slots: Slots) -> list[str]:
    n, m = int(slots["n"]), int(slots["m"])
    return [
        f"{m} goes into {n} {n // m} times: {m} × {n // m} = {n - n % m}.",
        f"I subtract {n - n % m} from {n}.",
    ]


def _plain(slots: Slots) -> list[str]:
    return [f"Given: {'; '.join(value for _, value in sorted(slots.items()))[:300]}"]


_STEPS = {"sum": _sums, "average": _mean, "story_sum": _story, "sharing": _sharing}
