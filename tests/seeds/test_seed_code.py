"""Seed answers that are code: each is executed."""

from __future__ import annotations

import contextlib
import doctest
import itertools
import json
import re
import shutil
import sqlite3
import subprocess
import types
from collections import Counter
from typing import Any

import pytest
from seed_table import Pair, Table, fenced, pairs, prints, query, run

CHECKS = Table()


@CHECKS.rule
def trace_words_snippet(pair: Pair) -> None:
    assert prints(pair.input) == pair.output + "\n"


@CHECKS.rule
def run_length_codec(pair: Pair) -> None:
    made = run(fenced(pair.output))
    ((call, value),) = re.findall(r"For example, `(.+)` gives `(.+)`", pair.output)
    assert eval(call, made) == eval(value)
    for text in ("", "a", "1112223", "aaaabaa", "ééé 22\n\n"):
        assert made["decode"](made["encode"](text)) == text


@CHECKS.rule
def repair_binary_search(pair: Pair) -> None:
    find = run(fenced(pair.output))["find"]
    for size in range(12):
        items = list(range(0, 2 * size, 2))
        for target in range(-1, 2 * size + 1):
            assert find(items, target) == (items.index(target) if target in items else -1)


@CHECKS.rule
def refactor_postage(pair: Pair) -> None:
    before, after = run(pair.input)["postage"], run(fenced(pair.output))["postage"]
    for weight, express, member in itertools.product((1, 5000, 5001), (True, False), (True, False)):
        assert before(weight, express, member) == after(weight, express, member)
    for function, weight in itertools.product((before, after), (0, -3)):
        with pytest.raises(ValueError, match="weight must be positive"):
            function(weight, False, False)


@CHECKS.rule
def document_chunks(pair: Pair) -> None:
    module = types.ModuleType("documented")
    before, made = run(pair.input)["chunks"], module.__dict__
    exec(fenced(pair.output), made)
    results = doctest.testmod(module)
    assert (results.attempted, results.failed) == (1, 0)
    assert set(made["chunks"].__annotations__) == {"items", "size", "return"}
    for n, size in itertools.product(range(8), range(1, 5)):
        assert made["chunks"](list(range(n)), size) == before(list(range(n)), size)


def passes(source: str) -> bool:
    """Whether all pytest functions in `source` pass, its parametrised ones with every case."""
    made = run(source)
    for name in (name for name in made if name.startswith("test_")):
        marks = getattr(made[name], "pytestmark", [])
        cases = [dict(zip(m.args[0], values, strict=True)) for m in marks for values in m.args[1]]
        for case in cases or [{}]:
            try:
                made[name](**case)
            except (AssertionError, ValueError, pytest.fail.Exception):
                return False
    return True


@CHECKS.rule
def test_clamp(pair: Pair) -> None:
    """The tests pass on the given function and notice each of four faults put into it."""
    tests = "\n" + fenced(pair.output)
    assert passes(pair.input + tests)
    for right, wrong in (
        ("max(low", "min(low"),
        ("min(value, high)", "value"),
        ("max(low, ", "("),
        (">", ">="),
    ):
        assert right in pair.input
        assert not passes(pair.input.replace(right, wrong) + tests), wrong


test_clamp.__test__ = False  # type: ignore[attr-defined]  # a rule; its task happens to be named like a test


@CHECKS.rule
def diagnose_default_list(pair: Pair) -> None:
    assert prints(pair.input.split("\n\nExpected")[0]) == "['Ada']\n['Ada', 'Linus']\n"
    add_guest = run(fenced(pair.output))["add_guest"]
    assert (add_guest("Ada"), add_guest("Linus")) == (["Ada"], ["Linus"])
    assert add_guest("Kay", ["Ada"]) == ["Ada", "Kay"]


@CHECKS.rule
def injection_review(pair: Pair) -> None:
    (attack,) = re.findall(r"`(x' UNION .*?)`", pair.output)
    with contextlib.closing(sqlite3.connect(":memory:")) as conn:
        conn.execute("CREATE TABLE users (name TEXT, email TEXT, password TEXT)")
        conn.execute("INSERT INTO users VALUES ('O''Hara', 'ohara@example.org', 'hunter2')")
        assert run(pair.input)["email_of"](conn, attack) == "hunter2"
        safe = run(fenced(pair.output))["email_of"]
        assert safe(conn, attack) is None
        assert safe(conn, "O'Hara") == "ohara@example.org"


@CHECKS.rule
def annotate_week_regex(pair: Pair) -> None:
    pieces = re.findall(r"^- `(.+?)`", pair.output, re.MULTILINE)
    assert "".join(pieces) == pair.input
    good, bad = re.findall(r"(?:Matches|Rejects): `(.+?)`", pair.output)
    assert re.search(pair.input, good)
    assert not re.search(pair.input, bad)


@CHECKS.rule
def big_spenders_sql(pair: Pair) -> None:
    sums: Counter[str] = Counter()
    for customer, day, amount in re.findall(r"\(\d, (\d), '([\d-]+)', (\d+)\)", pair.input):
        sums[customer] += int(amount) if day.startswith("2024") else 0
    names = dict(re.findall(r"\((\d), '(\w+)'\)", pair.input))
    expected = [(names[customer], total) for customer, total in sums.most_common() if total > 100]
    assert query(pair.input, fenced(pair.output)) == expected
    assert " and ".join(f"{name} with {total}" for name, total in expected) in pair.output


@CHECKS.rule
def never_borrowed_sql(pair: Pair) -> None:
    members = dict(re.findall(r"\((\d), '(\w+)'\)", pair.input))
    borrowers = set(re.findall(r"\(\d, (\d), ", pair.input))
    expected = sorted(name for number, name in members.items() if number not in borrowers)
    assert query(pair.input, fenced(pair.output)) == [(name,) for name in expected]
    assert f"It gives {' and '.join(expected)}." in pair.output
    trap = "SELECT name FROM members WHERE id NOT IN (SELECT member_id FROM loans)"
    assert query(pair.input, trap) == []


@CHECKS.rule
def loans_table_sql(pair: Pair) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as conn:
        conn.executescript(fenced(pair.output))
        insert = (
            "INSERT INTO loans (book_id, member_id, borrowed_on, returned_on) VALUES (1, 1, '2025-03-10', ?)"
        )
        for good in (None, "2025-03-10", "2025-11-02"):
            conn.execute(insert, (good,))
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            conn.execute(insert, ("2025-03-09",))


@CHECKS.rule
def redact_card_numbers(pair: Pair) -> None:
    def hide(match: re.Match[str]) -> str:
        return re.sub(r"\d", "*", match[0][:-4]) + match[0][-4:]

    assert re.sub(r"\d(?: ?\d){15}", hide, pair.input) == pair.output


@CHECKS.rule
def top_clients_shell(pair: Pair) -> None:
    count = Counter(line.split()[0] for line in pair.input.splitlines())
    expected = [[str(n), address] for address, n in count.most_common(3)]
    assert len({n for n, _ in expected}) == 3  # no tie leaves the order open
    assert pair.output.count("access.log") == 1
    command = pair.output.replace("access.log", "-")
    done = subprocess.run(
        ["sh", "-c", command], input=pair.input + "\n", capture_output=True, text=True, check=True
    )
    assert [line.split() for line in done.stdout.splitlines()] == expected


@pytest.mark.parametrize("name", CHECKS.rules)
def test_answer_is_right(name: str) -> None:
    CHECKS.hold(name)


@pytest.mark.parametrize("name", CHECKS.rules)
def test_a_foreign_answer_is_refused(name: str) -> None:
    CHECKS.refuse(name)


@pytest.mark.skipif(
    shutil.which("node") is None, reason="JavaScript answers are run with node, which is absent"
)
class TestJavaScript:
    def evaluate(self, name: str, probe: str) -> Any:
        (pair,) = pairs(name)
        script = f"{fenced(pair.output)}\nconsole.log(JSON.stringify({probe}))"
        done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def test_group_by(self) -> None:
        probe = "groupBy(['fig', 'plum', 'kiwi', 'constructor'], w => w.length > 4 ? w : w.length)"
        expected = {"3": ["fig"], "4": ["plum", "kiwi"], "constructor": ["constructor"]}
        assert self.evaluate("js_group_by", probe) == expected

    def test_initials_agree_with_the_python_original(self) -> None:
        names = ["", "ada lovelace", " Jean-Luc  picard ", "élise-ödön", "-x-"]
        (pair,) = pairs("initials_in_js")
        expected = [run(pair.input)["initials"](name) for name in names]
        assert expected == ["", "AL", "JLP", "ÉÖ", "X"]
        assert self.evaluate("initials_in_js", f"{json.dumps(names)}.map((n) => initials(n))") == expected
