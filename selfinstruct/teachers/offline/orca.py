"""Explains its answers where the system message asks for explanations."""

from __future__ import annotations

import re

from selfinstruct.teachers.offline.catalog import recognise
from selfinstruct.teachers.offline.family import FINALLY
from selfinstruct.teachers.offline.part import Answer, Asked
from selfinstruct.teachers.offline.respond import answered

_WANTED = re.compile(r"\b(?:explain|detail|detailed|justify|why|reason)\b", re.IGNORECASE)
_WAYS = (
    "This is a task of the kind {kind}. I look at what is given, apply the rule that the task names, and check "
    "the result.\n\nStep 1. What is given: {given}.\nStep 2. The rule is applied to it, piece by piece.\n"
    "Step 3. Nothing of what is given is left over, so the result stands.",
    "Let me explain. Someone asks for {kind} here, and hands over {given}. We take the pieces one after another, "
    "do with each what the task says, and put them together again.",
    "The task gives {given}. It asks for {kind}, which has one right answer: the task says how to get it, and "
    "following it to the letter leaves no choice.",
)


def explained(asked: Asked) -> Answer | None:
    """A worked explanation that ends in `The answer is: ...`; only for tasks of its families."""
    system = [message.content for message in asked.request.messages if message.role == "system"]
    if not system or not _WANTED.search(system[0]):
        return None
    found = recognise(asked.last)
    if found is None or found[0].answer(found[1]) is None:
        return None
    family, slots = found
    given = (
        "; ".join(f"{name} = {' '.join(value.split())}" for name, value in sorted(slots.items()))
        or "the words of it"
    )
    way = asked.rng.choice(_WAYS).format(kind=family.name.replace("_", " "), given=given)
    return Answer(f"{way}\n\n{FINALLY}: {answered(asked.last, asked.rng, asked.writer.wrong)}")
