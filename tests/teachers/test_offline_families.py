"""Families: what one makes, it recognises, with the same answer, and no other family answers it otherwise."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.teachers.offline import FAMILIES, SETS, Task, check, solve, tasks
from selfinstruct.teachers.offline.family import Family, frame, normal, unframed
from selfinstruct.teachers.offline.faults import mistake

FORBIDDEN = re.compile(  # the blacklists of Self-Instruct and Alpaca
    r"\b(?:images?|graphs?|pictures?|files?|maps?|draw|plot|go to|video|audio|music|flowchart|diagram)\b",
    re.IGNORECASE,
)
WRONG_ARTICLE = re.compile(r"\b(?:a [aeio]\w|an (?!hour)[^aeiou\W]\w)")
WRONG_NUMBER = re.compile(r"\b1 (?:apples|eggs|lemons|oranges|pears|rolls|muffins|pies)\b")


def made(times: int) -> list[tuple[Family, int, Task]]:
    return [
        (family, place, family.make(Random(f"{family.name}/{place}/{i}"), place))
        for family in FAMILIES.values()
        for place in range(len(family.phrasings))
        for i in range(times)
    ]


def test_there_are_enough() -> None:
    assert len(FAMILIES) >= 30
    assert 10 <= len(SETS["drills"]) <= 14
    assert set(SETS["drills"]) < set(SETS["all"])
    for family in FAMILIES.values():
        assert len({phrasing.text for phrasing in family.phrasings}) >= 6, family.name


def test_made_tasks_are_recognised_with_the_same_answer() -> None:
    for family, _, task in made(8):
        assert solve(task.instruction, task.input) == task.output, task
        assert solve(task.prompt) == task.output, task
        assert check(task.instruction, task.input, f" {task.output}.\n") is True, task
        assert task.family == family.name


def test_no_two_families_answer_a_task_differently() -> None:
    """Every phrasing of every family is tried, not only those that the index proposes."""
    for family, _, task in made(1):
        text = unframed(task.prompt) or task.prompt
        answers = {
            (other.name, other.answer(slots))
            for other in FAMILIES.values()
            for phrasing in other.phrasings
            if (slots := phrasing.read(text)) is not None
        }
        assert answers == {(family.name, task.output)}, task


def test_material_follows_the_rules_that_filters_check() -> None:
    for _, _, task in made(4):
        words = task.instruction.split()
        assert 4 <= len(words) <= 100, task
        assert task.instruction[0].isascii(), task
        assert task.instruction[0].isalnum(), task
        assert not FORBIDDEN.search(task.instruction), task
        assert not task.instruction.startswith("Write a program"), task
        assert task.output, task
        assert task.output == task.output.strip(), task
        if task.family not in {"starts_with", "letter_count", "article"}:  # where a is a letter
            assert not WRONG_ARTICLE.search(task.instruction), task
        assert not WRONG_NUMBER.search(task.prompt), task
        assert "{" not in re.sub(r"\{['\"].*\}", "", task.prompt), task


def test_a_mistake_is_wrong() -> None:
    rng = Random(4)
    for family, _, task in made(3):
        wrong = mistake(task, rng, family.labels)
        assert check(task.instruction, task.input, wrong) is False, (task, wrong)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(), name=st.sampled_from(sorted(FAMILIES)))
def test_any_seed(seed: int, name: str) -> None:
    task = FAMILIES[name].make(Random(seed))
    assert solve(task.instruction, task.input) == task.output


@given(st.text(max_size=60))
def test_solve_takes_any_text(text: str) -> None:
    assert solve(text) is None or isinstance(solve(text), str)


def test_no_word_stands_beside_its_anagram_when_it_is_scrambled() -> None:
    """Two of the nouns are, twice: canoe and ocean, lemon and melon."""
    family = FAMILIES["anagram"]
    for seed in range(20_000):
        assert family.make(Random(seed)).output


def test_context_changes_nothing() -> None:
    rng = Random(1)
    for _ in range(300):
        assert solve(frame(rng) + " Reverse these words: star boat key") == "key boat star"
    assert solve("Somebody said something. Reverse these words: star boat key") is None


def test_tasks_are_distinct_balanced_and_repeatable() -> None:
    found = tasks(500, seed=3)
    assert len({task.prompt for task in found}) == 500
    counts = Counter(task.family for task in found)
    assert set(counts) == set(FAMILIES)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert found == tasks(500, seed=3)
    assert found[:100] == tasks(100, seed=3)
    assert not {task.prompt for task in found} & {
        task.prompt for task in tasks(500, seed=4, families="drills")
    }


def test_tasks_leave_out_what_is_excluded() -> None:
    first = {task.prompt for task in tasks(200, families="drills")}
    second = {task.prompt for task in tasks(200, families="drills", exclude=first)}
    assert len(second) == 200
    assert not first & second


def test_tasks_that_run_out() -> None:
    class Everything:
        def __contains__(self, _: object) -> bool:
            return True

    with pytest.raises(DataError) as caught:
        tasks(3, exclude=Everything())
    assert caught.value.message == "3 different tasks were asked for; these families hold 0"


def test_families_by_name() -> None:
    assert {task.family for task in tasks(20, families=["reverse", "weekday"])} == {"reverse", "weekday"}
    assert {task.family for task in tasks(5, families="weekday")} == {"weekday"}
    with pytest.raises(ConfigError) as caught:
        tasks(1, families="reverze")
    assert caught.value.message == "the offline teacher has no family 'reverze'"
    assert "did you mean `reverse`" in caught.value.hint
    with pytest.raises(ConfigError):
        tasks(1, families=[])


@pytest.mark.parametrize(
    ("text", "case", "expected"),
    [
        (" Moon  door.\n", False, "moon door"),
        ("The answer is 12.", False, "12"),
        ("Answer: “Moon”", False, "moon"),
        ("MOON", True, "MOON"),
        ('"a" and "b"', True, 'a" and "b'),
        ("", False, ""),
    ],
)
def test_normal_form(text: str, case: bool, expected: str) -> None:
    assert normal(text, case) == expected
