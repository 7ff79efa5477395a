"""`mix`: how many of each group, which ones, in what order, and that every row left out is booked."""

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from given import given
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.outlook import Outlook, Range, Rows
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.prompts import Prompts
from selfinstruct.run import Place
from selfinstruct.sample import Sample
from selfinstruct.steps.mix import _proportional, mix
from selfinstruct.store import Store


def rows(**groups: int) -> list[Sample]:
    """Rows of each group in turn, so that no group stands together."""
    found = [
        Sample.of(f"Task {n} of {group}.", "", str(n), meta={"source": group})
        for n in range(max(groups.values()))
        for group, size in groups.items()
        if n < size
    ]
    assert len(found) == sum(groups.values())
    return found


def mixed(folder: Path, samples: list[Sample], seed: int = 0, **options: Any) -> Outcome:
    return execute([given(samples), mix(**options)], out=folder / "run", name="mixing", seed=seed)


def counts(outcome: Outcome) -> dict[str, int]:
    return dict(Counter(str(sample.meta.get("source")) for sample in outcome.samples))


def test_quotas_are_rows_or_shares(tmp_path: Path) -> None:
    samples = rows(a=100, b=29, c=7)
    found = mixed(tmp_path, samples, quotas={"a": 10, "b": 0.5})
    assert counts(found) == {"a": 10, "b": 14, "c": 7}
    assert dict(found.funnel.steps[1].drops) == {"quota": 90 + 15}
    assert found.funnel.steps[1].facts["groups"] == {"a": [10, 100], "b": [14, 29], "c": [7, 7]}
    assert found.funnel.steps[1].facts["headline"] == "a 10 of 100, b 14 of 29, c 7 of 7"


@pytest.mark.parametrize(
    ("quota", "kept"), [(0, 0), (0.0, 0), (1, 1), (1.0, 100), (0.29, 29), (100, 100), (101, 100)]
)
def test_one_row_is_not_all_rows(tmp_path: Path, quota: float, kept: int) -> None:
    assert counts(mixed(tmp_path, rows(a=100, b=1), quotas={"a": quota})).get("a", 0) == kept


def test_every_row_left_out_is_a_drop_with_its_group(tmp_path: Path) -> None:
    samples = rows(a=5, b=3)
    found = mixed(tmp_path, samples, quotas={"a": 2})
    with Store.open(tmp_path / "run") as store:
        drops = list(store.drops(1))
    assert [(drop.reason, dict(drop.detail)) for drop in drops] == [
        ("quota", {"rule": "source", "value": "a", "threshold": 2, "of": 5})
    ] * 3
    left = {sample.id for sample in samples} - {sample.id for sample in found.samples}
    assert len(left) == 3


def test_a_lower_quota_takes_some_of_the_same_rows(tmp_path: Path) -> None:
    samples = rows(a=50, b=50)
    few = mixed(tmp_path / "few", samples, quotas={"a": 5})
    more = mixed(tmp_path / "more", samples, quotas={"a": 20, "b": 10})
    first = {sample.id for sample in few.samples if sample.meta["source"] == "a"}
    second = {sample.id for sample in more.samples if sample.meta["source"] == "a"}
    assert len(first) == 5
    assert first < second


def test_which_rows_follow_from_the_seed_and_the_order_too(tmp_path: Path) -> None:
    samples = rows(a=40, b=40)
    first, again = (mixed(tmp_path / name, samples, total=20) for name in ("1", "2"))
    assert first.samples == again.samples
    other = mixed(tmp_path / "3", samples, seed=1, total=20)
    assert {sample.id for sample in other.samples} != {sample.id for sample in first.samples}


def test_kept_order_and_shuffled_order(tmp_path: Path) -> None:
    samples = rows(a=30, b=30)
    places = {sample.id: place for place, sample in enumerate(samples)}
    kept = mixed(tmp_path / "1", samples, total=20, order="kept")
    shuffled = mixed(tmp_path / "2", samples, total=20)
    order = [places[sample.id] for sample in kept.samples]
    assert order == sorted(order)
    assert [places[sample.id] for sample in shuffled.samples] != order
    assert {places[sample.id] for sample in shuffled.samples} == set(order)


def test_without_anything_else_the_rows_are_shuffled(tmp_path: Path) -> None:
    samples = rows(a=30)
    found = mixed(tmp_path, samples)
    assert list(found.samples) != samples
    assert sorted(sample.id for sample in found.samples) == sorted(sample.id for sample in samples)


# T5's examples: e_m rows, limit K, r_m = min(e_m, K) / sum of min(e_n, K); worked by hand
@pytest.mark.parametrize(
    ("sizes", "options", "expected"),
    [
        ({"a": 1000, "b": 100, "c": 10}, {"cap": 100}, {"a": 100, "b": 100, "c": 10}),
        ({"a": 1000, "b": 100}, {"cap": 5000}, {"a": 1000, "b": 100}),
        ({"a": 300, "b": 100}, {"total": 40}, {"a": 30, "b": 10}),
        ({"a": 300, "b": 100}, {"total": 40, "cap": 100}, {"a": 20, "b": 20}),
        # rates 100 : 100 : 10 of 420 are 200, 200, 20; b and c have less, and a gives the rest
        ({"a": 1000, "b": 100, "c": 10}, {"total": 420, "cap": 100}, {"a": 310, "b": 100, "c": 10}),
        ({"a": 1000, "b": 100}, {"total": 5000}, {"a": 1000, "b": 100}),
        # square roots 30 and 10: b's 100 rows are one part, a gives three
        ({"a": 900, "b": 100}, {"temperature": 2}, {"a": 300, "b": 100}),
        ({"a": 900, "b": 100}, {"temperature": 2, "total": 40}, {"a": 30, "b": 10}),
        ({"a": 900, "b": 100}, {"temperature": 2, "total": 40, "cap": 400}, {"a": 27, "b": 13}),  # 20 : 10
        # 10 over three equal groups: the earlier ones get the odd row
        ({"a": 9, "b": 9, "c": 9}, {"total": 10}, {"a": 4, "b": 3, "c": 3}),
    ],
)
def test_proportions(
    tmp_path: Path, sizes: dict[str, int], options: dict[str, Any], expected: dict[str, int]
) -> None:
    found = mixed(tmp_path, rows(**sizes), **options)
    assert counts(found) == expected


@settings(deadline=None, max_examples=200)
@drawn(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 200), min_size=1),
    st.integers(1, 500),
    st.none() | st.integers(1, 200),
)
def test_shares_add_up_and_none_is_off_by_a_row(sizes: dict[str, int], total: int, cap: int | None) -> None:
    """Against exact fractions: a group that is not full is less than one row away from its share of what the full ones
    left."""
    found = _proportional(sizes, total=total, cap=cap, temperature=1)
    assert found.keys() == sizes.keys()
    assert sum(found.values()) == min(total, sum(sizes.values()))
    weights = {group: Fraction(min(size, cap or size)) for group, size in sizes.items()}
    full = {group for group, count in found.items() if count == sizes[group]}
    assert all(0 <= found[group] <= size for group, size in sizes.items())
    open_groups = sizes.keys() - full
    left = sum(found[group] for group in open_groups)
    for group in open_groups:
        share = left * weights[group] / sum(weights[other] for other in open_groups)
        assert abs(found[group] - share) < 1


def test_groups_by_any_key_and_rows_without_it(tmp_path: Path) -> None:
    samples = [
        *(Sample.of(f"{n}", "", "x", meta={"level": n % 2, "source": "s"}) for n in range(10)),
        Sample.of("odd one", "", "x"),
    ]
    found = mixed(tmp_path, samples, per="level", quotas={"0": 1, "(none)": 0})
    assert found.funnel.steps[1].facts["groups"] == {"0": [1, 5], "1": [5, 5], "(none)": [0, 1]}


def test_many_groups_do_not_fill_the_screen(tmp_path: Path) -> None:
    found = mixed(tmp_path, rows(**{f"g{n}": 1 for n in range(30)}), cap=1)
    assert str(found.funnel.steps[1].facts["headline"]).endswith("g7 1 of 1, and 22 more")


def test_a_key_or_group_that_no_row_has(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no row has `sorce` in its meta") as error:
        mixed(tmp_path / "1", rows(a=2), per="sorce", cap=1)
    assert "did you mean `source`?" in error.value.hint
    with pytest.raises(DataError, match=r"there is a quota for `alpca`, and no row of it") as error:
        mixed(tmp_path / "2", rows(alpaca=2, b=1), quotas={"alpca": 1})
    assert "did you mean `alpaca`?" in error.value.hint


def test_what_contradicts_itself_is_said_before_the_run(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path, {}, Prompts())
    with pytest.raises(ConfigError, match="`quotas` say how many rows each group gives"):
        mix(quotas={"a": 1}, total=5).check(place)
    with pytest.raises(ConfigError, match="nothing says what to mix"):
        mix(order="kept").check(place)
    for wrong in (
        {"quotas": {"a": -1}},
        {"quotas": {"a": 1.5}},
        {"total": 0},
        {"cap": 0},
        {"temperature": 0.5},
    ):
        with pytest.raises(ConfigError, match=f"option `{next(iter(wrong))}`"):
            mix(**wrong)
    mix().check(place)
    mix(cap=3, temperature=2).check(place)


def test_the_forecast(tmp_path: Path) -> None:
    outlook = Outlook(Place(tmp_path, tmp_path, {}, Prompts()), Rows(Range(50, 100, 200)))
    assert mix(total=80).forecast(outlook).rows.count == Range(50, 80, 80)
    assert mix(total=80).forecast(Outlook(outlook.place, Rows(Range(0, 10, None)))).rows.count == Range(
        0, 10, 80
    )
    assert mix(cap=80).forecast(outlook).rows.count == Range(25, 100, 200)
    assert mix(quotas={"a": 1}).forecast(outlook).rows.count.ceiling == 200
    assert mix().forecast(outlook).rows.count == Range(50, 100, 200)


def test_no_rows(tmp_path: Path) -> None:
    assert mixed(tmp_path, [], quotas={"a": 1}).samples == ()
    assert mixed(tmp_path / "2", [], total=3).samples == ()
