"""Which answer is taken. Expected values are worked out by hand."""

from __future__ import annotations

import pytest

from selfinstruct.errors import ParseError
from selfinstruct.verify.choice import Drawn, Pick, different, majority, ranked


def drawn(*rights: bool | None, texts: str = "") -> list[Drawn]:
    return [
        Drawn(number, (texts.split() or [f"t{k}" for k in range(9)])[number], right)
        for number, right in enumerate(rights)
    ]


def numbers(found: list[Drawn]) -> list[int]:
    return [each.number for each in found]


@pytest.mark.parametrize(
    ("pick", "rights", "texts", "best", "wrong"),
    [
        ("first", (False, True, None, True), "", [1, 3], [0]),
        ("shortest", (True, True, False, True), "long mid x two", [1, 3, 0], [2]),
    ],
)
def test_right_ones_come_first(
    pick: Pick, rights: tuple[bool | None, ...], texts: str, best: list[int], wrong: list[int]
) -> None:
    passing, others = ranked(drawn(*rights, texts=texts), pick)
    assert (numbers(passing), numbers(others)) == (best, wrong)


def test_none_right_is_a_reason() -> None:
    with pytest.raises(ParseError, match="no_right_answer: 1 of 2 are wrong"):
        ranked(drawn(False, None), "first")


def voted(*finals: str, reference: str | None = None) -> list[Drawn]:
    return [
        Drawn(number, f"so {final}", None if reference is None or not final else final == reference, final)
        for number, final in enumerate(finals)
    ]


def test_a_majority_is_counted_over_all_draws() -> None:
    """One readable answer of four is no majority, however much it agrees with itself."""
    passing, others = ranked(voted("7", "8", "7", ""), "majority", min_share=0.5)
    assert (numbers(passing), numbers(others)) == ([0, 2], [1])
    with pytest.raises(ParseError, match="no_majority: 1 of 4 say 7"):
        ranked(voted("7", "", "", ""), "majority", min_share=0.5)
    with pytest.raises(ParseError, match="no_majority: no answer can be read"):
        ranked(voted("", ""), "majority")


def test_the_majority_must_be_the_reference() -> None:
    passing, _ = ranked(voted("7", "8", "7", reference="7"), "majority", min_share=0.5)
    assert numbers(passing) == [0, 2]
    with pytest.raises(ParseError, match="not_the_reference: 2 of 3 say 7"):
        ranked(voted("7", "8", "7", reference="8"), "majority", min_share=0.5)


def test_of_equally_many_the_earlier_wins() -> None:
    assert majority(["b", "a", "a", "b"]) == "b"


def scored(*scores: float | None) -> list[Drawn]:
    return [Drawn(number, f"t{number}", True, score=score) for number, score in enumerate(scores)]


def test_the_judges_choice() -> None:
    passing, worse = ranked(scored(3, 5, None, 1, 5), "score")
    assert (numbers(passing), numbers(worse)) == ([1, 4, 0, 3], [3, 0])
    _, worse = ranked(scored(4, 4), "score")
    assert worse == []  # nothing is worse than its equal
    _, worse = ranked([*scored(4), Drawn(1, "x", False)], "score")
    assert numbers(worse) == [1]


def test_the_worst_answer_decides_with_rip() -> None:
    assert numbers(ranked(scored(3, 5), "score", min_worst=3)[0]) == [1, 0]
    with pytest.raises(ParseError, match="low_worst: 2 is below 3"):
        ranked(scored(2, 5), "score", min_worst=3)
    with pytest.raises(ParseError, match="unscored: 1 of 2"):
        ranked(scored(None, 5), "score", min_worst=3)
    with pytest.raises(ParseError, match="unscored"):
        ranked(scored(None, None), "score")


def test_equal_texts_count_once() -> None:
    found = drawn(True, True, True, texts="a b A")
    assert numbers(different(found)) == [0, 1]
