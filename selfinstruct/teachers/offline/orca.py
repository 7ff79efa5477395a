"""Explains its answers where the system message asks for explanations."""

from __future__ import annotations

import re

from selfinstruct.teachers.offline.catalog import recognise
from selfinstruct.teachers.offline.family import FINALLY
from selfinstruct.teachers.offline.part import Answer, Asked
from selfinstruct.teachers.offline.reasoning import solution
from selfinstruct.teachers.offline.respond import answered

_WANTED = re.compile(r"\b(?:explain|detail|detailed|justify|why|reason)\b", re.IGNORECASE)


def explained(asked: Asked) -> Answer | None:
    """A worked explanation that ends in `The answer is: ...`; only for tasks of its families."""
    system = [message.content for message in asked.request.messages if message.role == "system"]
    if not system or not _WANTED.search(system[0]):
        return None
    found = recognise(asked.last)
    if found is None or found[0].answer(found[1]) is None:
        return None
    answer = answered(asked.last, asked.rng, asked.writer.wrong)
    return Answer(f"{solution(*found, answer, asked.rng)}\n\n{FINALLY}: {answer}")
