"""The label, of a given set, that an answer ends with."""

from __future__ import annotations

import re
from collections.abc import Sequence

from selfinstruct.errors import ParseError
from selfinstruct.verify.final import statements

_MARKS = tuple(".,:;!)]—。，：、")
_DRESS = " \t*_`\"'“”«»()[]{}$\\.:!。"
_DENIED = re.compile(
    r"(?:\b(?:not|no|never|neither|nor|isn't|isn’t)|不是|非)\s{0,3}(?:an?\s|the\s)?[\"'“(]?$", re.IGNORECASE
)


def label(text: str, labels: Sequence[str]) -> str:
    """The one of `labels` that `text` gives as its answer: what it says is its answer, else how its first or its last
    line begins ("Yes, because...") or ends ("So it is spam.").

    A statement that begins with a label means that one; otherwise it must hold exactly one. "not spam" is not spam, "no
    idea" is not no, and "equal" is not found inside "not equal" where both are labels.

    Raises ParseError: `no_answer`, `two_answers`.
    """
    for said in reversed(statements(text)):
        found = _meant(said.strip(_DRESS), labels)
        if found:
            begins = found[0][0] == 0
            return _one([each for _, _, each in (found[:1] if begins else found)])
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
    return [
        each
        for start, end, each in _meant(line, labels)
        if end == len(line) or (start == 0 and line[end : end + 1] in _MARKS)
    ]


def _meant(said: str, labels: Sequence[str]) -> list[tuple[int, int, str]]:
    """Where the labels stand in a statement, in order, but for those that are denied."""
    taken: list[tuple[int, int, str]] = []
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
