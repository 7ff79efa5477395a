"""Answers the last message of a conversation, by the family that its task belongs to."""

from __future__ import annotations

from random import Random

from selfinstruct.teachers.offline.catalog import recognise
from selfinstruct.teachers.offline.family import Task
from selfinstruct.teachers.offline.faults import mistake
from selfinstruct.teachers.offline.part import Asked

REFUSAL = (
    "I'm sorry, but I can't answer that. I am a procedural teacher, not a language model, "
    "and this is not one of the tasks that I can compute."
)


def respond(asked: Asked) -> str:
    """The right answer, or a wrong one at the set rate; a refusal where no family knows the task."""
    return answered(asked.last, asked.rng, asked.writer.wrong)


def answered(question: str, rng: Random, wrong: float) -> str:
    """What it answers to a question."""
    found = recognise(question)
    answer = found[0].answer(found[1]) if found else None
    if found is None or answer is None:
        return REFUSAL
    if rng.random() < wrong:
        return mistake(Task(question, "", answer, found[0].name), rng, found[0].labels)
    return answer
