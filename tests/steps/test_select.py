"""The select step: the best rows, in the order in which they came."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from given import given
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.sample import Sample
from selfinstruct.steps.select import select
from selfinstruct.store import Store


def scored(*scores: float, groups: str = "") -> list[Sample]:
    rows = [Sample.of(f"Task {place}.", "", "x").score(accuracy=score) for place, score in enumerate(scores)]
    return [row.note(source=group) for row, group in zip(rows, groups, strict=True)] if groups else rows


def selected(folder: Path, rows: list[Sample], **options: Any) -> Outcome:
    return execute([given(rows), select(**options)], out=folder / "run")


def places(folder: Path, rows: list[Sample], **options: Any) -> list[int]:
    return [int(row.instruction[5:-1]) for row in selected(folder, rows, **options).samples]


CASES: list[tuple[list[float], str, dict[str, Any], list[int]]] = [
    ([1, 5, 3, 4], "", {"k": 2}, [1, 3]),
    ([4, 5, 4, 4], "", {"k": 2}, [0, 1]),  # equal scores: the earlier wins
    ([4, 4, 4], "", {"k": 1}, [0]),
    ([1, 2], "", {"k": 9}, [0, 1]),
    ([1, 5, 3, 4], "", {"top": 0.5}, [1, 3]),
    ([1, 5, 3], "", {"top": 0.5}, [1]),  # at most half of three is one
    ([1, 5, 3], "", {"top": 1}, [0, 1, 2]),
    ([1, 5, 3, 4], "", {"at_least": 3.0}, [1, 2, 3]),
    ([1, 5, 3, 4], "", {"at_least": 6}, []),
    ([1, 5, 3, 4, 2], "", {"at_least": 3, "k": 2}, [1, 3]),
    ([1, 5, 3, 4, 2], "", {"top": 0.8, "k": 3}, [1, 2, 3]),
    ([5, 5, 5, 1, 2], "aaabb", {"k": 3, "per": "source"}, [0, 1, 4]),  # a's first, b's best, a's second
    ([5, 4, 3, 2, 1], "aabbc", {"k": 3, "per": "source"}, [0, 2, 4]),
    ([5, 4, 3, 2, 1], "aabbc", {"k": 2, "per": "source"}, [0, 2]),
    ([5, 4, 3, 2, 1], "aabbc", {"k": 4, "per": "source"}, [0, 1, 2, 4]),
    ([5, 4, 3], "abc", {"k": 2, "per": "absent"}, [0, 1]),
    ([5, 4, 3, 2], "aabb", {"at_least": 3, "k": 2, "per": "source"}, [0, 2]),
    ([-1, -2, 0], "", {"k": 1}, [2]),
    ([], "", {"k": 1}, []),
]


@pytest.mark.parametrize(("scores", "groups", "options", "expected"), CASES)
def test_what_is_selected(
    tmp_path: Path, scores: list[float], groups: str, options: dict[str, Any], expected: list[int]
) -> None:
    assert places(tmp_path, scored(*scores, groups=groups), **options) == expected


def test_a_share_is_never_exceeded_for_reasons_of_arithmetic(tmp_path: Path) -> None:
    """100 x 0.07 is 7.000000000000001 and 100 x 0.29 is 28.999999999999996 in floating point."""
    for percent in (7, 29, 57, 58):
        rows = scored(*range(100))
        assert len(places(tmp_path / str(percent), rows, top=percent / 100)) == percent


def by_hand(rows: list[Sample], k: int, at_least: float | None, per: str | None) -> list[int]:
    """Round after round, each group gives its best row that is left, better ones first, until there are k."""
    left = [place for place, row in enumerate(rows) if at_least is None or row.scores["accuracy"] >= at_least]
    chosen: list[int] = []
    while left and len(chosen) < k:
        best: dict[Any, int] = {}
        for place in left:
            group = rows[place].meta["source"] if per else place
            if group not in best or rows[place].scores["accuracy"] > rows[best[group]].scores["accuracy"]:
                best[group] = place
        for place in sorted(best.values(), key=lambda place: (-rows[place].scores["accuracy"], place)):
            if len(chosen) < k:
                chosen.append(place)
            left.remove(place)
    return sorted(chosen)


@settings(max_examples=15, deadline=None)
@for_all(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc")), max_size=14),
    st.integers(1, 15),
    st.none() | st.integers(0, 6),
    st.none() | st.just("source"),
)
def test_selection_by_hand(
    pairs: list[tuple[int, str]], k: int, at_least: int | None, per: str | None
) -> None:
    rows = (
        scored(*(score for score, _ in pairs), groups="".join(group for _, group in pairs)) if pairs else []
    )
    with tempfile.TemporaryDirectory() as folder:
        assert places(Path(folder), rows, k=k, at_least=at_least, per=per) == by_hand(rows, k, at_least, per)


@pytest.mark.parametrize(("rows", "top"), [(10, 0.1), (3, 0.34), (7, 0.99), (1000, 0.001), (999, 0.001)])
def test_a_share_is_rounded_down(tmp_path: Path, rows: int, top: float) -> None:
    exact = Fraction(str(top)) * rows
    assert len(places(tmp_path, scored(*range(rows)), top=top)) == exact.numerator // exact.denominator


def test_each_drop_says_why(tmp_path: Path) -> None:
    selected(tmp_path, scored(1, 5, 3, 4), k=1, at_least=3.0)
    with Store.read(tmp_path / "run") as store:
        drops = [(drop.reason, drop.detail) for drop in store.drops(1)]
    assert drops == [
        ("below_min", {"rule": "accuracy", "value": 1, "threshold": 3.0}),
        ("not_selected", {"rule": "accuracy", "value": 3, "kept": 1}),
        ("not_selected", {"rule": "accuracy", "value": 4, "kept": 1}),
    ]


def test_rows_without_the_score_are_an_error(tmp_path: Path) -> None:
    rows = [*scored(1, 2), Sample.of("Task 3.", "", "x"), Sample.of("Task 4.", "", "x").score(helpfulness=5)]
    with pytest.raises(DataError, match="2 of 4 rows carry no score `accuracy`") as caught:
        selected(tmp_path, rows, k=1)
    assert "judge" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing says how many rows to select"),
        ({"by": "x"}, "nothing says how many rows to select"),
        ({"k": 0}, "option `k`"),
        ({"k": -1}, "option `k`"),
        ({"top": 0}, "option `top`"),
        ({"top": 5}, "option `top`"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        selected(tmp_path, scored(1), **options)
