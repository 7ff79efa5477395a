"""The offline teacher in Self-Instruct: lists to be continued, yes or no, and instances that are right."""

from __future__ import annotations

import asyncio
import json
import re
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfinstruct.errors import ParseError
from selfinstruct.parse.self_instruct import Instance, examples, labelled, listed, numbered, worked, yes_or_no
from selfinstruct.prompts import Prompts
from selfinstruct.sample import Message
from selfinstruct.teachers import Completion, Request
from selfinstruct.teachers.offline import FAMILIES, OfflineTeacher, check, solve
from selfinstruct.teachers.offline.respond import REFUSAL

PERFECT = {"wrong": 0.0, "faults": 0.0}
PROMPTS = Prompts()


def said(prompt: str, draw: int = 0, *, schema: Any = None, raw: bool = False, **options: Any) -> Completion:
    teacher = OfflineTeacher(structured=schema is not None, **{**PERFECT, **options})
    request = Request(
        teacher.model,
        () if raw else (Message("user", prompt),),
        text=prompt if raw else None,
        schema=schema,
        draw=draw,
    )
    return asyncio.run(teacher.complete(request))


def prompt(name: str, **slots: Any) -> str:
    (message,) = PROMPTS.render(f"self_instruct/{name}", **slots)
    return message.content


def listing(*, classification: bool = False, name: str = "instructions") -> str:
    shown = [f"Do thing number {k}." for k in range(8)]
    return prompt(name, examples=shown, classification=classification, first=9, last=16)


def asked_for(name: str, instruction: str, *, fence: str = "f00d", **slots: Any) -> str:
    return prompt(name, instruction=instruction, fence=fence, **slots)


def test_it_continues_the_list() -> None:
    needs_input = 0
    for draw in range(30):
        for raw in (False, True):
            items = numbered(said(listing(), draw, raw=raw).text, 9, cut=False)
            assert len(items) == 8
            assert all(isinstance(item, str) and len(item.split()) > 3 for item in items)
            needs_input += sum(solve(str(item)) is None for item in items)
    assert 0.25 < needs_input / (60 * 8) < 0.5


def test_classification_is_written_where_it_is_asked_for() -> None:
    labels = {label for family in FAMILIES.values() for label in family.labels}
    assert len(labels) > 10
    for draw in range(5):
        for item in numbered(said(listing(classification=True), draw).text, 9, cut=False):
            assert yes_or_no(said(asked_for("classify", str(item))).text), item


def test_it_writes_the_list_as_json() -> None:
    text = listing(name="instructions_json")
    schemas: tuple[Any, ...] = (None, {"properties": {"instructions": {}}})
    for schema in schemas:
        items = listed(said(text, schema=schema).text)
        assert len(items) == 8
        assert all(isinstance(item, str) for item in items)


@pytest.mark.parametrize("fence", ["f00d", ""])
def test_it_tells_classification_from_other_tasks(fence: str) -> None:
    for family in FAMILIES.values():
        task = family.make(Random(family.name))
        verdict = yes_or_no(said(asked_for("classify", task.instruction, fence=fence)).text)
        assert verdict is bool(family.labels), task
    assert not yes_or_no(said(asked_for("classify", "Write a poem about the sea.", fence=fence)).text)


@pytest.mark.parametrize("fence", ["f00d", ""])
def test_its_instances_are_right(fence: str) -> None:
    """Of the tasks of its own lists, whether they need an input or not; what it does not know it refuses."""
    several = 0
    for draw in range(12):
        for item in numbered(said(listing(), draw).text, 9, cut=False):
            found = worked(said(asked_for("input_first", str(item), fence=fence, most=5)).text, cut=False)
            assert found, item
            for instance in found:
                assert isinstance(instance, Instance)
                assert check(str(item), instance.input, instance.output) is True, (item, instance)
            assert len(found) == 1 or all(
                instance.input for instance in found if isinstance(instance, Instance)
            )
            several += len(found) > 1
    assert several > 10
    (refused,) = worked(said(asked_for("input_first", "Write a poem.", fence=fence, most=5)).text, cut=False)
    assert refused == Instance("", REFUSAL)


def test_its_labels_are_right_and_different() -> None:
    several = 0
    for draw in range(6):
        for item in numbered(said(listing(classification=True), draw).text, 9, cut=False):
            found = labelled(said(asked_for("output_first", str(item), most=5)).text, cut=False)
            labels = [each.output for each in found if isinstance(each, Instance)]
            assert len(labels) == len(set(labels)) == len(found) > 0
            for each in found:
                assert isinstance(each, Instance)
                assert check(str(item), each.input, each.output) is True
            several += len(found) > 1
    assert several > 3


@pytest.mark.parametrize("classification", [True, False])
def test_its_instances_as_json(classification: bool) -> None:
    text = asked_for(
        "instances_json", "Extract all hashtags, in order.", most=5, classification=classification
    )
    found = examples(said(text).text)
    assert found
    for each in found:
        assert isinstance(each, Instance)
        assert check("Extract all hashtags, in order.", each.input, each.output) is True


def test_it_errs_at_the_set_rates() -> None:
    """Everything that the steps drop for occurs, and most of what is written is still good."""
    reasons: set[str] = set()
    lists = [said(listing(), draw, faults=0.3) for draw in range(150)]
    for completion in lists:
        items = numbered(completion.text, 9, cut=completion.finish_reason == "length")
        reasons |= {each.reason for each in items if isinstance(each, ParseError)}
    assert reasons >= {"no_list", "truncated", "preface"}
    wrong = total = 0
    reasons = set()
    for draw in range(300):
        text = asked_for("input_first", "Extract all hashtags, in order.", most=5)
        completion = said(text, draw, wrong=0.2, faults=0.3)
        found = worked(completion.text, cut=completion.finish_reason == "length")
        for each in found:
            if isinstance(each, ParseError):
                reasons.add(each.reason)
            else:
                total += 1
                wrong += check("Extract all hashtags, in order.", each.input, each.output) is False
    assert reasons >= {"no_instance", "truncated"}
    assert 0.15 < wrong / total < 0.6
    verdicts = {
        said(asked_for("classify", "Write a poem."), draw, faults=0.3, wrong=0.2).text for draw in range(200)
    }
    assert {"No", "Yes", "", "**No**.", "That depends on the labels."} <= verdicts


@settings(max_examples=150)
@given(
    st.sampled_from(["classify", "input_first", "output_first", "instances_json"]),
    st.text(max_size=80),
    st.sampled_from(["f00d", ""]),
)
def test_it_never_raises(name: str, instruction: str, fence: str) -> None:
    slots: dict[str, Any] = {} if name == "classify" else {"most": 5}
    if name == "instances_json":
        slots["classification"] = True
    text = asked_for(name, instruction, fence=fence, **slots)
    assert isinstance(said(text, faults=0.5, wrong=0.5).text, str)
    assert isinstance(said(text[:-3], faults=0.5, wrong=0.5).text, str)


def test_what_is_asked_of_others_is_left_to_them() -> None:
    """A row's text that looks like one of these prompts, inside a judge's, is judged."""
    inner = asked_for("classify", "Write a poem.")
    (system, user) = PROMPTS.render(
        "judge/accuracy", aspect="accuracy", low="0", high="5", fence="abcd", prompt=inner, response="No"
    )
    verdict = said(system.content + "\n\n" + user.content).text
    assert re.match(r"\{", verdict)
    assert "score" in json.loads(verdict)
    assert solve("Reverse these words: red blue green") == said("Reverse these words: red blue green").text
