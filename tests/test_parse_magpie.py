"""User turns out of raw completions, and tags: what leaked is cut, what is none is a fault, nothing real is lost."""

from __future__ import annotations

import contextlib
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import ParseError
from selfinstruct.parse.magpie import CATEGORIES, LEVELS, tag, user_turn

LLAMA = ("<|eot_id|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>")
GEMMA = ("<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")


def fault(text: str, *, whole: bool = True, system: str = "", stop: tuple[str, ...] = LLAMA) -> str:
    with pytest.raises(ParseError) as caught:
        user_turn(text, stop=stop, whole=whole, system=system)
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "expected", "cut"),
    [
        ("What is a tide?", "What is a tide?", ""),
        ("\n  What is a tide?\n", "What is a tide?", ""),
        ("What is a tide?<|eot_id|>", "What is a tide?", "template_mark"),
        (
            "What is a tide?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA tide is",
            "What is a tide?",
            "template_mark",
        ),
        ("What is a tide?assistant\n\nA tide is", "What is a tide?", "role_name"),
        ("What is a tide?\nassistant\nA tide is", "What is a tide?", "role_name"),
        ("什么是潮汐？assistant\n\n潮汐是", "什么是潮汐？", "role_name"),
        ("user\n\nWhat is a tide?", "What is a tide?", ""),
        (
            "Write an ad for a dental assistant\nin Ghent.",
            "Write an ad for a dental assistant\nin Ghent.",
            "",
        ),
        ("Sort these words:\nteacher\nassistant\nnurse", "Sort these words:\nteacher\nassistant\nnurse", ""),
        ("Which car is it?\nmodel\nFord", "Which car is it?\nmodel\nFord", ""),
        ("Hi! Can you name a fish?", "Hi! Can you name a fish?", ""),
        ("Hello world in Rust", "Hello world in Rust", ""),
        ("You are a pirate. Sell me a boat.", "You are a pirate. Sell me a boat.", ""),
    ],
)
def test_what_follows_the_turn_is_cut_and_nothing_else(text: str, expected: str, cut: str) -> None:
    assert user_turn(text, stop=LLAMA, whole=True) == (expected, cut)


def test_gemma_calls_its_assistant_model() -> None:
    text = "What is a tide?\nmodel\nA tide is"
    assert user_turn(text, stop=GEMMA, whole=True) == ("What is a tide?", "role_name")


def test_a_cut_completion_is_a_fault_unless_its_turn_had_ended() -> None:
    assert fault("What is a ti", whole=False) == "truncated"
    leaked = "What is a tide?<|eot_id|><|start_header_id|>assis"
    assert user_turn(leaked, stop=LLAMA, whole=False).text == "What is a tide?"


@pytest.mark.parametrize(
    "text", ["I'm an AI student. Explain dropout.", "As an AI engineer, how do I begin?"]
)
def test_whoever_works_on_ai_is_a_user(text: str) -> None:
    assert user_turn(text, stop=LLAMA, whole=True).text == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Hi",
            "hello!",
            "Hey there 👋",
            "Hi there! How can I help you today?",
            "Good morning.",
            "How are you?",
        ),
        *("Hello! How can I assist you today?", "Bonjour !", "你好！", "مرحبا", "Hola, hello"),
    ],
)
def test_a_greeting_alone_is_no_instruction(text: str) -> None:
    assert fault(text) == "greeting"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("<|eot_id|>What?", "empty"),
        ("assistant\n\nSure.", "assistant_text"),
        ("As an AI language model I have no hobbies.", "assistant_text"),
        ("I am just an AI, and have no hobbies.", "assistant_text"),
        ("Sure! Here is your poem:", "assistant_text"),
        ("I'm sorry, but I can't help with that.", "assistant_text"),
        ("system\n\nYou are a helpful assistant.", "system_leak"),
        ("Cutting Knowledge Date: December 2023", "system_leak"),
    ],
)
def test_what_is_not_the_users(text: str, reason: str) -> None:
    assert fault(text) == reason


def test_the_system_message_over_again_is_known_by_its_beginning() -> None:
    system = "You help people with mathematics, step by step. They bring you problems."
    assert fault("You help people with  mathematics, step by step. They", system=system) == "system_leak"
    assert (
        user_turn("You help me, please?", stop=LLAMA, whole=True, system=system).text
        == "You help me, please?"
    )


@given(st.text(), st.booleans())
def test_any_text_gives_a_turn_without_marks_or_a_fault(text: str, whole: bool) -> None:
    with contextlib.suppress(ParseError):
        found = user_turn(text, stop=LLAMA, whole=whole)
        assert found.text == found.text.strip() != ""
        assert not any(mark in found.text for mark in LLAMA)
        assert found.text in text


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("difficulty", '{"intent": "a", "knowledge": "b", "difficulty": "Very  Hard"}', "very hard"),
        ("quality", '```json\n{"explanation": "clear", "quality": "good"}\n```', "good"),
        ("quality", 'Here: {"quality": "`excellent`."}', "excellent"),
        (
            "category",
            '{"category": "coding & debugging", "others": ["Math", "Cooking"]}',
            "Coding & Debugging",
        ),
    ],
)
def test_a_tag_is_read(kind: str, text: str, expected: str) -> None:
    assert tag(text, kind).value == expected


def test_what_the_model_says_about_a_tag_is_kept_and_unknown_others_are_not() -> None:
    assert tag('{"category": "Math", "others": ["reasoning", "Cooking", 3]}', "category").told == {
        "other_categories": ["Reasoning"]
    }
    told = tag('{"intent": " to sort ", "knowledge": "order", "difficulty": "easy"}', "difficulty").told
    assert told == {"intent": "to sort", "knowledge": "order"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("good", "no_json"),
        ('{"quality": "good"', "bad_json"),
        ('{"explanation": "good"}', "no_tag"),
        ('{"quality": 4}', "no_tag"),
        ('{"quality": "[very poor/poor/average/good/excellent]"}', "unknown_tag"),
        ('{"quality": "good"} or {"quality": "poor"}', "two_objects"),
    ],
)
def test_what_is_no_tag_is_a_fault_never_a_default(text: str, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        tag(text, "quality")
    assert caught.value.reason == reason


@given(st.text() | st.dictionaries(st.text(), st.text() | st.none() | st.integers()).map(json.dumps))
def test_any_answer_gives_a_known_tag_or_a_fault(text: str) -> None:
    for kind in ("difficulty", "quality", "category"):
        try:
            value = tag(text, kind).value
        except ParseError:
            continue
        assert value in (LEVELS.get(kind) or CATEGORIES)


def test_the_published_scales() -> None:
    """Five levels each, and twelve kinds of task (Xu et al. 2024, unitag.py)."""
    assert Counter(map(len, LEVELS.values())) == {5: 2}
    assert len(CATEGORIES) == 12
