"""Parsers of grounded pairs and planned tasks: any text gives a value or a ParseError, and quotes are found exactly."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import ParseError
from selfinstruct.parse.cot_self_instruct import Planned, planned
from selfinstruct.parse.ground import Pair, copied, located, pairs, refers


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (pairs, lambda said: planned(said, verifiable=True)):
        try:
            read(text)
        except ParseError:
            continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["question", "answer", "quote"]), inner)
    ),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=4))
def test_any_list_gives_an_item_for_each_item(items: list[object]) -> None:
    found = pairs(json.dumps({"pairs": items}))
    assert len(found) == len(items)
    assert all(isinstance(each, Pair | ParseError) for each in found)


@given(st.text(min_size=1), st.text(), st.text())
def test_a_quote_is_found_where_it_stands(quote: str, before: str, after: str) -> None:
    passage = f"{before} {quote} {after}"
    if not quote.strip():
        assert located(quote, passage) is None
        return
    place = located(" ".join(quote.split()), passage)
    assert place is not None
    assert passage[slice(*place)].split() == quote.split()


@pytest.mark.parametrize(
    ("quote", "passage", "place"),
    [
        ("two  three", "one two\nthree four", (4, 13)),
        ("now here", "nowhere but now here", (12, 20)),
        ("Two three", "one two three", None),
        ("", "one", None),
        ("养 蜂", "养蜂", None),
    ],
)
def test_located(quote: str, passage: str, place: tuple[int, int] | None) -> None:
    assert located(quote, passage) == place


@pytest.mark.parametrize(
    ("answer", "passage", "count"),
    [
        ("It is the old tram of the town.", "The old tram of the town runs.", 6),
        ("Nothing alike.", "The old tram.", 0),
        ("", "x", 0),
        ("北京很冷", "今天北京很冷。", 4),
    ],
)
def test_copied_counts_words_in_a_row(answer: str, passage: str, count: int) -> None:
    assert copied(answer, passage) == count


def test_copying_and_quoting_take_no_time() -> None:
    began = time.monotonic()
    passage = "a b " * 2_000
    assert copied(passage, passage) == 4_000
    located("a b " * 900 + "c", passage)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "text",
    [
        "What does the passage say?",
        "According to the author, why?",
        "Which year is mentioned above?",
        "In the given text, who sings?",
        "根据文章，蜜蜂吃什么？",
        "Was steht im Text?",
        "¿Qué dice el texto?",
        "ماذا يقول النص؟",
        "Что сказано в тексте?",
    ],
)
def test_a_reference_to_an_unseen_text_is_found(text: str) -> None:
    assert refers(text)


@pytest.mark.parametrize(
    "text",
    [
        "Who built the tower?",
        "What does a text editor do?",
        "How long is the text message?",
        "How do poets write about the passage of time?",
        "日本文化从何时开始影响欧洲？",
        "写一篇文章。",
        "L'article 5 de la loi?",
    ],
)
def test_other_texts_are_no_reference(text: str) -> None:
    assert refers(text) is None


def test_the_parts_before_the_task_do_not_matter() -> None:
    text = "<think>Hm <b>.</think>\n<plan>p</plan> <task> Add 3 and 4. </task><answer>7</answer>\nDone."
    assert planned(text, verifiable=True) == Planned("Add 3 and 4.", "7")
    assert planned("<task>Write a poem.</task>", verifiable=False) == Planned("Write a poem.", "")
