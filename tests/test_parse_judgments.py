"""What judges say of several answers at once: read in many forms, and never guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import ParseError
from selfinstruct.parse.judgments import Rating, Side, better, ratings, two_scores

BETTER: list[tuple[str, Side]] = [
    ('{"better": "A", "reason": "so"}', "first"),
    ('{"reason": "so", "better": "B"}', "second"),
    ('{"better": "tie", "reason": ""}', "tie"),
    ('```json\n{"better": "b"}\n```', "second"),
    ('Here it is: {"better": "Answer A"} as asked.', "first"),
    ('{"better": "Output (b)"}', "second"),
    ("A", "first"),
    ("B.", "second"),
    ("**B**\nIt is longer.", "second"),
    ("Tie\nBoth are right.", "tie"),
    ("2\n\n### Reason: it is right.", "second"),
    ("Output (a)", "first"),
    ("Answer B", "second"),
    ("They differ in depth. [[B]]", "second"),
    ("My final verdict is: [[C]]", "tie"),
    ("Output (b) is longer. Therefore, Output (b) is better.", "second"),
    ("Response 1 is better because it is concise.", "first"),
    ("8 9\nAssistant 2 said more.", "second"),
    ("9 8.5", "first"),
    ("7, 7\nNo difference.", "tie"),
    ("Let us solve it first.\n\nAssistant 1: 10\nAssistant 2: 4 (a slip)", "first"),
    ("The output tuple is (3, 10).", "second"),
]


@pytest.mark.parametrize(("text", "side"), BETTER)
def test_a_verdict_on_two_is_read_in_any_of_these_forms(text: str, side: Side) -> None:
    assert better(text) == side


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_verdict"),
        ("I can't decide.", "no_verdict"),
        ("I'm sorry, but I can't compare these.", "no_verdict"),
        ("Output (a):\n\nAdd the numbers.", "no_verdict"),  # it goes on instead of judging
        ("Both Output (a) and Output (b) are fine.", "no_verdict"),
        ("Response 1 is better than nothing. Response 2 is better.", "two_verdicts"),
        ("[[A]] or rather [[B]]", "two_verdicts"),
        ('{"better": "A"} {"better": "A"}', "two_objects"),
        ('{"better": "A", "bett', "bad_json"),
        ('{"better": "A or B"}', "no_verdict"),
        ('{"better": null}', "no_verdict"),
        ('{"better": ["A"]}', "no_verdict"),
        ("11 12\nBoth above the range.", "no_verdict"),
        ("8 9 7\nThree scores.", "no_verdict"),
    ],
)
def test_what_says_nothing_or_two_things_is_no_verdict(text: str, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        better(text)
    assert caught.value.reason == reason


def test_two_scores_out_of_range_are_none() -> None:
    assert two_scores("10 0") == (10, 0)
    for text, reason in (
        ("11 3", "out_of_range"),
        ("100 3", "no_score"),
        ("8", "no_score"),
        ("-1 5", "no_score"),
    ):
        with pytest.raises(ParseError) as caught:
            two_scores(text)
        assert caught.value.reason == reason


def listed(*values: Any) -> str:
    return json.dumps(
        {
            "ratings": [
                {"id": place, "rating": each, "rationale": f"r{place}"}
                for place, each in enumerate(values, 1)
            ]
        }
    )


def scores(text: str, count: int, low: int = 1, high: int = 5) -> list[int | str]:
    return [
        each.score if isinstance(each, Rating) else each.reason for each in ratings(text, count, low, high)
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (listed(5, 1), [5, 1]),
        (f"Sure:\n```json\n{listed(2, 3)}\n```", [2, 3]),
        (listed("4", "4/5"), [4, 4]),
        (listed(4.0, "3.0"), [4, 3]),
        (listed("**5**", "Rating: 5"), [5, "no_score"]),
        (listed(None, "N/A"), ["withheld", "withheld"]),
        (listed(4.5, "4-5"), ["no_score", "no_score"]),
        (listed("4 to 5", "four"), ["no_score", "no_score"]),
        (listed(True, [4]), ["no_score", "no_score"]),
        (listed(10, "10"), ["out_of_range", "out_of_range"]),  # the original's reader took them for a 1
        (listed(0, -3), ["out_of_range", "out_of_range"]),
        (listed("5/10", "4/4"), ["out_of_range", "out_of_range"]),
        (listed(5), [5, "no_score"]),
        ("[1] Score: 2\n[2] Score: 5", [2, 5]),
        ("Here is the ranking:\n\n**[2] Score: 5**\n**[1] Score: 2**\nThat is all.", [2, 5]),
        ("1. Score: 4 - clear\n2. Score: 3 (too long)", [4, 3]),
        ("[1] Score: 4 (an empty {} is right)\n[2] Score: 3", [4, 3]),
        ("[1] Score: 10\n[2] Score: 1", ["out_of_range", 1]),
        ("[1] Score: 4.5\n[2] Score: 4,5", ["no_score", "no_score"]),
        ("[1] Score: 4 - 5\n[2] Score: 4 or 5", ["no_score", "no_score"]),
        ("[1] Score:\n[2] Score: 3", ["no_score", 3]),
        ("[1] Score: n/a\n[2] Score: 3", ["withheld", 3]),
        (
            "#### Output for Text 1\nRating: 4\nRationale: It is right.\n\n"
            "#### Output for Text 2\nRating: 10\nRationale: It is 10 lines.",
            [4, "out_of_range"],
        ),
        ("Text 1\nRationale: good\nRating: 4\nText 2\nRating: 2/5", [4, 2]),
    ],
)
def test_ratings_are_whole_numbers_in_the_range_or_none(text: str, found: list[int | str]) -> None:
    assert scores(text, 2) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_score"),
        ("All of them are good.", "no_score"),
        ("I'm sorry, but I can't rate these.", "no_score"),
        ("Rating: 5\nRating: 4", "no_score"),  # of which text?
        (listed(1, 2, 3), "bad_ids"),
        ("[0] Score: 3\n[1] Score: 3", "bad_ids"),
        ("[1] Score: 3\n[1] Score: 4", "bad_ids"),
        ('{"ratings": [{"id": "one", "rating": 3}]}', "bad_ids"),
        ('{"ratings": [4, 5]}', "bad_ids"),
        ('{"ratings": {"1": 4}}', "bad_json"),
        ('{"ratings": []}', "no_score"),
        (listed(1, 2)[:-9], "bad_json"),
        (listed(1, 2) + listed(1, 2), "two_objects"),
    ],
)
def test_a_list_that_is_not_of_the_texts_shown_is_none(text: str, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        ratings(text, 2, 1, 5)
    assert caught.value.reason == reason


def test_the_rationale_comes_with_the_rating() -> None:
    assert ratings(listed(5), 1, 1, 5) == [Rating(5, "r1")]
    assert ratings("Text 1\nRating: 5\nRationale: Nothing is missing.", 1, 1, 5) == [
        Rating(5, "Nothing is missing.")
    ]


@given(
    st.lists(st.integers(-20, 120), min_size=1, max_size=9), st.integers(0, 3), st.integers(4, 100), st.data()
)
def test_every_number_is_read_as_itself_or_not_at_all(
    values: list[int], low: int, high: int, data: Any
) -> None:
    """In every form of every list, whatever the order of its items."""
    places = data.draw(st.permutations(range(len(values))))
    expected = [value if low <= value <= high else "out_of_range" for value in values]
    items = [{"id": place + 1, "rating": values[place], "rationale": "4"} for place in places]
    forms = (
        json.dumps({"ratings": items}),
        json.dumps({"ratings": [{**item, "rating": f"{item['rating']}/{high}"} for item in items]}),
        "\n".join(f"[{place + 1}] Score: {values[place]}" for place in places),
        "\n".join(f"Text {place + 1}:\nRating: {values[place]}\nRationale: 1 of 3" for place in places),
    )
    for form in forms:
        assert scores(form, len(values), low, high) == expected


@given(st.text(), st.integers(1, 9))
def test_any_text_is_read_or_refused(text: str, count: int) -> None:
    for read in (better, two_scores, lambda text: ratings(text, count, 1, 5)):
        try:
            read(text)
        except ParseError:
            continue


@given(st.text(), st.sampled_from(["A", "B", "tie"]))
def test_a_reason_changes_no_verdict(reason: str, side: str) -> None:
    assert better(json.dumps({"better": side, "reason": reason})) == better(f"{side}")
