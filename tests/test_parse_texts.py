"""Instructions for texts, instructions of a grid, personas: read, or named as a fault."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import ParseError
from selfinstruct.parse.backtranslate import instruction
from selfinstruct.parse.persona import instructions, persona

TEXT = "The tide follows the moon, but not at its heels: water has to flow around coasts."


def said(value: object, key: str = "instruction") -> str:
    return json.dumps({key: value}, ensure_ascii=False)


@pytest.mark.parametrize(
    "text",
    [
        "Why does high water come later than the moon?",
        "Explain tides in one sentence.",
        "为什么涨潮比月亮晚？",
        "Write a parser for this text format in Go.",
        "Write a response above 100 words about tides.",
        "Shorten this text: The tide, which follows the moon as everybody knows, is late.",
    ],
)
def test_an_instruction_is_read_as_it_is(text: str) -> None:
    assert instruction(said(f" {text}\n"), TEXT) == text


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Explain tides.", "no_json"),
        (said(""), "no_instruction"),
        (said(["Explain tides."]), "no_instruction"),
        (said("Explain tides.", "task"), "no_instruction"),
        (said("Summarise this passage."), "meta_words"),
        (said("Rewrite the text above."), "meta_words"),
        (said("What does the following article say?"), "meta_words"),
        (said("the tide follows the moon, but not at its heels: water has to flow around coasts."), "echo"),
        (said(f"Say: {TEXT}"), "echo"),
    ],
)
def test_what_is_no_instruction_for_the_text(answer: str, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        instruction(answer, TEXT)
    assert caught.value.reason == reason


def test_a_text_that_speaks_of_this_text_may_be_asked_for_so() -> None:
    licence = "This document may be copied by everybody who keeps this line."
    assert instruction(said("Write a line that lets everybody copy this document."), licence)


def reasons(items: list[str | ParseError]) -> list[str]:
    return [item if isinstance(item, str) else item.reason for item in items]


def test_each_item_of_a_grid_stands_for_itself() -> None:
    items = ["Name a fish.", "", 3, "As the persona, ask for bread.", " Sort it. ", "One too many."]
    assert reasons(instructions(said(items, "instructions"), 5)) == [
        *("Name a fish.", "empty", "bad_item", "meta_words", "Sort it.", "surplus")
    ]


@pytest.mark.parametrize("answer", [said("Name a fish.", "instructions"), said([], "instructions"), "{}"])
def test_no_list_is_a_fault(answer: str) -> None:
    with pytest.raises(ParseError) as caught:
        instructions(answer, 2)
    assert caught.value.reason == "bad_json"


@pytest.mark.parametrize(
    "item",
    [
        *(
            "Suggest three hikes with their length and difficulty level.",
            "Is this domain name easy to spell?",
        ),
        *("Describe the persona of a typical customer of a bakery.", "Write a bio for my stage persona."),
    ],
)
def test_what_only_sounds_like_the_grid_is_an_instruction(item: str) -> None:
    assert instructions(said([item], "instructions"), 1) == [item]


@pytest.mark.parametrize(
    "item",
    [
        *(
            "Difficulty: easy. Name a fish.",
            "Ask something of the given domain.",
            "Solve it at this difficulty.",
        ),
        *("What would this persona ask?", "As a persona who bakes, ask for bread."),
    ],
)
def test_what_speaks_of_the_grid_is_none(item: str) -> None:
    (fault,) = instructions(said([item], "instructions"), 1)
    assert isinstance(fault, ParseError)
    assert fault.reason == "meta_words"


def test_a_persona_is_one_line() -> None:
    assert persona(said("A nurse\n who counts.", "persona")) == "A nurse who counts."
    with pytest.raises(ParseError, match="no_persona"):
        persona(said(None, "persona"))


@given(st.text(), st.text())
def test_any_text_is_read_or_a_fault(text: str, other: str) -> None:
    for answer in (text, said(text), said([text, other], "instructions"), said(text, "persona")):
        for read in (lambda a: instruction(a, other), lambda a: instructions(a, 1), persona):
            with contextlib.suppress(ParseError):
                assert read(answer)
