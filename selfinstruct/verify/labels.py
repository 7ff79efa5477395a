"""The label, of a given set, that an answer ends with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from selfinstruct.errors import ParseError
from selfinstruct.verify.final import statements

_Place = tuple[int, int, str]  # from where to where in a text a label stands, and which

_MARKS = tuple(".,:;!)]—。，：、")
_DRESS = " \t*_`\"'“”«»()[]{}$\\.:!。"
_DENIED = re.compile(
    r"(?:\b(?:not|no|never|neither|nor|isn't|isn’t|pas|non|nicht|kein(?:e[mnrs]?)?|не|ليس|ليست|غير)\b|[不没沒非无無未]是?)"
    r"\s{0,3}(?:an?\s|the\s)?[\"'“(]?$",
    re.IGNORECASE,
)
_OR = re.compile(r"[^\w/]{0,9}(?:(?:or|and|ou|et|oder|und|или|и|أو)\b|[或和及/])[^\w/]{0,9}", re.IGNORECASE)


def label(text: str, labels: Sequence[str]) -> str:
    """The one of `labels` that `text` gives as its answer: what it says is its answer, else how its first or its last
    line begins ("Yes, because...") or ends ("So it is spam.").

    A statement that begins with a label means that one; otherwise it must hold exactly one. "not spam" is not spam, "no
    idea" is not no, "yes or no" is neither, and "equal" is not found inside "not equal" where both are labels.

    Raises ParseError: `no_answer`, `two_answers`.
    """
    for said in (each.strip(_DRESS) for each in reversed(statements(text))):
        found = _meant(said, labels)
        if found:
            begins = found[0][0] == 0
            return _one(_with_others(said, found, found[:1]) if begins else [each for _, _, each in found])
    lines = text.strip().splitlines()
    return _one([each for line in (*lines[:1], *lines[-1:]) for each in _edges(line.strip(_DRESS), labels)])


def _one(found: Sequence[str]) -> str:
    if len(set(found)) > 1:
        raise ParseError("two_answers", ", ".join(sorted(set(found))))
    if not found:
        raise ParseError("no_answer")
    return found[0]


def _edges(line: str, labels: Sequence[str]) -> list[str]:
    """The labels that a line begins with, a punctuation mark behind it, or ends with."""
    found = _meant(line, labels)
    at_edges = [
        each
        for each in found
        if each[1] == len(line) or (each[0] == 0 and line[each[1] : each[1] + 1] in _MARKS)
    ]
    return _with_others(line, found, at_edges)


def _with_others(said: str, found: Sequence[_Place], chosen: Sequence[_Place]) -> list[str]:
    """The labels chosen of those found, and any that an "or" or "and" puts beside one of them."""
    joined = [pair for pair in pairwise(found) if _OR.fullmatch(said[pair[0][1] : pair[1][0]])]
    return [
        *(each[2] for each in chosen),
        *(each[2] for pair in joined if {*pair} & {*chosen} for each in pair),
    ]


def _meant(said: str, labels: Sequence[str]) -> list[_Place]:
    """Where the labels stand in a statement, in order, but for those that are denied."""
    taken: list[_Place] = []
    for each in sorted(labels, key=lambda label: (-len(label), label)):  # "not equal" before "equal"
        for match in _whole(each).finditer(said):
            if all(match.end() <= start or match.start() >= end for start, end, _ in taken):
                taken.append((match.start(), match.end(), each))
    return sorted(each for each in taken if not _DENIED.search(said[max(0, each[0] - 20) : each[0]]))


def _whole(label: str) -> re.Pattern[str]:
    """The label as a word of its own. One letter counts in its own case: "a" is an article, "A" an option."""
    flags = 0 if len(label) == 1 else re.IGNORECASE
    before = r"(?<!\w)" if label[:1].isascii() else ""
    after = r"(?!\w)" if label[-1:].isascii() else ""
    return re.compile(before + re.escape(label) + after, flags)
