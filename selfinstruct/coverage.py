"""What a set of tasks covers, coarsely: how they begin, what kind they are, which seed tasks they lie near.

`opening` and `Regions` work in any script. `kind` reads English; other tasks are of the kind `other`.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from selfinstruct.text import words

Item = TypeVar("Item")

_POLITE = frozenset(
    (
        "please",
        "kindly",
        "can",
        "could",
        "would",
        "will",
        "you",
        "help",
        "me",
        "i",
        "want",
        "need",
        "to",
        "let's",
    )
)


def opening(text: str) -> str:
    """The word that a task begins with, politeness left out: for nearly every task its verb or question word."""
    found = words(text[:400])
    start = 0
    while start < len(found) - 1 and start < 5 and found[start] in _POLITE:
        start += 1
    if start and found[start - 1] in ("can", "will", "could", "would"):  # "Will it rain?" is a question
        start -= 1
    return found[start] if found else ""


# In this order; the first that fits is the kind. Each is about what is to be done, not what it is about.
_KINDS = (
    (
        "code",
        r"\b(?:python|java(?:script)?|typescript|c\+\+|sql|html|css|bash|regex|regular expressions?|unit tests?"
        r"|source code|pseudo-?code|code|function|algorithm|program(?:ming)?|script|debug|compiler|json schema|api)\b",
    ),
    (
        "mathematics",
        r"\b(?:calculate|compute|solve|equation|integral|derivative|probability|percent(?:age)?|how (?:much|many)|prove"
        r"|sum of|average|prime|triangle|square root|fractions?|divided by|multipl(?:y|ied))\b|\d\s*[-+*/^=]\s*\d",
    ),
    (
        "translation",
        r"\b(?:translat(?:e|ion)|(?:in|into|to) (?:spanish|french|german|chinese|italian|english))\b",
    ),
    (
        "classification",
        r"\b(?:classif(?:y|ication)|categori[sz]e|label|is (?:this|the|it)\b.{1,80}\bor\b|true or false|yes or no"
        r"|sentiment|positive or negative|which (?:category|class|label))\b",
    ),
    ("summary", r"\b(?:summari[sz]e|summary|condense|shorten|tl;dr|key points?|in one sentence|gist)\b"),
    (
        "rewriting",
        r"\b(?:rewrite|rephrase|paraphrase|edit|correct|proofread|reword|convert|turn (?:this|the)|improve|simplify"
        r"|grammar|reorder|replace|format|adapt)\b",
    ),
    (
        "extraction",
        r"\b(?:extract|identify|find (?:all|the)|pull|locate|highlight|underline|from the (?:text|passage|paragraph)"
        r"|based on the (?:text|passage))\b",
    ),
    (
        "writing",
        r"\b(?:write|compose|draft|story|poem|essay|letter|e-?mail|blog|speech|dialogue|lyrics|slogan|script|haiku"
        r"|character|pretend|imagine|act as|role-?play)\b",
    ),
    (
        "list",
        r"\b(?:list|name|suggest|brainstorm|ideas?|give (?:me )?(?:\w+ )?(?:examples?|tips|ways)|recommend)\b",
    ),
    ("plan", r"\b(?:plan|schedule|design|outline|create|develop|build|organi[sz]e|prepare|steps to)\b"),
    ("question", r"^(?:what|why|how|when|where|who|which|whose|is|are|do|does|did|can|should)\b|\?\s*$"),
    (
        "explanation",
        r"\b(?:explain|describe|compare|discuss|analy[sz]e|define|difference|interpret|evaluate)\b",
    ),
)
_RULES = tuple((name, re.compile(rule, re.IGNORECASE)) for name, rule in _KINDS)


def kind(text: str) -> str:
    """What is to be done, by the first of twelve rules over English words that fits, else `other`."""
    shown = text[:2_000]
    return next((name for name, rule in _RULES if rule.search(shown)), "other")


class Regions:
    """The neighbourhoods of the seed tasks: a task lies in that of the seed with which it shares most, words counting
    by their rarity among the seeds (cosine over inverse document frequencies; Spärck Jones 1972). Words are cut as in
    `text.words`, so any script will do.
    """

    def __init__(self, seeds: Sequence[str]) -> None:
        cut = [set(words(seed)) for seed in seeds]
        frequency = Counter(word for found in cut for word in found)
        self._weight = {word: math.log(1 + len(seeds) / count) ** 2 for word, count in frequency.items()}
        self._seeds: dict[str, list[int]] = defaultdict(list)
        for place, found in enumerate(cut):
            for word in sorted(found):
                self._seeds[word].append(place)
        self._length = [math.sqrt(math.fsum(self._weight[word] for word in found)) for found in cut]

    def of(self, text: str) -> int | None:
        """The place of the seed that a text is nearest to, the first of equals; None when they share no word."""
        shared: dict[int, float] = defaultdict(float)
        for word in sorted(set(words(text))):
            for place in self._seeds.get(word, ()):
                shared[place] += self._weight[word]
        if not shared:
            return None
        return max(sorted(shared), key=lambda place: shared[place] / self._length[place])


class Coverage:
    """What tasks cover beside the seed tasks that they were made from. `add` the tasks one by one."""

    def __init__(self, seeds: Sequence[str]) -> None:
        self._seeds = tuple(seeds)
        self._regions = Regions(seeds)
        self.near = [0] * len(seeds)  # tasks in the region of each seed
        self._openings: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._count = 0

    def region(self, text: str) -> int | None:
        return self._regions.of(text)

    def add(self, text: str) -> None:
        self._count += 1
        self._openings[opening(text)] += 1
        self._kinds[kind(text)] += 1
        region = self._regions.of(text)
        if region is not None:
            self.near[region] += 1

    def fact(self) -> dict[str, Any]:
        """JSON figures for the run's summary: counts of the seeds and of the tasks, side by side."""
        known = Counter(map(opening, self._seeds))
        before = Counter(map(kind, self._seeds))
        names = sorted({*before, *self._kinds}, key=lambda name: (-self._kinds[name], -before[name], name))
        return {
            "seeds": len(self._seeds),
            "tasks": self._count,
            "openings": {
                "seeds": len(known),
                "tasks": len(self._openings),
                "new": len(self._openings.keys() - known.keys()),
                "most": dict(sorted(self._openings.items(), key=lambda item: (-item[1], item[0]))[:8]),
            },
            "kinds": {name: [before[name], self._kinds[name]] for name in names},
            "regions": {
                "reached": sum(count > 0 for count in self.near),
                "fullest": max(self.near, default=0),
                "elsewhere": self._count - sum(self.near),
            },
        }


def sparse(rng: random.Random, items: Sequence[Item], crowd: Iterable[int], k: int) -> list[Item]:
    """`k` different items, the likelier the fewer tasks lie in their region: an item with c of them has a weight of
    1 / (1 + c) (weighted drawing without replacement: Efraimidis and Spirakis 2006).
    """
    # the logarithms of their keys: the keys themselves are too small for a float once a region is full
    waits = [rng.expovariate(1.0) * (1 + count) for count in crowd]
    ranked = sorted(range(len(items)), key=waits.__getitem__)
    return [items[place] for place in ranked[:k]]
