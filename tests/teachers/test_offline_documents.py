"""The offline teacher's parts for documents, reasoning and planned tasks: right unless it errs, and it errs at will."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct import verify
from selfinstruct.errors import ParseError
from selfinstruct.parse.cot_self_instruct import planned
from selfinstruct.parse.ground import Pair, located, pairs
from selfinstruct.prompts import Prompts
from selfinstruct.sample import Message
from selfinstruct.teachers import Completion, Request
from selfinstruct.teachers.offline import OfflineTeacher, check, tasks
from selfinstruct.teachers.offline.respond import REFUSAL

PROMPTS = Prompts()
PASSAGE = (
    "# Bees\n\nA bee visits 50 flowers on one trip. The hive of Ada Stone holds 40,000 bees in summer.\n"
    "Honey keeps for years. In 1926 the village sold 1.5 tonnes of it to Velden. Bees dance."
)


def ask(teacher: OfflineTeacher, messages: tuple[Message, ...], **more: Any) -> Completion:
    return asyncio.run(teacher.complete(Request(teacher.model, messages, **more)))


def ground_prompt(passage: str, count: int = 4) -> tuple[Message, ...]:
    return PROMPTS.render(
        "ground/pairs",
        pairs=count,
        self_contained=True,
        language="English",
        fence="f00f",
        title="",
        passage=passage,
    )


@pytest.mark.parametrize("structured", [False, True])
def test_pairs_rest_on_the_passage(structured: bool) -> None:
    teacher = OfflineTeacher(wrong=0, faults=0, structured=structured)
    schema: dict[str, Any] | None = {"properties": {"pairs": {}}} if structured else None
    found = pairs(ask(teacher, ground_prompt(PASSAGE), schema=schema).text)
    assert len(found) == 3
    for pair in found:
        assert isinstance(pair, Pair)
        assert located(pair.quote, PASSAGE) is not None
        filled = pair.question.partition("“")[2].partition("”")[0]
        words = [filled.replace("____", word.strip(".")) for word in (*pair.answer.split(), "Ada Stone")]
        assert " ".join(pair.quote.split()) in words


def test_pairs_go_wrong_at_the_set_rate() -> None:
    teacher = OfflineTeacher(wrong=0, faults=1.0)
    faults = 0
    for draw in range(20):
        completion = ask(teacher, ground_prompt(PASSAGE), draw=draw)
        try:
            found = pairs(completion.text)
        except ParseError:
            faults += 1
            continue
        good = [pair for pair in found if isinstance(pair, Pair) and located(pair.quote, PASSAGE)]
        faults += len(good) < len(found)
    assert faults > 8


@given(st.text(max_size=300))
def test_any_passage_gets_an_answer_that_can_be_read(passage: str) -> None:
    text = ask(OfflineTeacher(faults=0), ground_prompt(passage)).text
    assert all(isinstance(pair, Pair) for pair in pairs(text))


def final_prompt(task: str, kind: str = "exact") -> tuple[Message, ...]:
    return PROMPTS.render("best_of/final", kind=kind, labels=["yes", "no"], task=task)


def test_reasoning_ends_with_the_right_answer() -> None:
    teacher = OfflineTeacher(wrong=0, faults=0)
    for task in tasks(200, seed=9):
        text = ask(teacher, final_prompt(task.prompt)).text
        assert check(task.instruction, task.input, text.rpartition("The answer is ")[2])
        assert text.count("\n") >= 2


def test_reasoning_differs_from_draw_to_draw_and_errs_at_the_set_rate() -> None:
    teacher = OfflineTeacher(wrong=0.5, faults=0)
    (task,) = tasks(1, seed=1, families="story_sum")
    texts = [ask(teacher, final_prompt(task.prompt, "number"), draw=draw).text for draw in range(40)]
    assert len(set(texts)) > 10
    right = sum(verify.right("number", text, task.output) for text in texts)
    assert 8 < right < 32


def test_what_it_cannot_compute_it_says_so() -> None:
    assert ask(OfflineTeacher(), final_prompt("Write a poem about the sea.")).text == REFUSAL


def cot_prompt(kind: str, *examples: str) -> tuple[Message, ...]:
    return PROMPTS.render(
        f"cot_self_instruct/{kind}", answers="number", language="English", fence="f00f", examples=examples
    )


def test_planned_tasks_are_of_the_family_of_an_example_and_right() -> None:
    teacher = OfflineTeacher(wrong=0, faults=0)
    shown = [task.prompt for task in tasks(2, seed=4, families="sharing")]
    for draw in range(10):
        task, answer = planned(
            ask(teacher, cot_prompt("verifiable", *shown), draw=draw).text, verifiable=True
        )
        assert check(task, "", answer)
        assert any(word in task for word in ("left over", "remain", "over?", "remainder"))
    text = ask(teacher, cot_prompt("open", "Write a poem.")).text
    assert "<answer>" not in text
    assert planned(text, verifiable=False).task


def test_planned_tasks_go_wrong_at_the_set_rates() -> None:
    teacher = OfflineTeacher(wrong=0.5, faults=0.5)
    faults: set[str] = set()
    verdicts = set()
    for draw in range(80):
        completion = ask(teacher, cot_prompt("verifiable", "x"), draw=draw)
        try:
            task, answer = planned(completion.text, verifiable=True)
        except ParseError as error:
            faults.add(error.reason)
        else:
            verdicts.add(check(task, "", answer))
    assert {"no_task", "no_answer"} <= faults
    assert {True, False} <= verdicts
