"""What a family of verifiable tasks is: phrasings with slots, a draw that fills the slots, a rule that answers them.

One rule serves both ways. Making a task fills the slots of a phrasing and applies the rule; recognising one reads the
slots back out of the text, by the regular expression made from the same phrasing, and applies the same rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from string import ascii_letters

from selfinstruct.teachers.offline import material

Slots = Mapping[str, str]

_SLOT = re.compile(r"\{([a-z]+\d?)\}")
_WORD = re.compile("[A-Za-z]+")
GAP = "\n\n"  # between instruction and input, as in `Sample.of`

WORDS = r"[a-z]+(?:, [a-z]+)+"  # two or more lower-case words, comma between
SPACED = r"[a-z]+(?: [a-z]+)+"  # the same, space between
INTS = r"-?\d+(?:, -?\d+)+"
INT = r"-?\d+"

# Patterns of slots that mean the same in every family; `name2` is read like `name`.
_COMMON: Mapping[str, str] = {
    **material.PATTERNS,
    "words": WORDS,
    "numbers": INTS,
    "n": INT,
    "m": INT,
    "k": INT,
}


@dataclass(frozen=True, slots=True)
class Task:
    """One task with its right answer; `input` is empty where the instruction says everything."""

    instruction: str
    input: str
    output: str
    family: str

    @property
    def prompt(self) -> str:
        """The one user message that asks it, as `Sample.of` builds it."""
        return self.instruction + GAP + self.input if self.input else self.instruction


class Phrasing:
    """A template such as `Reverse these words: {words}`; a blank line in it separates instruction and input."""

    def __init__(self, text: str, patterns: Mapping[str, str]) -> None:
        self.text = text
        self._parts = _SLOT.split(text)  # literal, slot, literal, slot, ..., literal
        self._patterns = patterns
        self.slots = tuple(dict.fromkeys(self._parts[1::2]))
        self._literal = max(self._parts[::2], key=len).strip()  # in any text that matches: a cheap first test
        self.words = tuple(word for part in self._marked() for word in _WORD.findall(part))

    def _marked(self) -> list[str]:
        """The literals without the letters that touch a slot, which in a text may belong to a longer word."""
        last = len(self._parts) - 1
        out = []
        for place in range(0, last + 1, 2):
            part = self._parts[place]
            part = part if place == 0 else part.lstrip(ascii_letters)
            out.append(part if place == last else part.rstrip(ascii_letters))
        return out

    def fill(self, slots: Slots) -> str:
        parts = list(self._parts)
        parts[1::2] = [slots[name] for name in parts[1::2]]
        return "".join(parts)

    @cached_property
    def source(self) -> str:
        """The regular expression of the whole text; a slot that occurs twice must read the same twice."""
        seen: set[str] = set()
        out = []
        for place, part in enumerate(self._parts):
            if place % 2 == 0:
                out.append(re.escape(part))
            elif part in seen:
                out.append(f"(?P={part})")
            else:
                seen.add(part)
                pattern = self._patterns.get(part) or _COMMON[part.rstrip("0123456789")]
                out.append(f"(?P<{part}>{pattern})")
        return "".join(out)

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile(self.source)

    @cached_property
    def opening(self) -> Phrasing | None:
        """What stands before the input, as a phrasing of its own; None where the instruction says everything."""
        instruction, gap, _ = self.text.partition(GAP)
        return Phrasing(instruction, self._patterns) if gap else None

    def read(self, text: str) -> dict[str, str] | None:
        """The slots of `text`, or None when it is not of this phrasing."""
        if self._literal not in text:
            return None
        found = self._regex.fullmatch(text)
        return found.groupdict() if found else None


class Family:
    """A kind of task whose answers can be computed.

    `draw` fills the slots that the answer needs, and more where phrasings want more; names, cities and the like are
    filled from `material` when it does not. `answer` computes the right answer from slots; it may use only slots
    that every phrasing has. `slots` gives a regular expression for each slot that is not a common one. `also` gives
    further right forms of an answer. `case` says that upper and lower case matter. `labels` are the possible answers
    of a classification. `framed` allows a sentence of context before the task.
    """

    def __init__(
        self,
        name: str,
        phrasings: Sequence[str],
        draw: Callable[[Random], dict[str, str]],
        answer: Callable[[Slots], str],
        *,
        slots: Mapping[str, str] | None = None,
        also: Callable[[Slots], Sequence[str]] | None = None,
        case: bool = False,
        labels: Sequence[str] = (),
        framed: bool = True,
    ) -> None:
        self.name = name
        self.phrasings = tuple(Phrasing(text, slots or {}) for text in phrasings)
        self.labels = tuple(labels)
        self.framed = framed
        self._draw = draw
        self._answer = answer
        self._also = also
        self._case = case

    def make(self, rng: Random, phrasing: int | None = None) -> Task:
        """A task with its right answer; `phrasing` chooses the wording, else `rng` does."""
        chosen = self.phrasings[phrasing] if phrasing is not None else rng.choice(self.phrasings)
        slots = self._draw(rng)
        material.complete(slots, chosen.slots, rng)
        instruction, _, input = chosen.fill(slots).partition(GAP)
        if self.framed and rng.random() < _FRAMED:
            instruction = frame(rng) + " " + instruction
        return Task(instruction, input, self._answer(slots), self.name)

    def given(self, instruction: str, rng: Random) -> Task | None:
        """A task of this very instruction, with an input drawn for it; None when no phrasing that has one begins so."""
        for text in (unframed(instruction), instruction):
            for phrasing in self.phrasings:
                known = phrasing.opening.read(text) if text and phrasing.opening else None
                for _ in range(_TRIES if known is not None else 0):
                    slots = {**self._draw(rng), **(known or {})}
                    material.complete(slots, phrasing.slots, rng)
                    answer = self.answer(slots)
                    if answer:
                        return Task(instruction, phrasing.fill(slots).partition(GAP)[2], answer, self.name)
        return None

    def answer(self, slots: Slots) -> str | None:
        """The right answer, or None where the slots make no sense (a 31st of February written by someone else)."""
        try:
            return self._answer(slots)
        except (ValueError, LookupError, ArithmeticError):
            return None

    def forms(self, slots: Slots) -> list[str]:
        """All right answers, the one that it gives first."""
        return [self._answer(slots), *(self._also(slots) if self._also else ())]

    def right(self, slots: Slots, text: str) -> bool:
        right = {normal(form, self._case) for form in self.forms(slots)}
        return normal(text, self._case) in right or normal(concluded(text), self._case) in right


_QUOTES = str.maketrans({"“": '"', "”": '"', "’": "'", "‘": "'"})
_LEAD = re.compile(r"(?:the )?answer(?: is)?:? ", re.IGNORECASE)


def normal(text: str, case: bool = False) -> str:
    """`text` as it is compared: spaces collapsed, plain quotes, no outer quotes, no lead-in and no final full stop."""
    text = " ".join(text.translate(_QUOTES).split())
    text = _LEAD.sub("", text, count=1) if _LEAD.match(text) else text
    text = text.rstrip(". ")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].rstrip(".")
    return text if case else text.lower()


FINALLY = "The answer is"


def concluded(text: str) -> str:
    """What an explanation comes to: the text behind its last line that begins with `The answer is`."""
    return text.rpartition("\n" + FINALLY)[2].lstrip(" :")


_TRIES = 200  # draws of an input until one fits what the instruction says
# A sentence of context before a task, as people write it. It changes nothing in the answer.
_FRAMED = 0.5  # share of tasks, of the families that allow it, that get one
_FRAMES = tuple(
    Phrasing(text, {})
    for text in (
        "{name} runs {place} in {city}.",
        "{name} teaches {subject} in {city}.",
        "I am helping {name} with {project}.",
        "This is for {event} in {city}.",
        "{name} and {name2} are planning {event}.",
        "My {relative} {name} needs this for {project}.",
        "Here is a small job for {place} in {city}.",
        "We met at {place} near {city}, and {name} asked me this.",
        "{name} is learning {subject} and wants to check an answer.",
        "For {event}, {name} prepares a quiz.",
        "I work at {place}, and my {relative} studies {subject}.",
        "{name} from {city} sent this question about {project}.",
        "During {event}, someone from {city} asked the following.",
        "Our {subject} club in {city} collects puzzles like this one.",
        "While working on {project}, {name} got stuck.",
        "{name} keeps a notebook about {subject}.",
    )
)
_FRAME_START = re.compile("|".join(f"(?:{re.sub(r'[(][?]P<[a-z0-9]+>', '(?:', f.source)} )" for f in _FRAMES))


def words_of(text: str) -> set[str]:
    """The runs of ASCII letters of a text; a text that a phrasing matches has all of `phrasing.words`."""
    return set(_WORD.findall(text))


def frame(rng: Random) -> str:
    """A sentence of context."""
    chosen = rng.choice(_FRAMES)
    slots: dict[str, str] = {}
    material.complete(slots, chosen.slots, rng)
    return chosen.fill(slots)


def unframed(text: str) -> str | None:
    """`text` without its sentence of context; None when it has none."""
    found = _FRAME_START.match(text)
    return text[found.end() :] if found else None
