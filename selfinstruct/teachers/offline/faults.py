"""What goes wrong, on purpose: plausible wrong answers, and malformed material as real models write it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from selfinstruct.teachers.offline import material
from selfinstruct.teachers.offline.catalog import check
from selfinstruct.teachers.offline.family import Task, normal

_NUMBER = re.compile(r"\d+")
_FLIPS = {"yes": "No", "no": "Yes", "true": "False", "false": "True", "valid": "invalid", "invalid": "valid"}


def mistake(task: Task, rng: Random, labels: Sequence[str] = ()) -> str:
    """An answer to `task` that is wrong in every form that the family allows."""
    for _ in range(8):
        answer = slip(task.output, rng, labels)
        if check(task.instruction, task.input, answer) is False:
            return answer
    return task.output + " or so"


def slip(answer: str, rng: Random, labels: Sequence[str] = ()) -> str:
    """Another answer of the kind people and models give: the other label, a list out of order, a number off by one."""
    others = [label for label in labels if normal(label) != normal(answer)]
    if others:
        return rng.choice(others)
    if answer.lower() in _FLIPS:
        return _FLIPS[answer.lower()]
    for _ in range(8):
        wrong = _slip(answer, rng)
        if normal(wrong, case=True) != normal(answer, case=True) and normal(wrong) != normal(answer):
            return wrong
    return answer + " 1" if answer[-1:].isdigit() else answer + "s"


def _slip(answer: str, rng: Random) -> str:
    for gap in ("\n", ", ", " "):
        items = answer.split(gap)
        if len(items) > 1 and (gap != " " or len(items) > 2):
            return gap.join(_shuffled(items, rng))
    found = list(_NUMBER.finditer(answer))
    if found:
        spot = rng.choice(found)
        return answer[: spot.start()] + _misread(spot.group(), rng) + answer[spot.end() :]
    return _misspelt(answer, rng)


def _shuffled(items: list[str], rng: Random) -> list[str]:
    spot = rng.randrange(len(items) - 1)
    kind = rng.random()
    if kind < 0.5:
        return [*items[:spot], items[spot + 1], items[spot], *items[spot + 2 :]]
    if kind < 0.8:
        return items[:spot] + items[spot + 1 :]
    changed = _misread(items[spot], rng) if items[spot].isdigit() else items[spot + 1]
    return [*items[:spot], changed, *items[spot + 1 :]]


def _misread(digits: str, rng: Random) -> str:
    """Another number of the same look: off by one, off by ten, two digits exchanged."""
    value = int(digits)
    kind = rng.random()
    if kind < 0.2 and len(digits) > 1 and digits[-1] != digits[-2] and not digits.startswith("0"):
        return digits[:-2] + digits[-1] + digits[-2]
    value += rng.choice((-1, 1, 2)) if kind < 0.75 or value < 10 else rng.choice((-10, 10))
    return str(abs(value)).zfill(len(digits))


def _misspelt(word: str, rng: Random) -> str:
    if len(word) < 3:
        return word + word[-1:]
    spot = rng.randrange(len(word) - 1)
    if rng.random() < 0.5:
        return word[:spot] + word[spot + 1] + word[spot] + word[spot + 2 :]
    return word[: spot + 1] + word[spot + 2 :]


@dataclass(frozen=True, slots=True)
class Draft:
    """One task as it will be written out. The flags say how the layout is broken."""

    instruction: str
    input: str
    output: str
    without: str = ""  # the label or key that is left out
    number: int = 0  # added to the task's number
    doubled: bool = False  # its separator is written twice

    @classmethod
    def of(cls, task: Task) -> Draft:
        return cls(task.instruction, task.input, task.output)


_UNDOABLE = (
    "Draw a picture of {place} in {city} at night.",
    "Play the audio file of {name}'s speech about {subject}.",
    "Plot a graph of the visitors of {place} over one year.",
    "Look at the image of {event} and say how many people it shows.",
    "Make a short video about {subject} for {event}.",
    "Create a flowchart for {project} at {place}.",
    "Open the map of {city} and mark {place}.",
    "Compose music for {event} in {city}.",
    "Go to {place} in {city} and ask for the opening hours.",
    "Sketch a diagram that explains {subject} to my {relative}.",
)
_SHORT = (
    "Tell me.",
    "Continue the list.",
    "Sort it.",
    "Explain {subject}.",
    "Help {name}.",
    "Count again, please.",
)
_PROGRAM = (
    "Write a program that keeps the members of {place} in {city}.",
    "Write a program to plan {event}.",
    "Write a program that tests a pupil in {subject}.",
)
_PUNCTUATED = ("- ", "* ", "(a) ", '"', "... ", "#1 ")
_FOREIGN = ("“", "¿", "• ", "É", "→ ", "«")
_PLACEHOLDERS = (
    "[insert text here]",
    "<your text>",
    "Input text goes here.",
    "N/A",
    "[LIST]",
    "...",
    "{input}",
)
_REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "As an AI language model, I cannot do this task.",
    "I am unable to answer this question without more information.",
    "Sorry, I don't have access to that.",
)
_EXTRAS = ("again", "please", "now", "for me", "carefully", "once more")


def _filled(template: str, rng: Random) -> str:
    slots: dict[str, str] = {}
    material.complete(slots, re.findall(r"\{(\w+)\}", template), rng)
    return template.format_map(slots)


def _asks(templates: Sequence[str], output: str) -> Callable[[Draft, Random], Draft]:
    return lambda draft, rng: Draft(_filled(rng.choice(templates), rng), "", output)


def _too_long(draft: Draft, rng: Random) -> Draft:
    story = " ".join(material.sentence(rng) for _ in range(26))
    return replace(draft, instruction=f"{story} {draft.instruction}")


def _starts(marks: Sequence[str]) -> Callable[[Draft, Random], Draft]:
    return lambda draft, rng: replace(draft, instruction=rng.choice(marks) + draft.instruction)


# Faults of the content, in any format. Each is named after what it makes.
CONTENT: dict[str, Callable[[Draft, Random], Draft]] = {
    "undoable": _asks(_UNDOABLE, "Done."),
    "too_short": _asks(_SHORT, "Here it is."),
    "too_long": _too_long,
    "punctuation": _starts(_PUNCTUATED),
    "non_ascii": _starts(_FOREIGN),
    "program": _asks(_PROGRAM, "items = []"),
    "empty_output": lambda draft, _: replace(draft, output=""),
    "echo": lambda draft, _: replace(draft, output=draft.input or draft.instruction),
    "placeholder": lambda draft, rng: replace(draft, input=rng.choice(_PLACEHOLDERS)),
    "refusal": lambda draft, rng: replace(draft, output=rng.choice(_REFUSALS)),
}
# Faults of the layout. For JSON a slipped number and a doubled separator mean nothing; see `alpaca.py`.
LAYOUT: dict[str, Callable[[Draft, Random], Draft]] = {
    "no_input": lambda draft, _: replace(draft, without="input"),
    "no_output": lambda draft, _: replace(draft, without="output"),
    "number": lambda draft, rng: replace(draft, number=rng.choice((-1, 1, 10))),
    "doubled": lambda draft, _: replace(draft, doubled=True),
}
TWIN = "near_duplicate"
KINDS = (*CONTENT, *LAYOUT, TWIN)


def twin(draft: Draft, rng: Random) -> Draft:
    """The same task in nearly the same words: ROUGE-L F against the first is above 0.7 for four words or more."""
    words = draft.instruction.split(" ")
    spot = rng.randrange(1, len(words))
    return replace(draft, instruction=" ".join([*words[:spot], rng.choice(_EXTRAS), *words[spot:]]))


def spoil(draft: Draft, earlier: Sequence[Draft], rng: Random) -> Draft:
    """`draft` with one fault; a near-duplicate copies one of the `earlier` drafts of the same completion."""
    kind = rng.choice(KINDS)
    if kind == TWIN:
        return twin(rng.choice(earlier) if earlier else draft, rng)
    return (CONTENT.get(kind) or LAYOUT[kind])(draft, rng)
