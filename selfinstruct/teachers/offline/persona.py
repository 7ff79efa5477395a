"""Writes the instructions for a cell of a grid, and the persona behind a text.

The tasks are of the families at hand, whatever the cell says: a procedural teacher has no domains.
"""

from __future__ import annotations

import re

from selfinstruct.teachers.offline import material
from selfinstruct.teachers.offline.family import GAP
from selfinstruct.teachers.offline.part import Answer, Asked
from selfinstruct.teachers.offline.said import contract, marked, said

_COUNT = re.compile(r"exactly (\d{1,3}) text")
_WORD = re.compile(r"[^\W\d_]{5,30}")


def written(asked: Asked) -> Answer | None:
    """As many instructions as are asked for."""
    form = contract(asked)
    if '"instructions": [' not in form:
        return None
    count = _COUNT.search(form)
    k = int(count[1]) if count else 1
    drafts = asked.writer.drafts(k, asked.rng)
    texts = [draft.instruction + (GAP + draft.input if draft.input else "") for draft in drafts]
    if asked.rng.random() < asked.writer.malformed:
        place = asked.rng.randrange(len(texts))
        texts[place] = asked.rng.choice(("", f"For this persona: {texts[place]}", texts[0]))
    return said(asked, {"instructions": texts})


def imagined(asked: Asked) -> Answer | None:
    """Somebody who would read or write a text."""
    text = marked(asked.last, "text") if '"persona": "' in contract(asked) else None
    if text is None:
        return None
    words = sorted(set(_WORD.findall(text))) or ["puzzles"]
    rng = asked.rng
    place, subject = rng.choice(material.PLACES), rng.choice(material.SUBJECTS)
    told = f"Somebody who works at {place}, studies {subject} in the evenings"
    return said(asked, {"persona": f"{told} and cares about {rng.choice(words).lower()}."})
