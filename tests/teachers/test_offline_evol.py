"""The offline teacher evolves: what it composes it can still answer, with answers worked out by hand."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.parse.evol import SCHEMA, equal
from selfinstruct.prompts import Prompts
from selfinstruct.sample import Message
from selfinstruct.teachers import Completion, Request
from selfinstruct.teachers.offline import FAMILIES, OfflineTeacher, check, solve, tasks
from selfinstruct.teachers.offline.compose import FORMATS, REQUIREMENTS, inside, read, required
from selfinstruct.teachers.offline.evol import same_task

BASE = "Reverse these words: star boat"  # boat star
DONE = {sentence.text: sentence for kind in REQUIREMENTS.values() for sentence in kind}


def starting(start: str) -> str:
    (found,) = (text for text in DONE if text.startswith(start))
    return found


@pytest.mark.parametrize(
    ("sentences", "answer"),
    [
        (["Write the whole answer in capital"], "BOAT STAR"),
        (["Put the whole answer between square"], "[boat star]"),
        (["Begin the answer with the word Result"], "Result: boat star"),
        (["Let a last line follow"], "boat star\ndone"),
        (["Write an underscore"], "boat_star"),
        (["On a second line, also say how many"], "boat star\n9"),
        (["On a second line, also give the first"], "boat star\nbr"),
        (["Also count the vowels"], "boat star\n3"),
        (["Work in two steps"], "rats taob"),
        (["First find the plain answer; then give it twice"], "boat star/boat star"),
        (["First find the plain answer; then give only the number"], "9"),
        (["A pupil will compare"], "boat star"),
        (["A colleague wrote"], "boat star"),
        (["Work in two steps", "Write the whole answer in capital"], "RATS TAOB"),
        (["Write an underscore", "Begin the answer with the word Result"], "Result: boat_star"),
        (["Begin the answer with the word Result", "Write an underscore"], "Result:_boat_star"),
    ],
)
def test_requirements_by_hand(sentences: list[str], answer: str) -> None:
    text = "\n".join([BASE, *(starting(each) for each in sentences)])
    assert solve(text) == answer
    assert check(text, "", answer) is True
    assert check(text, "", "boat star") is (answer == "boat star")


def test_every_sentence_is_of_a_length_that_the_rules_allow() -> None:
    for text in DONE:
        assert 10 <= len(text.split()) <= 20, text


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("text", [BASE, "Say \"it's\" <b>twice</b> & stop:\n\nA 'b' \\ {c}", "Zähle: é, 鱼"])
def test_a_task_inside_data_is_found_again(form: str, text: str) -> None:
    for seed in range(4):
        made = inside(text, form, Random(seed))
        assert read(made).text == text
        assert FORMATS[form] in made
    once_more = inside(inside(BASE, form, Random(1)), form, Random(2))
    assert solve(once_more) == "boat star"
    assert solve(required(once_more, "reasoning", Random(0))) in {"rats taob", "boat star/boat star", "9"}


def test_json_and_python_are_correct_in_their_syntax() -> None:
    made = inside(BASE, "JSON", Random(0)).partition("\n\n")[2]
    assert {task["number"] for task in json.loads(made)["tasks"]} == {1, 2}
    tasks_: dict[int, str] = {}
    for line in inside(BASE, "Python code", Random(0)).partition("\n\n")[2].splitlines():
        name, _, value = line.partition(" = ")
        tasks_[int(name.removeprefix("tasks[").removesuffix("]"))] = json.loads(value)
    assert BASE in tasks_.values()


def test_tasks_of_all_families_can_be_composed() -> None:
    rng = Random(4)
    for task in tasks(len(FAMILIES) * 2, seed=9):
        for kind in REQUIREMENTS:
            answer = solve(required(task.prompt, kind, rng))
            assert answer, task
        assert solve(inside(task.prompt, rng.choice(list(FORMATS)), rng)) == task.output, task


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading(text: str) -> None:
    read(text)
    for form in FORMATS.values():
        read(f"Do the task with the number 1 in this {form}, and give its answer alone.\n\n{text}")
    assert read(f"{text}\n{starting('Work in two')}").requirements


def test_tasks_inside_tasks_are_read_to_the_last() -> None:
    text = BASE
    for level in range(30):
        text = inside(text, "XML", Random(level))
    assert solve(text) == "boat star"


# its parts


def ask(
    name: str, key: int = 0, structured: bool = False, teacher: OfflineTeacher | None = None, **slots: object
) -> Completion:
    messages = Prompts().render(name, fence=f"{key:016x}", **slots)
    request = Request("offline", messages, params={"max_tokens": 2048}, schema=SCHEMA if structured else None)
    return asyncio.run(
        (teacher or OfflineTeacher(wrong=0, faults=0, structured=structured)).complete(request)
    )


@pytest.mark.parametrize(
    ("prompt", "operator"),
    [("depth", each) for each in ("constraints", "deepening", "concretizing", "reasoning")]
    + [("code", each) for each in ("requirements", "rarer", "steps", "misdirection", "complexity")]
    + [("math", each) for each in ("harder", "easier")]
    + [("breadth", "breadth"), ("input", "input")],
)
def test_what_it_evolves_can_be_answered_and_is_mostly_not_equal(prompt: str, operator: str) -> None:
    same = 0
    for key, task in enumerate(tasks(30, seed=1)):
        done = ask(
            f"evol/{prompt}",
            key,
            operator=operator,
            format="an SQL table",
            conversation="",
            prompt=task.prompt,
        )
        assert solve(done.text), done.text
        same += same_task(task.prompt, done.text)
    assert same <= (20 if operator == "concretizing" else 2)


def test_equal_and_not_equal() -> None:
    longer = f"{BASE}\n{starting('Work in two')}"
    for first, second, expected in (
        (BASE, BASE, True),
        (BASE, f"Ada runs a bakery in Oslo. {BASE}", True),
        (BASE, longer, False),
        (longer, f"{longer}\n{starting('Write the whole answer')}", False),
        (BASE, inside(BASE, "JSON", Random(0)), False),
        ("Name a fish.", "Name  a fish", True),
        ("Name a fish.", "Name a bird.", False),
    ):
        for structured in (False, True):
            done = ask("evol/equal", structured=structured, first=first, second=second, as_json=structured)
            assert equal(done.text) is expected, (first, second)


def test_it_improves_a_wrong_response_and_keeps_a_right_one_right() -> None:
    for key, old in enumerate(("star boat", "boat star", "The answer is boat star.", "Answer: boat star")):
        done = ask("evol/quality", key, operator="details", prompt=f"user: {BASE}", response=old)
        assert check(BASE, "", done.text) is True
        assert done.text != old
    assert ask("evol/quality", operator="details", prompt="user: Name a fish.", response="Cod").text == "Cod"


def test_it_errs_at_the_set_rates() -> None:
    teacher = OfflineTeacher(faults=0.4)
    kinds: Counter[str] = Counter()
    for key in range(400):
        done = ask(
            "evol/depth",
            key,
            teacher=teacher,
            operator="constraints",
            conversation="",
            prompt=f"{BASE} x{key}",
        ).text
        kinds["meta" if "Prompt#" in done or "rewritten prompt" in done else
              "sorry" if done.startswith("I'm sorry") else
              "same" if done == f"{BASE} x{key}" else
              "empty" if not done else
              "long" if len(done.split()) > 50 else "right"] += 1  # fmt: skip
    assert all(kinds[kind] >= 15 for kind in ("meta", "sorry", "same", "empty", "long"))
    assert 200 < kinds["right"] < 300


def test_other_prompts_are_none_of_its_business() -> None:
    request = Request("offline", (Message("user", f"<{'0' * 16} prompt>\n{BASE}\n</{'0' * 16} prompt>"),))
    done = asyncio.run(OfflineTeacher(wrong=0, faults=0).complete(request))
    assert done.text.startswith("I'm sorry")
