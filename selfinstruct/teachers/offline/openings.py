"""Writes topics, questions, instructions and tasks as {"items": [...]}; all but the topics are of its families."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from selfinstruct.teachers.offline import material
from selfinstruct.teachers.offline.catalog import FAMILIES, solve
from selfinstruct.teachers.offline.family import GAP, frame, unframed
from selfinstruct.teachers.offline.part import Answer, Asked, Writer
from selfinstruct.teachers.offline.said import marked

Item = TypeVar("Item")

_CONTRACT = re.compile(r"""\{\s{0,9}["']items["']\s{0,9}:""")
_COUNT = re.compile(r"\b(\d{1,3}) in all\b")
_TOPICS = re.compile(r"\AName topics\b")
_FENCED = 0.2  # answers inside a code fence, where nothing holds the model to a schema
_GENERAL = ("Sum up this text in one sentence.", "What is the text about?", "Give the text a title.")


def listed(asked: Asked) -> Answer | None:
    """The items, as one JSON object."""
    if not _CONTRACT.search(asked.text):
        return None
    rng, writer = asked.rng, asked.writer
    instruction, text = marked(asked.text, "instruction"), marked(asked.text, "text")
    count = _COUNT.search(asked.text)
    number = int(count[1]) if count else 1
    if instruction is not None:
        items = [_detailed(instruction, rng)]
    elif text is not None:
        items = _tasks(text, number, rng)
    elif _TOPICS.match(asked.text):
        items = [
            f"{subject} in {rng.choice(material.CITIES)}" for subject in _some(material.SUBJECTS, number, rng)
        ]
    else:
        items = [task.prompt for task in (family.make(rng) for family in _some(writer.families, number, rng))]
    rows: list[object] = list(items)
    for place in range(len(rows)):
        if rng.random() < writer.malformed:
            rows[place] = rng.choice(("", rows[0], *(() if asked.held else (place, None))))
    return Answer(*_written(rows, writer, rng, held=asked.held))


def _some(pool: Sequence[Item], number: int, rng: Random) -> list[Item]:
    """So many of the pool, none twice while there are others."""
    found: list[Item] = []
    while len(found) < number:
        found += rng.sample(pool, min(number - len(found), len(pool)))
    return found


def _detailed(instruction: str, rng: Random) -> str:
    """The task with a sentence of context, or with another one."""
    return f"{frame(rng)} {unframed(instruction) or instruction}"


def _tasks(text: str, number: int, rng: Random) -> list[str]:
    """Tasks of its families that work on this text, or a few that it can't do itself where there are none."""
    header, *rows = [line.split(",") for line in text.split("\n")]
    known = {"csv": text, "post": text, "message": text, "contact": text, "column": header[-1]}
    if rows:
        known["n"] = rng.choice(rows)[-1]
    found = []
    for phrasing in (phrasing for family in FAMILIES.values() for phrasing in family.phrasings):
        slots = {name: known[name] for name in phrasing.slots if name in known}
        others = [name for name in phrasing.slots if name not in slots]
        if GAP in phrasing.text and all(name.rstrip("2") in material.PATTERNS for name in others):
            material.complete(slots, others, rng)
            task, _, on = phrasing.fill(slots).partition(GAP)
            if on == text and solve(task, text) is not None:
                found.append(task)
    return (
        rng.sample(found, min(number, len(found)))
        if found
        else rng.sample(_GENERAL, min(number, len(_GENERAL)))
    )


def _written(rows: list[object], writer: Writer, rng: Random, *, held: bool) -> tuple[str, bool]:
    body = json.dumps({"items": rows}, ensure_ascii=False)
    if writer.damaged(rng):
        if held or rng.random() < 0.5:
            return body[: len(body) * 2 // 3], True
        return rng.choice(("", body[:-1], "- " + "\n- ".join(map(str, rows)))), False
    return (f"```json\n{body}\n```" if not held and rng.random() < _FENCED else body), False
