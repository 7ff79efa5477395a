"""What a teacher writes who reasons before writing a task: parts between marks; the task and its answer count."""

from __future__ import annotations

import re
from typing import NamedTuple

from selfinstruct.errors import ParseError


class Planned(NamedTuple):
    """A new task and, where one was asked for, its answer."""

    task: str
    answer: str


_META = re.compile(
    r"</?(?:analysis|plan|task|solution|answer)>"
    r"|\bseed[ ](?:task|prompt|question|instruction)s?\b"
    r"|\b(?:the|these|those|both|given)[ ](?:example|sample)[ ](?:task|prompt|question|instruction)s?\b"
    r"|\b(?:the|these|both|given)[ ]examples?[ ](?:above|given)\b"
    r"|\bnew[ ](?:task|prompt|question)\W{0,3}:",
    re.IGNORECASE,
)


def planned(text: str, *, verifiable: bool) -> Planned:
    """The task, and its answer where `verifiable`. The parts before them are the teacher's own affair.

    Raises ParseError: `no_task`, `no_answer` (a part is missing, not closed or empty), `two_tasks`, `two_answers`
    (which was meant?), `meta_words` (the task speaks of the examples, or holds marks).
    """
    task = _part(text, "task")
    found = _META.search(task)
    if found is not None:
        raise ParseError("meta_words", found[0], task)
    return Planned(task, _part(text, "answer") if verifiable else "")


def _part(text: str, name: str) -> str:
    _, opened, rest = text.partition(f"<{name}>")
    value, closed, after = rest.partition(f"</{name}>")
    if not opened or not closed or not value.strip():
        raise ParseError(f"no_{name}", text.strip()[-80:])
    if f"<{name}>" in after:
        raise ParseError(f"two_{name}s", after.strip()[:80])
    return value.strip()
