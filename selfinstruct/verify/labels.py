"""The label, of a given set, that an answer ends with."""

from __future__ import annotations

import re
from collections.abc import Sequence

from selfinstruct.errors import ParseError
from selfinstruct.verify.final import last_line, statements

_DRESS = " \t*_`\"'“”«»()[]{}$\\"
_DENIED = re.compile(
    r"(?:\b(?:not|no|never|neither|nor|isn't|isn’t)|不是|非)\s{0,3}(?:an?\s|the\s)?[\"'“(]?$", re.IGNORECASE
)


def label(text: str, labels: Sequence[str]) -> str:
    """The one of `labels` that `text` ends with: in what it says is its answer, else in its last line, else anywhere.

    A statement that begins with a label means that one; otherwise it must hold exactly one. "not spam" is not spam, and
    "equal" is not found inside "not equal" where both are labels.

    Raises ParseError: `no_answer`, `two_answers`.
    """
    for said in (*reversed(statements(text)), last_line(text), text):
        found = _found(said, labels)
        if found:
            if len(found) > 1:
                raise ParseError("two_answers", ", ".join(found))
            return found[0]
    raise ParseError("no_answer", text.strip()[-80:])


def _found(said: str, labels: Sequence[str]) -> list[str]:
    """The labels of a statement, each once; the one that it begins with alone, where it begins with one."""
    said = said.strip(_DRESS + ".:")
    taken: list[tuple[int, int, str]] = []
    for each in sorted(labels, key=lambda label: (-len(label), label)):  # "not equal" before "equal"
        for match in _whole(each).finditer(said):
            if all(match.end() <= start or match.start() >= end for start, end, _ in taken):
                taken.append((match.start(), match.end(), each))
    meant = [each for each in taken if not _DENIED.search(said[max(0, each[0] - 20) : each[0]])]
    first = [each for start, _, each in meant if start == 0]
    return first or sorted({each for _, _, each in meant})


def _whole(label: str) -> re.Pattern[str]:
    """The label as a word of its own. One letter counts in its own case: "a" is an article, "A" an option."""
    flags = 0 if len(label) == 1 else re.IGNORECASE
    before = r"(?<!\w)" if label[:1].isascii() else ""
    after = r"(?!\w)" if label[-1:].isascii() else ""
    return re.compile(before + re.escape(label) + after, flags)
