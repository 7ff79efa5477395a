"""What the tests of the seed answers share: a table of rules, and readers for the parts of an answer.

A rule is a function named after its task. It gets one instance and derives the answer from the input by a way
of its own; nothing is compared with a stored copy of the output.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

SEEDS = Path(__file__).resolve().parents[2] / "seeds" / "seed_tasks.jsonl"
BY_NAME: dict[str, dict[str, Any]] = {
    task["name"]: task for task in map(json.loads, SEEDS.read_text(encoding="utf-8").splitlines())
}


class Pair(NamedTuple):
    input: str
    output: str


Rule = Callable[[Pair], None]


def pairs(name: str) -> list[Pair]:
    return [Pair(i["input"], i["output"]) for i in BY_NAME[name]["instances"]]


class Table:
    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}

    def rule(self, function: Rule) -> Rule:
        """Enter a function under its own name, which is the name of its task."""
        assert function.__name__ in BY_NAME
        assert function.__name__ not in self.rules
        self.rules[function.__name__] = function
        return function

    def hold(self, name: str) -> None:
        for pair in pairs(name):
            self.rules[name](pair)

    def refuse(self, name: str) -> None:
        """A rule that accepts the answer of another task would check nothing.

        A wrong answer may break a parser before it fails an assertion, so any exception counts.
        """
        names = list(self.rules)
        foreign = pairs(names[(names.index(name) + len(names) // 2) % len(names)])[0].output
        with pytest.raises(Exception):  # noqa: B017, PT011
            self.rules[name](pairs(name)[0]._replace(output=foreign))


def fenced(output: str) -> str:
    """The one fenced code block of an output."""
    (block,) = re.findall(r"```\w*\n(.*?)```", output, re.DOTALL)
    return str(block)


def run(code: str, **names: Any) -> dict[str, Any]:
    exec(code, names)
    return names


def prints(code: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        run(code)
    return out.getvalue()


def query(schema: str, sql: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as conn:
        conn.executescript(schema)
        return conn.execute(sql).fetchall()


def numbers(text: str) -> list[float]:
    return [float(n.replace(",", "")) for n in re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)]


def found(pattern: str, text: str) -> list[str]:
    """The groups of the first match; fails when there is none."""
    match = re.search(pattern, text)
    assert match
    return list(match.groups())


def bold(text: str) -> list[str]:
    return re.findall(r"\*\*(.+?)\*\*", text)


def cells(text: str) -> list[list[str]]:
    """The body rows of the Markdown table in a text."""
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return rows[2:]


def sentences(text: str) -> int:
    return len(re.findall(r"[.!?][\"']?(?=\s|$)", text))


def minutes(clock: str) -> int:
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)
