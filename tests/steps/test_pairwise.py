"""The pairwise step: two answers are compared in both orders, and a win is one only when it holds in both."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from comparing import ATTACKS, Judge, fence, rows, shown
from given import given

from selfinstruct.errors import DataError
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.sample import Sample
from selfinstruct.steps.pairwise import SCHEMA, pairwise
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Teacher

Play = Callable[[Teacher], str]


def verdict(side: str) -> str:
    return json.dumps({"better": side, "reason": "so"})


def by_last_digit(texts: list[str]) -> str:
    first, second = (int(text[-1]) for text in texts)
    return verdict("tie" if first == second else "A" if first > second else "B")


def compared(
    folder: Path, samples: Sequence[Sample], judge: str, name: str = "run", **options: Any
) -> Outcome:
    return execute([given(samples), pairwise(**options)], out=folder / name, judge=judge)


def drops(folder: Path) -> list[str]:
    with Store.read(folder / "run") as store:
        return [drop.reason for drop in store.drops(1)]


def test_the_score_is_the_share_of_comparisons_won(tmp_path: Path, play: Play) -> None:
    judge = Judge(by_last_digit, structured=True)
    samples = [*rows("fish 1", "fish 3", "fish 2"), *rows("bird 1", "bird 1!1", asked="Name a bird.")]
    outcome = compared(tmp_path, samples, play(judge), aspect="truth")
    assert [row.scores["wins"] for row in outcome.samples] == [0.0, 1.0, 0.5, 0.5, 0.5]
    assert [row.output for row in outcome.samples] == [row.output for row in samples]
    assert len(judge.asked) == 3 * 2 + 2
    assert "by truth?" in judge.asked[0].messages[-1].content
    assert all(request.schema == SCHEMA for request in judge.asked)
    assert {tuple(shown(request)) for request in judge.asked} >= {("fish 1", "fish 3"), ("fish 3", "fish 1")}
    facts = outcome.funnel.steps[1].facts
    assert (facts["compared"], facts["agreed"], facts["first_place_wins"]) == (4, 4, 0.5)
    assert facts["headline"] == (
        "4 comparisons; the two orders agree in 100%, the first place wins 50% of what is decided"
    )


# What the judge says when the answer stands first, when it stands second, and what the answer gets by AlpaGasus' rule
# (Chen et al. 2023, section 4): win/win and win/tie win, tie/tie and win/lose tie, the rest loses.
RULE = [
    ("A", "B", 1.0),
    ("A", "tie", 1.0),
    ("tie", "B", 1.0),
    ("tie", "tie", 0.5),
    ("A", "A", 0.5),
    ("B", "B", 0.5),
    ("tie", "A", 0.0),
    ("B", "tie", 0.0),
    ("B", "A", 0.0),
]


@pytest.mark.parametrize(("first", "second", "wins"), RULE)
def test_the_rule_of_alpagasus(tmp_path: Path, play: Play, first: str, second: str, wins: float) -> None:
    judge = Judge(lambda texts: verdict(first if texts[0] == "ours" else second))
    outcome = compared(tmp_path, rows("ours", "theirs"), play(judge))
    assert [row.scores["wins"] for row in outcome.samples] == [wins, 1 - wins]


def test_a_judge_that_favours_a_place_decides_nothing_and_is_found_out(tmp_path: Path, play: Play) -> None:
    samples = [row for n in range(5) for row in rows("one", "two", asked=f"Name {n} fish.")]
    outcome = compared(tmp_path, samples, play(Judge(lambda texts: verdict("A"))))
    assert {row.scores["wins"] for row in outcome.samples} == {0.5}
    facts = outcome.funnel.steps[1].facts
    assert (facts["agreed"], facts["first_place_wins"]) == (0, 1.0)


@pytest.mark.parametrize(
    "said",
    [
        "Both are good.",
        "",
        "I'm sorry, but I can't compare these.",
        '{"better": "A", "rea',
        "[[A]] or [[B]]",
        Completion(verdict("A"), "length"),
        Completion("", "filtered"),
        Completion("", "rejected"),
    ],
)
def test_a_comparison_that_cannot_be_read_in_one_order_is_none(
    tmp_path: Path, play: Play, said: str | Completion
) -> None:
    judge = Judge(lambda texts: said if texts == ["one", "two"] else verdict("A"))
    samples = [
        *rows("one", "two"),
        *rows("three", "four", asked="Name a bird."),
        *rows("five", asked="Name a tree."),
    ]
    outcome = compared(tmp_path, samples, play(judge))
    assert [row.output for row in outcome.samples] == ["three", "four"]
    assert drops(tmp_path) == ["unscored", "unscored", "alone"]
    facts = outcome.funnel.steps[1].facts
    assert (facts["compared"], facts["unread"]) == (1, 1)
    assert "warning" in facts


def test_the_later_of_too_many_answers_are_left_out(tmp_path: Path, play: Play) -> None:
    judge = Judge(by_last_digit)
    outcome = compared(tmp_path, rows("fish 1", "fish 2", "fish 3"), play(judge), most=2)
    assert [row.scores["wins"] for row in outcome.samples] == [0, 1]
    assert drops(tmp_path) == ["too_many"]
    assert len(judge.asked) == 2


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_row_can_neither_judge_nor_leave_its_marks(tmp_path: Path, play: Play, attack: str) -> None:
    judge = Judge(lambda texts: verdict("B" if texts[0] == attack else "A"))
    outcome = compared(tmp_path, rows(attack, "Trout"), play(judge))
    assert [row.scores["wins"] for row in outcome.samples] == [0, 1]
    for request in judge.asked:
        assert fence(request) not in attack


def test_a_replay_asks_nothing(tmp_path: Path, play: Play) -> None:
    judge = Judge(by_last_digit)
    before = compared(tmp_path, rows("fish 1", "fish 2"), play(judge))
    again = compared(tmp_path, rows("fish 1", "fish 2"), play(judge), window=1)
    assert again.samples == before.samples
    assert len(judge.asked) == 2


def test_a_row_that_waits_for_its_answer_is_an_error(tmp_path: Path, play: Play) -> None:
    with pytest.raises(DataError, match="no answer to compare"):
        compared(tmp_path, [Sample.of("Name a fish.")], play(Judge(by_last_digit)))
