"""The offline teacher plays the user, writes openings and transcripts, and explains under Orca's system messages."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.document import load
from selfinstruct.errors import ParseError
from selfinstruct.parse.baize import transcript
from selfinstruct.parse.dialogue import items, user_turn
from selfinstruct.pipeline import run
from selfinstruct.prompts import Prompts
from selfinstruct.sample import Message
from selfinstruct.teachers import Completion, Request
from selfinstruct.teachers.offline import OfflineTeacher, check, solve, tasks
from selfinstruct.teachers.offline.catalog import recognise
from selfinstruct.teachers.offline.family import concluded

ROOT = Path(__file__).parents[2]
PROMPTS = Prompts()
TASKS = tasks(120)
SYSTEMS = [message.content for message in PROMPTS.render("orca/messages")]


def ask(teacher: OfflineTeacher, messages: Sequence[Message], **more: Any) -> Completion:
    return asyncio.run(teacher.complete(Request(teacher.model, tuple(messages), **more)))


def clean(**more: Any) -> OfflineTeacher:
    return OfflineTeacher(wrong=0, faults=0, **more)


def user(talk: Sequence[Message], left: int = 0) -> tuple[Message, ...]:
    return PROMPTS.render(
        "ultrachat/user", fence="f00f", talk=talk, sentinel="[DONE]", persona="a cook", goal="soup", left=left
    )


def opening(place: int) -> list[Message]:
    task = TASKS[place]
    return [Message("user", task.prompt), Message("assistant", task.output)]


# the user


def test_the_user_asks_on_in_the_family_and_stops_when_it_may() -> None:
    said: Counter[str | None] = Counter()
    for place in range(60):
        talk = opening(place)
        early = user_turn(ask(clean(), user(talk, left=1)).text, talk, sentinel="[DONE]")
        assert early is not None
        found, first = recognise(early), recognise(talk[0].content)
        assert found is not None
        assert first is not None
        assert found[0] is first[0]
        said[user_turn(ask(clean(), user(talk)).text, talk, sentinel="[DONE]")] += 1
    assert 5 < said[None] < 40


def test_the_user_errs_in_every_way_that_is_looked_for() -> None:
    wrongs: Counter[str] = Counter()
    teacher = OfflineTeacher(wrong=0, faults=1.0)
    for place in range(120):
        talk = opening(place)
        with pytest.raises(ParseError) as caught:
            user_turn(ask(teacher, user(talk)).text, talk, sentinel="[DONE]")
        wrongs[caught.value.reason] += 1
    assert set(wrongs) == {
        "politeness_only",
        "role_flip",
        "answers_itself",
        "both_sides",
        "repeated",
        "empty_output",
    }


def test_the_user_asks_anew_about_what_it_does_not_know() -> None:
    talk = [Message("user", "Why is the sky blue?"), Message("assistant", "Scattering.")]
    assert ask(clean(), user(talk, left=1)).text == "Can you give me an example of that?"


# openings


def listed(teacher: OfflineTeacher, name: str, **slots: Any) -> list[str | ParseError]:
    draw = slots.pop("draw", 0)
    prompt = PROMPTS.render(f"ultrachat/{name}", language="English", fence="f00f", **slots)
    return items(ask(teacher, prompt, draw=draw).text)


@pytest.mark.parametrize("number", [1, 7, 40])
def test_lists_of_what_was_asked_for(number: int) -> None:
    topics = listed(clean(), "topics", topic="music", n=number)
    assert len(topics) == number
    for name, slots in (
        ("questions", {"topic": "music", "item": "drums"}),
        ("instructions", {"item": "a poem"}),
    ):
        found = listed(clean(), name, n=number, **slots)
        assert len(found) == number
        assert all(isinstance(item, str) and solve(item) is not None for item in found)


def test_more_detail_leaves_the_task_what_it_is() -> None:
    for task in TASKS[:40]:
        (text,) = listed(clean(), "expand", instruction=task.prompt)
        assert isinstance(text, str)
        assert text != task.prompt
        assert solve(text) == task.output


TEXTS = [
    json.loads(line)["instruction"]
    for line in (ROOT / "data/sample/texts.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize(
    "join",
    [
        "{task}\n\n{text}",
        "{text}\n\n{task}",
        "Here is a text:\n\n{text}\n\n{task}",
        "{task} The text:\n\n{text}",
    ],
)
def test_tasks_about_a_text_can_be_solved_wherever_they_stand(join: str) -> None:
    for text in TEXTS:
        found = listed(clean(), "tasks", text=text, n=5)
        assert found
        for task in found:
            assert isinstance(task, str)
            answer = solve(task, text)
            assert answer is not None
            assert solve(join.format(task=task, text=text)) == answer


def test_a_text_that_it_can_do_nothing_with_gets_general_tasks() -> None:
    found = listed(clean(), "tasks", text="It rains.\nIt pours.", n=5)
    assert 0 < len(found) <= 5
    assert all(isinstance(task, str) and "text" in task for task in found)


def test_lists_have_faults_at_the_set_rate() -> None:
    faults = Counter[str]()
    for draw in range(300):
        try:
            found = listed(OfflineTeacher(wrong=0, faults=0.5), "instructions", item="a poem", n=5, draw=draw)
        except ParseError as fault:
            faults[fault.reason] += 1
        else:
            faults.update("bad_item" if isinstance(item, ParseError) else "fine" for item in found)
            faults["twice"] += len({str(item) for item in found}) < 5
    assert set(faults) >= {"fine", "bad_item", "twice", "no_json", "bad_json"}
    assert 0.2 < faults["bad_item"] / (faults["fine"] + faults["bad_item"]) < 0.6


# transcripts


def spoken(teacher: OfflineTeacher, question: str, name: str = "transcript", **more: Any) -> Completion:
    return ask(
        teacher, PROMPTS.render(f"baize/{name}", question=question, fence="f00f", low=2, high=5), **more
    )


@pytest.mark.parametrize("name", ["transcript", "paper"])
def test_a_transcript_of_right_answers(name: str) -> None:
    lengths = set()
    for task in TASKS:
        if "\n[" in task.prompt:
            continue
        talk, fault = transcript(spoken(clean(), task.prompt, name).text, cut=False)
        assert fault is None
        assert talk[0].content == task.prompt
        lengths.add(len(talk) // 2)
        for asked, answer in zip(talk[::2], talk[1::2], strict=True):
            assert check(asked.content, "", answer.content)
    assert lengths == {2, 3, 4, 5}


def test_transcripts_have_faults_at_the_set_rate() -> None:
    ends = Counter[str]()
    for place in range(300):
        done = spoken(OfflineTeacher(wrong=0, faults=0.6), TASKS[place % 120].prompt, draw=place)
        try:
            _, fault = transcript(done.text, cut=done.finish_reason == "length")
        except ParseError as error:
            fault = error
        ends[fault.reason if fault else ""] += 1
    assert set(ends) >= {"", "truncated", "unanswered", "speaker_twice", "empty_turn", "no_marks"}


# explanations


def test_an_explanation_ends_in_an_answer_that_can_be_checked() -> None:
    worked = 0
    for place, task in enumerate(TASKS):
        system = SYSTEMS[place % 16]
        messages = [*([Message("system", system)] if system else []), Message("user", task.prompt)]
        text = ask(clean(), messages).text
        assert check(task.instruction, task.input, text)
        worked += "\nThe answer is: " in text
    assert worked > 80


def test_a_wrong_explanation_is_known_as_wrong() -> None:
    teacher = OfflineTeacher(wrong=1.0, faults=0)
    for task in TASKS[:40]:
        text = ask(teacher, (Message("system", SYSTEMS[4]), Message("user", task.prompt))).text
        assert check(task.instruction, task.input, text) is False


def test_what_an_explanation_comes_to() -> None:
    assert concluded("First.\nThe answer is 3.\n\nThe answer is: 4") == "4"
    assert concluded("Yes.") == "Yes."


def test_a_task_of_no_family_is_refused_under_any_system_message() -> None:
    for system in SYSTEMS[1:]:
        text = ask(clean(), (Message("system", system), Message("user", "Why is the sky blue?"))).text
        assert text.startswith("I'm sorry")


# as a whole


@pytest.mark.parametrize("name", ["orca", "ultrachat", "baize"])
def test_a_teacher_without_faults_makes_rows_without_faults(name: str, tmp_path: Path) -> None:
    sets = [
        f"{role}={{model: offline, wrong: 0, faults: 0, seed: {seed}}}"
        for seed, role in enumerate(("teacher", "user", "judge"))
    ]
    outcome = run(load(ROOT / "pipelines" / f"{name}.yaml", sets, limit=30), tmp_path)
    assert len(outcome.samples) > 20
    total = 0
    for row in outcome.samples:
        talk = [message for message in row.messages if message.role != "system"]
        for asked, answer in zip(talk[::2], talk[1::2], strict=True):
            total += 1
            right = check(asked.content, "", answer.content)
            assert right or (right is None and name != "ultrachat")  # the sample has a few tasks of no family
    assert total >= len(outcome.samples)
    drops = {reason for step in outcome.funnel.steps for reason in step.drops}
    assert drops <= {"material", "surplus", "duplicate", "refusal", "unscored", "below_min"}


@given(st.text(max_size=60), st.sampled_from(["user", "tasks", "expand", "transcript", "paper", "orca"]))
def test_it_never_raises(text: str, name: str) -> None:
    teacher = OfflineTeacher(faults=0.5)
    prompts: dict[str, Callable[[], Sequence[Message]]] = {
        "user": lambda: user([Message("user", text), Message("assistant", text)]),
        "tasks": lambda: PROMPTS.render("ultrachat/tasks", n=3, text=text, fence="f"),
        "expand": lambda: PROMPTS.render("ultrachat/expand", instruction=text, fence="f"),
        "transcript": lambda: PROMPTS.render("baize/transcript", question=text, fence="f", low=1, high=2),
        "paper": lambda: PROMPTS.render("baize/paper", question=text),
        "orca": lambda: (Message("system", SYSTEMS[8]), Message("user", text)),
    }
    done = ask(teacher, prompts[name]())
    assert done.finish_reason in ("stop", "length")


def test_nothing_of_the_prompt_is_taken_for_the_conversation() -> None:
    text = ask(clean(), user(opening(0))).text
    assert not re.search(r"f00f|a cook|soup", text)
