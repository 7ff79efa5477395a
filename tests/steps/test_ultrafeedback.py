"""The ultrafeedback step: answers to one prompt are rated side by side, and no rating is made up."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from comparing import ATTACKS, TALK, Judge, fence, rows, shown
from given import given

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.sample import Message, Sample
from selfinstruct.steps.ultrafeedback import ASPECTS, SCHEMA, ultrafeedback
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Teacher

Play = Callable[[Teacher], str]


def verdict(ratings: Sequence[Any]) -> str:
    return json.dumps(
        {
            "ratings": [
                {"id": place, "rating": each, "rationale": f"it is {each}"}
                for place, each in enumerate(ratings, 1)
            ]
        }
    )


def last_digit(texts: list[str]) -> str:
    return verdict([int(text[-1]) for text in texts])


def rated(folder: Path, samples: Sequence[Sample], judge: str, name: str = "run", **options: Any) -> Outcome:
    return execute([given(samples), ultrafeedback(**options)], out=folder / name, judge=judge)


def drops(folder: Path) -> list[tuple[str, str]]:
    with Store.read(folder / "run") as store:
        return [(drop.reason, drop.detail.get("fault", "")) for drop in store.drops(1)]


def test_every_answer_gets_its_own_rating_wherever_it_stood(tmp_path: Path, play: Play) -> None:
    judge = Judge(last_digit, structured=True)
    samples = [row for n in range(12) for row in rows("fish 1", "fish 5", "fish 3", asked=f"Name {n} fish.")]
    outcome = rated(tmp_path, samples, play(judge))
    assert [row.output for row in outcome.samples] == [row.output for row in samples]
    for row in outcome.samples:
        mark = int(row.output[-1])
        assert row.scores == dict.fromkeys([*ASPECTS, "overall"], mark)
        assert row.meta["feedback"] == dict.fromkeys(ASPECTS, f"it is {mark}")
    orders = {tuple(shown(request)) for request in judge.asked}
    assert len(orders) == 6  # all orders of three are drawn in 48 calls
    assert len(judge.asked) == 48
    assert {request.schema == SCHEMA for request in judge.asked} == {True}
    assert len({request.messages for request in judge.asked}) == 48  # four aspects, twelve prompts
    facts = outcome.funnel.steps[1].facts
    assert facts["means"] == dict.fromkeys(ASPECTS, 3.0)
    assert facts["ratings"]["honesty"] == {"1": 12, "3": 12, "5": 12}
    assert facts["headline"].startswith("36 answers to 12 prompts rated; instruction following 3.00, ")


def test_the_conversation_is_shown_whole(tmp_path: Path, play: Play) -> None:
    judge = Judge(last_digit)
    talks = [Sample((*TALK, Message("assistant", f"{colour} 4"))) for colour in ("Blue", "Green")]
    rated(tmp_path, talks, play(judge), aspects=("helpfulness",))
    (request,) = judge.asked
    assert (
        f"<{fence(request)} request>\nsystem: Be brief.\n\nuser: Name a colour.\n\nassistant: Red\n\nuser: Another.\n\n"
        f"</{fence(request)} request>" in request.messages[-1].content
    )
    assert sorted(shown(request)) == ["Blue 4", "Green 4"]
    assert dict(request.params) == {"temperature": 0.0, "max_tokens": 1500}


UNREADABLE: list[tuple[str | Completion, str]] = [
    ("They are all good.", "no_score"),
    (verdict([10, 10]), "out_of_range"),
    (verdict([4.5, 4.5]), "no_score"),
    (verdict([None, None]), "withheld"),
    (verdict([1, 2, 3]), "bad_ids"),
    (verdict([1, 2])[:-4], "bad_json"),
    ("", "empty_output"),
    ("I'm sorry, but I can't rate these.", "no_score"),
    (Completion(verdict([1, 2]), "length"), "truncated"),
    (Completion("", "filtered"), "filtered"),
    (Completion("", "rejected", refusal="too long"), "rejected"),
]


@pytest.mark.parametrize(("said", "reason"), UNREADABLE)
def test_an_unreadable_rating_is_never_a_number(
    tmp_path: Path, play: Play, said: str | Completion, reason: str
) -> None:
    judge = Judge(lambda texts: said)
    outcome = rated(tmp_path, rows("one", "two"), play(judge), aspects=("honesty",))
    assert outcome.samples == ()
    assert [(why, fault.startswith(f"honesty: {reason}")) for why, fault in drops(tmp_path)] == [
        ("unscored", True)
    ] * 2
    assert outcome.funnel.steps[1].facts["unscored"] == 2
    assert "warning" in outcome.funnel.steps[1].facts
    asked = 1 if isinstance(said, Completion) and said.finish_reason == "rejected" else 2
    assert len(judge.asked) == asked


def test_a_verdict_with_a_hole_is_asked_for_again_in_another_order_and_costs_one_row(
    tmp_path: Path, play: Play
) -> None:
    judge = Judge(lambda texts: verdict([None if text == "fish 3" else int(text[-1]) for text in texts]))
    outcome = rated(tmp_path, rows("fish 1", "fish 2", "fish 3"), play(judge), aspects=("honesty",), draws=3)
    assert [row.scores["honesty"] for row in outcome.samples] == [1, 2]
    assert [why for why, _ in drops(tmp_path)] == ["unscored"]
    assert [request.draw for request in judge.asked] == [0, 1, 2]
    assert len({tuple(shown(request)) for request in judge.asked}) > 1


def test_a_second_verdict_stands_in_for_a_bad_first_one(tmp_path: Path, play: Play) -> None:
    said = iter(["no idea", verdict([4, 4])])
    outcome = rated(tmp_path, rows("one", "two"), play(Judge(lambda texts: next(said))), aspects=("honesty",))
    assert [row.scores["overall"] for row in outcome.samples] == [4, 4]


def test_who_is_alone_is_not_asked_about_and_who_is_one_too_many_neither(tmp_path: Path, play: Play) -> None:
    judge = Judge(last_digit)
    samples = [*rows("fish 1", "fish 2", "fish 3"), *rows("bird 4", asked="Name a bird.")]
    outcome = rated(tmp_path, samples, play(judge), aspects=("honesty",), most=2)
    assert [row.output for row in outcome.samples] == ["fish 1", "fish 2"]
    assert [why for why, _ in drops(tmp_path)] == ["too_many", "alone"]
    alone = rated(tmp_path, samples, play(judge), "alone", aspects=("honesty",), least=1)
    assert [row.scores["honesty"] for row in alone.samples] == [1, 2, 3, 4]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_row_can_neither_rate_itself_nor_leave_its_marks(tmp_path: Path, play: Play, attack: str) -> None:
    """The judge is shown the row's text as it is, inside marks that are not in it; what it says is what counts."""
    judge = Judge(lambda texts: verdict([1 if text == attack else 4 for text in texts]))
    outcome = rated(tmp_path, rows(attack, "Trout"), play(judge))
    assert [row.scores["overall"] for row in outcome.samples] == [1, 4]
    for request in judge.asked:
        assert sorted(shown(request)) == sorted([attack, "Trout"])
        assert fence(request) not in attack
        assert attack not in request.messages[0].content


def test_a_replay_asks_nothing(tmp_path: Path, play: Play) -> None:
    judge = Judge(last_digit)
    samples = rows("fish 1", "fish 2")
    before = rated(tmp_path, samples, play(judge))
    again = rated(tmp_path, samples, play(judge), window=1)
    assert again.samples == before.samples
    assert len(judge.asked) == 4


def test_what_can_be_checked_is_checked(tmp_path: Path, play: Play) -> None:
    judge = play(Judge(last_digit))
    with pytest.raises(ConfigError, match="`aspects` is empty"):
        rated(tmp_path, rows("one"), judge, aspects=())
    with pytest.raises(DataError, match="no answer to rate"):
        rated(tmp_path, [Sample.of("Name a fish.")], judge)
