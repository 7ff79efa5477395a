"""Exact match, ROUGE-L and the health of replies, against hand-worked values and the reference implementation."""

from __future__ import annotations

import pytest
from toys import chat

from selfinstruct.train.metrics import Answers, Question, Reply, exact, measure, rouge_l

QUESTION = Question(chat("one"), "a b", "letters")


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        (Reply("a b", True, 3), True),
        (Reply("a b", False, 3), False),  # it would have gone on
        (Reply("a  b", True, 3), False),
        (Reply("A b", True, 3), False),
        (Reply("", True, 1), False),
    ],
)
def test_exact_match_wants_the_same_text_and_an_end(reply: Reply, right: bool) -> None:
    assert exact(QUESTION, reply) is right


def test_white_space_around_a_reference_does_not_count() -> None:
    assert exact(Question(chat("one"), " a b\n"), Reply("a b", True, 3))


def test_figures_worked_by_hand() -> None:
    questions = [
        Question(chat("1"), "a b c d", "x"),
        Question(chat("2"), "a b c d", "x"),
        Question(chat("3"), "a b c d", "y"),
        Question(chat("4"), "a b c d", "y"),
    ]
    replies = [
        Reply("a b c d", True, 5),
        Reply("a b c d", False, 8),
        Reply("a d", True, 3),  # LCS 2: precision 1, recall 1/2, F 2/3
        Reply("", True, 1),
    ]
    assert measure(questions, Answers(replies, 30.0, 20)) == {
        "exact_match": 0.25,
        "by_family": {"x": 0.5, "y": 0.0},
        "rouge_l": 0.6667,
        "nll": 1.5,
        "ended": 0.75,
        "empty": 0.25,
        "mean_new_tokens": 4.25,
    }


@pytest.mark.parametrize(
    ("candidate", "reference"),
    [
        ("the cat sat on the mat", "the cat was on a mat"),
        ("police killed the gunman", "the gunman killed police"),
        ("A, B and C!", "a b c and d"),
        ("one two three", "four five"),
        ("", "a"),
        ("a a a b", "b a a"),
    ],
)
def test_rouge_l_is_that_of_the_reference_implementation(candidate: str, reference: str) -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    assert rouge_l(candidate, reference) == pytest.approx(
        scorer.score(reference, candidate)["rougeL"].fmeasure
    )


def test_rouge_l_sees_scripts_that_the_reference_implementation_is_blind_to() -> None:
    assert rouge_l("привет мир", "привет мир") == 1.0
    assert rouge_l("привет мир", "привет дом") == 0.5
