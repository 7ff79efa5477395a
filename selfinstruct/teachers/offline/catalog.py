"""All families, and what can be done with them: make tasks, solve them, check an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from random import Random

from selfinstruct.errors import ConfigError, DataError, nearest
from selfinstruct.teachers.offline import (
    code,
    compose,
    dates,
    lists,
    money,
    numbers,
    records,
    rules,
    text,
    units,
    words,
)
from selfinstruct.teachers.offline.drills import DRILLS
from selfinstruct.teachers.offline.family import GAP, Family, Phrasing, Slots, Task, unframed, words_of

_TOPICS = (words, lists, text, numbers, money, units, dates, rules, records, code)
_GENERAL = tuple(family for topic in _TOPICS for family in topic.FAMILIES)
FAMILIES: Mapping[str, Family] = {family.name: family for family in (*DRILLS, *_GENERAL)}
SETS: Mapping[str, tuple[Family, ...]] = {"all": tuple(FAMILIES.values()), "drills": DRILLS}

_PATIENCE = 500  # draws in a row without a new prompt after which a family counts as used up

_PHRASINGS: tuple[tuple[Family, Phrasing], ...] = tuple(
    (family, phrasing) for family in FAMILIES.values() for phrasing in family.phrasings
)


def _by_word() -> dict[str, list[int]]:
    """Phrasings (by place) under the word that the fewest phrasings have: a text is tried on few of them."""
    common = Counter(word for _, phrasing in _PHRASINGS for word in set(phrasing.words))
    index: dict[str, list[int]] = {}
    for place, (_, phrasing) in enumerate(_PHRASINGS):
        index.setdefault(min(phrasing.words, key=lambda word: (common[word], word)), []).append(place)
    return index


_INDEX = _by_word()


def choose(families: str | Sequence[str]) -> tuple[Family, ...]:
    """The families of a set (`all`, `drills`), of a name, or of several names or sets, each once.

    Raises:
        ConfigError: a name is neither a family nor a set.
    """
    chosen: dict[str, Family] = {}
    for name in [families] if isinstance(families, str) else families:
        if name not in SETS and name not in FAMILIES:
            hint = nearest(name, [*SETS, *FAMILIES])
            raise ConfigError(f"the offline teacher has no family {name!r}", hint)
        for family in SETS.get(name) or (FAMILIES[name],):
            chosen[family.name] = family
    if not chosen:
        raise ConfigError("the offline teacher needs at least one family", "families: all")
    return tuple(chosen.values())


def recognise(instruction: str, input: str = "") -> tuple[Family, Slots] | None:
    """The family that a task belongs to and what its slots hold; None for a task of no family."""
    text = (instruction.strip() + GAP + input.strip()) if input.strip() else instruction.strip()
    rest = unframed(text)
    return (_match(rest) if rest is not None else None) or _match(text) or _composed(text)


def _composed(text: str) -> tuple[Family, Slots] | None:
    """The family of a task that has requirements on its answer, or stands inside data."""
    inner, requirements = compose.read(text)
    found = recognise(inner) if inner != text else None
    return None if found is None else (compose.ComposedFamily(found[0], requirements), found[1])


def _match(text: str) -> tuple[Family, Slots] | None:
    places = sorted({place for word in words_of(text) for place in _INDEX.get(word, ())})
    for family, phrasing in (_PHRASINGS[place] for place in places):
        slots = phrasing.read(text)
        if slots is not None:
            return family, slots
    return None


def solve(instruction: str, input: str = "") -> str | None:
    """The right answer, computed; None for a task that no family knows."""
    found = recognise(instruction, input)
    return found[0].answer(found[1]) if found else None


def check(instruction: str, input: str, answer: str) -> bool | None:
    """Whether `answer` is right; None for a task that no family knows.

    Compared without regard to spacing, outer quotes, a final full stop and, where the family allows it, case.
    """
    found = recognise(instruction, input)
    if found is None or found[0].answer(found[1]) is None:
        return None
    return found[0].right(found[1], answer)


def tasks(
    n: int, *, seed: int = 0, families: str | Sequence[str] = "all", exclude: Container[str] = ()
) -> list[Task]:
    """`n` different tasks with right answers, the families in turn; no prompt is in `exclude`.

    Raises:
        ConfigError: an unknown family.
        DataError: the families do not hold `n` different tasks.
    """
    turn = [(family, Random(f"tasks:{seed}:{family.name}")) for family in choose(families)]
    found: list[Task] = []
    seen: set[str] = set()
    while len(found) < n:
        left = []
        for family, rng in turn:
            if len(found) == n:
                break
            for _ in range(_PATIENCE):
                task = family.make(rng)
                if task.prompt not in seen and task.prompt not in exclude:
                    seen.add(task.prompt)
                    found.append(task)
                    left.append((family, rng))
                    break
        if not left:
            raise DataError(
                f"{n} different tasks were asked for; these families hold {len(found)}",
                "ask for fewer, or for more families",
            )
        turn = left
    return found
