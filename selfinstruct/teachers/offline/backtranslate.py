"""Finds an instruction that a text answers, by what can be counted in it, and rates such pairs by counting again."""

from __future__ import annotations

import re

from selfinstruct.teachers.offline.catalog import check
from selfinstruct.teachers.offline.part import Answer, Asked
from selfinstruct.teachers.offline.said import contract, marked, said

_FORM = re.compile(
    r'Write a text of exactly (\d{1,6}) words? that begins with "([^"\n]{1,200})" and ends with "([^"\n]{1,200})"\.'
)


def found(asked: Asked) -> Answer | None:
    """The instruction for a text."""
    text = marked(asked.last, "text") if '"instruction": "' in contract(asked) else None
    if text is None:
        return None
    words = text.split() or [text]
    count, first, last = len(words), _plain(words[0]), _plain(words[-1])
    if asked.rng.random() < asked.writer.wrong:
        count += asked.rng.choice((-1, 1, 2)) if count > 1 else 1
    many = f"{count} word{'s' * (count != 1)}"
    told = f'Write a text of exactly {many} that begins with "{first}" and ends with "{last}".'
    if asked.rng.random() < asked.writer.malformed / 2:
        told = asked.rng.choice(("Write the text above again.", "Summarise this passage.", text))
    return said(asked, {"instruction": told})


def _plain(word: str) -> str:
    return word.strip("\"'“”.,;:!?()[]{}")[:200] or word[:1].replace('"', "'")


def rated(asked: Asked) -> Answer | None:
    """The rating of a response: 5 for a right one, 2 for a wrong one, null for what can't be computed."""
    form = contract(asked)
    instruction, response = marked(asked.last, "instruction"), marked(asked.last, "response")
    if '"reason":' not in form or '"score":' not in form or instruction is None or response is None:
        return None
    right = check(instruction, "", response)
    if right is None and (asked_for := _FORM.fullmatch(instruction.strip())) is not None:
        words = response.split() or [response]
        right = (str(len(words)), _plain(words[0]), _plain(words[-1])) == asked_for.groups()
    if right is None:
        return said(asked, {"reason": "I recompute answers, and can't compute this one.", "score": None})
    if asked.rng.random() < asked.writer.wrong / 4:
        right = not right
    reason = "It is what was asked for." if right else "It is not quite what was asked for."
    return said(asked, {"reason": reason, "score": 5 if right else 2})
