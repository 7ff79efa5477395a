"""Continues a chat template with the user's turn, and labels instructions with difficulty, quality and category."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from selfinstruct.teachers.offline import code, dates, lists, money, numbers, records, rules, units
from selfinstruct.teachers.offline.catalog import recognise, solve
from selfinstruct.teachers.offline.drills import DRILLS
from selfinstruct.teachers.offline.family import GAP, Family
from selfinstruct.teachers.offline.faults import Draft
from selfinstruct.teachers.offline.part import Answer, Asked, Writer
from selfinstruct.teachers.offline.said import contract, marked, said
from selfinstruct.teachers.prequery import TEMPLATES, Template

_ABOUT = {"programming": code.FAMILIES, "mathematics": (*numbers.FAMILIES, *money.FAMILIES)}
_CATEGORIES = (
    ("Coding & Debugging", code.FAMILIES),
    ("Math", (*numbers.FAMILIES, *money.FAMILIES, *units.FAMILIES)),
    ("Reasoning", (*dates.FAMILIES, *rules.FAMILIES)),
    ("Data analysis", (*records.FAMILIES, *lists.FAMILIES)),
)
_CATEGORY = {family.name: name for name, families in _CATEGORIES for family in families}
_DRILLS = {family.name for family in DRILLS}
_GREETINGS = ("Hello!", "Hi there! How can I help you today?", "Hey, how are you?", "Good morning")
_THANKS = ("Thank you!", "Thanks, that helps a lot.", "Great, thank you so much!")
_QUALITIES = ("very poor", "poor", "average", "good", "excellent")
_LEVELS = ("very easy", "easy", "medium", "hard", "very hard")


def continued(asked: Asked) -> Answer | None:
    """The user's turn, where a chat template is open for one."""
    text = asked.request.text
    if text is None:
        return None
    template = next((each for each in TEMPLATES if text.endswith(each.user[0])), None)
    if template is None:
        return None
    draft = _writer(asked.writer, text).drafts(1, asked.rng)[0]
    turn = draft.instruction + (GAP + draft.input if draft.input else "")
    if asked.rng.random() >= asked.writer.malformed:
        return Answer(turn)
    return asked.rng.choice(_FAULTS)(turn, draft, template, text, asked.rng)


def _writer(writer: Writer, text: str) -> Writer:
    """Of the writer's families those that the system message asks for."""
    wanted: tuple[Family, ...] = next((families for word, families in _ABOUT.items() if word in text), ())
    names = {family.name for family in writer.families}
    chosen = [family for family in wanted if family.name in names]
    return Writer(chosen or writer.families, writer.wrong, writer.malformed)


_Fault = Callable[[str, Draft, Template, str, Random], Answer]


def _greets(turn: str, draft: Draft, template: Template, text: str, rng: Random) -> Answer:
    said_before = template.assistant[0] in text
    return Answer(rng.choice(_THANKS if said_before else _GREETINGS))


def _leaks(turn: str, draft: Draft, template: Template, text: str, rng: Random) -> Answer:
    """Goes on with the next turn; the marks are left out, as servers do."""
    return Answer(f"{turn}assistant\n\n{solve(draft.instruction, draft.input) or draft.output}")


def _marks(turn: str, draft: Draft, template: Template, text: str, rng: Random) -> Answer:
    """Goes on with the next turn, marks and all."""
    return Answer(turn + template.user[1] + template.assistant[0] + draft.output)


def _repeats(turn: str, draft: Draft, template: Template, text: str, rng: Random) -> Answer:
    return Answer("system\n\n" + (template.default or "You are a helpful assistant."))


def _cut(turn: str, draft: Draft, template: Template, text: str, rng: Random) -> Answer:
    return Answer(turn[: max(len(turn) // 2, 1)], cut=True)


def _open(turn: str, draft: Draft, template: Template, text: str, rng: Random) -> Answer:
    return Answer(draft.instruction.rstrip(".?!:") + ":")


def _speaks(turn: str, draft: Draft, template: Template, text: str, rng: Random) -> Answer:
    return Answer(f"Sure! Here is what you asked for: {draft.output}")


_FAULTS: tuple[_Fault, ...] = (_greets, _leaks, _marks, _repeats, _cut, _open, _speaks)


def tagged(asked: Asked) -> Answer | None:
    """A label for an instruction."""
    form = contract(asked)
    kind = next((each for each in ("difficulty", "quality", "category") if f'"{each}": "' in form), None)
    instruction = marked(asked.last, "instruction") if kind else None
    if kind is None or instruction is None:
        return None
    found = recognise(instruction)
    family = found[0].name if found else ""
    if kind == "difficulty":
        level = 0 if family in _DRILLS else min(1 + len(instruction.split()) // 15, 4)
        level = _slipped(level, asked)
        return said(
            asked,
            {
                "intent": f"The user wants a task of the kind {family or 'unknown'} done.",
                "knowledge": "How such a task is computed." if family else "That is not known to me.",
                "difficulty": _LEVELS[level],
            },
        )
    if kind == "quality":
        level = (4 if len(instruction.split()) > 8 else 3) if family else 1
        told = "It can be computed as it stands." if family else "I can't tell what is to be computed."
        return said(asked, {"explanation": told, "quality": _QUALITIES[_slipped(level, asked)]})
    category = _CATEGORY.get(family, "Editing") if family else "Others"
    return said(asked, {"category": category, "others": []})


def _slipped(level: int, asked: Asked) -> int:
    """One level off at a quarter of the rate of wrong answers."""
    if asked.rng.random() >= asked.writer.wrong / 4:
        return level
    return level - 1 if level else 1
