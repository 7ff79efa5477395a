"""Tasks made of tasks: a family's task with requirements on its answer, or as one of two tasks inside data of a format.

A composed task is read back like any other: its requirements stand at its end, line by line, in wordings that are
known here, and each turns the answer of what is left into the answer of the whole.
"""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import NamedTuple

from selfinstruct.teachers.offline import material
from selfinstruct.teachers.offline.family import Family, Slots, normal, unframed


class Requirement(NamedTuple):
    """A sentence behind a task, and what it does to the answer."""

    text: str
    apply: Callable[[str], str]


_SENTENCES: Mapping[str, Mapping[str, Callable[[str], str]]] = {
    "constraints": {
        "Write the whole answer in capital letters, and change nothing else about it.": str.upper,
        "Put the whole answer between square brackets, with no space inside them.": "[{}]".format,
        "Begin the answer with the word Result, a colon and a single space.": "Result: {}".format,
        "Let a last line follow the answer that holds the word done and nothing else.": "{}\ndone".format,
        "Write an underscore in the place of every space that the answer has.": lambda a: a.replace(" ", "_"),
    },
    "deepening": {
        "On a second line, also say how many characters the answer has, spaces included.": (
            lambda a: f"{a}\n{len(a)}"
        ),
        "On a second line, also give the first and the last character of the answer, side by side.": (
            lambda a: f"{a}\n{a[:1]}{a[-1:]}"
        ),
        "Also count the vowels (a, e, i, o, u) in the answer, and add their number on a second line.": (
            lambda a: f"{a}\n{sum(char in 'aeiou' for char in a.lower())}"
        ),
    },
    "reasoning": {
        "Work in two steps: find the plain answer first, then give only its characters in reverse order.": (
            lambda a: a[::-1]
        ),
        "First find the plain answer; then give it twice in a row, with a slash and no spaces between.": (
            lambda a: f"{a}/{a}"
        ),
        "First find the plain answer; then give only the number of its characters, spaces included.": (
            lambda a: str(len(a))
        ),
    },
    # the rest changes the way to the answer, and not the answer
    "concretizing": dict.fromkeys(
        (
            "The answer goes onto a small printed card, so give the answer itself and nothing around it.",
            "A pupil will compare the answer with a list of solutions, so write it exactly as it is.",
            "It is for a box of puzzles in a village library, where only the bare answer is wanted.",
        ),
        str,
    ),
    "code": dict.fromkeys(
        (
            "Imagine a function for it that uses no library, and say what that function returns.",
            "Imagine a fold over the parts in the place of a loop, and say what it comes to.",
            "Imagine a solution in linear time and constant extra space, and say what it returns.",
            "Imagine that it runs in two passes, checking before computing, and say what comes out.",
            "A colleague wrote `return answer[1:]` at the end, which is wrong; say what is right.",
        ),
        str,
    ),
}
# By kind; an evolution that asks for a constraint draws from "constraints", and so on.
REQUIREMENTS: Mapping[str, tuple[Requirement, ...]] = {
    kind: tuple(Requirement(text, apply) for text, apply in each.items()) for kind, each in _SENTENCES.items()
}
_ALL = {each.text: each for kind in REQUIREMENTS.values() for each in kind}
FORMATS: Mapping[str, str] = {
    "XML": "XML document",
    "an SQL table": "SQL table",
    "Python code": "Python code",
    "an HTML page": "HTML page",
    "a shell command": "shell command",
    "JSON": "JSON document",
}


def required(text: str, kind: str, rng: Random) -> str:
    """`text` with one more requirement of that kind; with none that it has already."""
    there = set(read(text).requirements)
    left = [each for each in REQUIREMENTS[kind] if each not in there] or list(REQUIREMENTS[kind])
    return f"{text.strip()}\n{rng.choice(left).text}"


def inside(text: str, form: str, rng: Random) -> str:
    """`text` as one of two tasks that stand in data of that format; the prompt asks for the one."""
    name = FORMATS.get(form, FORMATS["JSON"])
    other = " ".join(material.sentence(rng) for _ in range(2))
    place = rng.choice((1, 2))
    tasks = [text.strip(), other] if place == 1 else [other, text.strip()]
    return f"Do the task with the number {place} in this {name}, and give its answer alone.\n\n{_WRITE[name](tasks)}"


def _listed(layout: str, quote: Callable[[str], str]) -> Callable[[Sequence[str]], str]:
    return lambda tasks: "\n".join(layout.format(n, quote(task)) for n, task in enumerate(tasks, 1))


def _wrapped(
    before: str, layout: str, after: str, quote: Callable[[str], str]
) -> Callable[[Sequence[str]], str]:
    body = _listed(layout, quote)
    return lambda tasks: f"{before}\n{body(tasks)}\n{after}"


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


_WRITE: Mapping[str, Callable[[Sequence[str]], str]] = {
    "XML document": _wrapped("<tasks>", '<task n="{}">{}</task>', "</tasks>", html.escape),
    "HTML page": _wrapped("<html><body><dl>", "<dt>{}</dt><dd>{}</dd>", "</dl></body></html>", html.escape),
    "SQL table": _listed("INSERT INTO tasks VALUES ({}, '{}');", lambda text: text.replace("'", "''")),
    "Python code": _listed("tasks[{}] = {}", _json),
    "shell command": _listed("task_{}={}", shlex.quote),
    "JSON document": lambda tasks: json.dumps(
        {"tasks": [{"number": n, "task": task} for n, task in enumerate(tasks, 1)]},
        ensure_ascii=False,
        indent=1,
    ),
}
_READ: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "XML document": (r'^<task n="{}">([^<]*+)</task>$', html.unescape),
    "HTML page": (r"^<dt>{}</dt><dd>([^<]*+)</dd>$", html.unescape),
    "SQL table": (
        r"^INSERT INTO tasks VALUES \({}, '((?:[^']|'')*+)'\);$",
        lambda text: text.replace("''", "'"),
    ),
    "Python code": (r"^tasks\[{}\] = (.+)$", json.loads),
}
_LEAD = re.compile(
    rf"Do the task with the number ([12]) in this ({'|'.join(_WRITE)}), and give its answer alone\.\n\n"
)


_DEEPEST = 20  # tasks inside tasks that are looked for


class Composed(NamedTuple):
    """What a composed task is made of: the task inside, and the requirements in their order."""

    text: str
    requirements: tuple[Requirement, ...]


def read(text: str) -> Composed:
    """The parts of `text`; itself without requirements where it is not composed."""
    rest = text.strip()
    found: list[Requirement] = []  # the last one first, and those outside before those inside
    for _ in range(_DEEPEST):
        while (last := _ALL.get(rest.rpartition("\n")[2].strip())) is not None:
            rest = rest.rpartition("\n")[0].strip()
            found.append(last)
        lead = _LEAD.match(rest)
        if lead is None:
            break
        rest = (_taken_out(rest[lead.end() :], lead[2], lead[1]) or "").strip()
    return Composed(rest, tuple(reversed(found)))


def _taken_out(body: str, name: str, number: str) -> str | None:
    """The task of that number; None where somebody else wrote the data, and not in our way."""
    try:
        if name == "JSON document":
            return str(json.loads(body)["tasks"][int(number) - 1]["task"])
        if name == "shell command":
            return dict(part.partition("=")[::2] for part in shlex.split(body))[f"task_{number}"]
        pattern, unquote = _READ[name]
        match = re.search(pattern.format(number), body, re.MULTILINE)
        return None if match is None else str(unquote(match[1]))
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


class ComposedFamily(Family):
    """A family whose answers go through requirements."""

    def __init__(self, base: Family, requirements: Sequence[Requirement]) -> None:
        self.name = base.name
        self.labels = ()
        self.phrasings = base.phrasings
        self.framed = False
        self._base = base
        self._requirements = requirements

    def _whole(self, answer: str) -> str:
        for each in self._requirements:
            answer = each.apply(answer)
        return answer

    def answer(self, slots: Slots) -> str | None:
        found = self._base.answer(slots)
        return None if found is None else self._whole(found)

    def right(self, slots: Slots, text: str) -> bool:
        forms = {normal(self._whole(form), case=True) for form in self._base.forms(slots)}
        return normal(text, case=True) in forms


def bare(text: str) -> str:
    """The task inside, without its sentence of context."""
    inner = read(text).text
    return unframed(inner) or inner
