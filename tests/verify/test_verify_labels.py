"""The label that an answer ends with, and exact answers."""

from __future__ import annotations

import pytest

from selfinstruct import verify
from selfinstruct.errors import ParseError
from selfinstruct.verify.labels import label

YES = ("yes", "no")
LETTERS = ("A", "B", "C", "D")
EQUAL = ("equal", "not equal")
SPAM = ("spam", "ham")


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("The answer is yes.", YES, "yes"),
        ("Yes", YES, "yes"),
        ("可以", ["可以", "不可以"], "可以"),
        ("不可以", ["可以", "不可以"], "不可以"),
        ("Not A but B", LETTERS, "B"),
        ("Genghis Khan had sixteen children.\nSo the answer is **no**.", YES, "no"),
        ("The answer is (C) because A is too large.", LETTERS, "C"),
        ("A good guess would be A, but a closer look says:\nAnswer: B", LETTERS, "B"),
        (r"\boxed{\text{D}}", LETTERS, "D"),
        ("The two are not equal.", EQUAL, "not equal"),
        ("Verdict: EQUAL", EQUAL, "equal"),
        ("This mail sells pills.\nLabel: spam", SPAM, "spam"),
        ("Spam, as the links show.\nThat is all.", SPAM, "spam"),
        ("No: she can't.", YES, "no"),
        ("(B)\nIt is the only one that is even.", LETTERS, "B"),
        ("答案是正面。", ("正面", "负面"), "正面"),
        ("الجواب هو إيجابي", ("إيجابي", "سلبي"), "إيجابي"),
        ("The answer is science fiction", ("fiction", "science fiction"), "science fiction"),
    ],
)
def test_it_is_read(text: str, labels: tuple[str, ...], expected: str) -> None:
    assert label(text, labels) == expected


@pytest.mark.parametrize(
    ("text", "labels", "reason"),
    [
        ("", YES, "no_answer"),
        ("I know nothing", YES, "no_answer"),
        ("The answer is either A or B", LETTERS, "two_answers"),
        ("a is for apple", LETTERS, "no_answer"),
        ("I have no idea.", YES, "no_answer"),
        ("No idea.", YES, "no_answer"),
        ("There is no doubt that she has it.\nThat is what I think.", YES, "no_answer"),
        ("Yes, I think so.\nBut then again: no.", YES, "two_answers"),
        ("The answer is that this is not spam", SPAM, "no_answer"),
        ("Answer: (A) or (B)", LETTERS, "two_answers"),
        ("The answer is A/B.", LETTERS, "two_answers"),
        ("yes and no", YES, "two_answers"),
        ("I can't tell whether this is spam or ham.", SPAM, "two_answers"),
        ("不是", ["是", "否"], "no_answer"),
        ("答案是不可以", ["可以", "不行"], "no_answer"),
        ("Ce n'est pas positif", ["positif", "négatif"], "no_answer"),
        ("Das ist kein Spam", SPAM, "no_answer"),
        ("ليس إيجابي", ["إيجابي", "سلبي"], "no_answer"),
        ("hammer", SPAM, "no_answer"),
        ("spam or ham", ("ham", "eggs"), None),
    ],
)
def test_nothing_is_guessed(text: str, labels: tuple[str, ...], reason: str | None) -> None:
    if reason is None:
        assert label(text, labels) == "ham"
        return
    with pytest.raises(ParseError) as caught:
        label(text, labels)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("text", "reference", "right"),
    [
        ("The answer is Lima.", "lima", True),
        ("Step by step...\nThe answer is “Lima, Peru”.", "Lima, Peru", True),
        ("Lima", "Lima.", True),
        ("The answer is Lima", "Rome", False),
        ("Ｌｉｍａ", "lima", True),
        ("答案是北京。", "北京", True),
        ("C++", "C#", False),
    ],
)
def test_exact(text: str, reference: str, right: bool) -> None:
    assert verify.right("exact", text, reference) is right


def test_exact_needs_something() -> None:
    with pytest.raises(ParseError):
        verify.final("exact", " \n")
