"""The rank step: variants are scored together, in one prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from comparing import ATTACKS, Judge, fence, rows, shown
from given import given

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.sample import Message, Sample
from selfinstruct.steps.rank import rank
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Teacher

Play = Callable[[Teacher], str]


def lines(scores: Sequence[Any]) -> str:
    return "\n".join(f"[{place}] Score: {score}" for place, score in enumerate(scores, 1))


def last_digit(texts: list[str]) -> str:
    return lines([text[-1] for text in texts])


def scored(folder: Path, samples: Sequence[Sample], judge: str, name: str = "run", **options: Any) -> Outcome:
    return execute([given(samples), rank(**options)], out=folder / name, judge=judge)


def drops(folder: Path, name: str = "run") -> list[str]:
    with Store.read(folder / name) as store:
        return [drop.reason for drop in store.drops(1)]


def chain(root: int, *prompts: str) -> list[Sample]:
    return [Sample.of(prompt, meta={"root": root}) for prompt in prompts]


def test_answers_to_one_prompt_are_scored_wherever_they_stood(tmp_path: Path, play: Play) -> None:
    judge = Judge(last_digit)
    samples = [row for n in range(10) for row in rows("fish 1", "fish 4", "fish 2", asked=f"Name {n} fish.")]
    outcome = scored(tmp_path, samples, play(judge))
    assert [row.scores["quality"] for row in outcome.samples] == [
        1,
        4,
        2,
    ] * 10  # four of three: not to be bettered
    assert len(judge.asked) == 10
    assert len({tuple(shown(request)) for request in judge.asked}) > 1
    assert "Name 0 fish." in judge.asked[0].messages[-1].content
    facts = outcome.funnel.steps[1].facts
    assert facts["headline"] == "30 answers in 10 groups ranked; in 0 all score the same"


def test_variants_of_a_prompt_are_found_by_a_key_and_scored_by_complexity(tmp_path: Path, play: Play) -> None:
    judge = Judge(last_digit)
    talk = Sample(
        (Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Add 2 and 3")),
        meta={"root": 2},
    )
    samples = [*chain(1, "Add 1", "Add both 2", "Add all 3"), talk, *chain(2, "Add 1")]
    outcome = scored(tmp_path, samples, play(judge), of="prompts", per="root")
    assert [(row.meta["root"], row.scores["complexity"]) for row in outcome.samples] == [
        *((1, 1), (1, 2), (1, 3)),
        *((2, 3), (2, 1)),
    ]
    assert any(
        "user: Hi\n\nassistant: Yes?\n\nuser: Add 2 and 3" in shown(request) for request in judge.asked
    )


def test_a_row_without_the_key_is_alone(tmp_path: Path, play: Play) -> None:
    samples = [*chain(1, "Add 1", "Add 2"), Sample.of("Sort 1"), Sample.of("Sort 2")]
    outcome = scored(tmp_path, samples, play(Judge(last_digit)), of="prompts", per="root")
    assert len(outcome.samples) == 2
    assert drops(tmp_path) == ["alone", "alone"]


def test_paper_shows_them_as_they_came(tmp_path: Path, play: Play) -> None:
    judge = Judge(last_digit)
    samples = [row for n in range(6) for row in rows("fish 1", "fish 2", "fish 3", asked=f"Name {n} fish.")]
    scored(tmp_path, samples, play(judge), fidelity="paper")
    assert {tuple(shown(request)) for request in judge.asked} == {("fish 1", "fish 2", "fish 3")}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (lines([1, 2, 5]), 2),  # of three, four is the highest
        (lines([1, 2]), 2),
        (lines([1, 2, 3, 1]), 0),
        (lines([1, 2.5, 3]), 2),
        ("The second is best.", 0),
        (Completion(lines([1, 2, 3]), "length"), 0),
        ("", 0),
    ],
)
def test_a_score_that_is_none_is_never_a_number(
    tmp_path: Path, play: Play, said: str | Completion, kept: int
) -> None:
    judge = Judge(lambda texts: said)
    outcome = scored(tmp_path, rows("one", "two", "three"), play(judge))
    assert len(outcome.samples) == kept
    assert drops(tmp_path) == ["unscored"] * (3 - kept)
    assert len(judge.asked) == 2


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("of", ["answers", "prompts"])
def test_a_row_can_neither_rank_itself_nor_leave_its_marks(
    tmp_path: Path, play: Play, attack: str, of: str
) -> None:
    judge = Judge(lambda texts: lines([1 if text == attack else 2 for text in texts]))
    samples = rows(attack, "Trout") if of == "answers" else chain(1, attack, "Name a fish.")
    outcome = scored(tmp_path, samples, play(judge), of=of, per=None if of == "answers" else "root")
    assert [list(row.scores.values()) for row in outcome.samples] == [[1], [2]]
    for request in judge.asked:
        assert fence(request) not in attack


def test_a_replay_asks_nothing(tmp_path: Path, play: Play) -> None:
    judge = Judge(last_digit)
    before = scored(tmp_path, rows("fish 1", "fish 2"), play(judge))
    again = scored(tmp_path, rows("fish 1", "fish 2"), play(judge), window=1)
    assert again.samples == before.samples
    assert len(judge.asked) == 1


def test_what_can_be_checked_is_checked(tmp_path: Path, play: Play) -> None:
    judge = play(Judge(last_digit))
    with pytest.raises(ConfigError, match="variants of one another"):
        scored(tmp_path, rows("one"), judge, of="prompts")
    with pytest.raises(DataError, match="no answer to rank"):
        scored(tmp_path, [Sample.of("Name a fish.")], judge)
