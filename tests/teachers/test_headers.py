"""What the headers of a reply say about limits, in both providers' spellings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.teachers.headers import Room, rooms_of, wait_of

OPENAI = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "6m0s",
}
ANTHROPIC = {
    "date": "Wed, 25 Nov 2026 08:00:00 GMT",
    "anthropic-ratelimit-requests-limit": "1000",
    "anthropic-ratelimit-requests-remaining": "999",
    "anthropic-ratelimit-requests-reset": "2026-11-25T08:00:30Z",
    "anthropic-ratelimit-tokens-limit": "80000",
    "anthropic-ratelimit-tokens-remaining": "0",
    "anthropic-ratelimit-tokens-reset": "2026-11-25T08:01:00+00:00",
}


def test_both_spellings() -> None:
    assert list(rooms_of(OPENAI)) == [Room("requests", 59, 60, 1), Room("tokens", 149_984, 150_000, 360)]
    assert list(rooms_of(ANTHROPIC)) == [Room("requests", 999, 1_000, 30), Room("tokens", 0, 80_000, 60)]
    assert list(rooms_of({})) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-ratelimit-limit-requests", "0"),
        ("x-ratelimit-limit-requests", "many"),
        ("x-ratelimit-limit-requests", ""),
        ("x-ratelimit-remaining-requests", "-1"),
        ("x-ratelimit-remaining-requests", "61"),
        ("x-ratelimit-remaining-requests", "nan"),
        ("x-ratelimit-reset-requests", "soon"),
        ("x-ratelimit-reset-requests", ""),
    ],
)
def test_what_makes_no_sense_is_no_limit(name: str, value: str) -> None:
    assert list(rooms_of({**OPENAI, name: value})) == [Room("tokens", 149_984, 150_000, 360)]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3600"}, 3_600),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "1e20"}, 1e20),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 25 Nov 2026 08:00:07 GMT", "date": "Wed, 25 Nov 2026 08:00:00 GMT"}, 7),
        ({"retry-after": "Wed, 25 Nov 2026 07:00:00 GMT", "date": "Wed, 25 Nov 2026 08:00:00 GMT"}, 0),
        ({"retry-after": "Wed, 25 Nov 99999 08:00:00 GMT"}, None),
    ],
)
def test_wishes_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_of(headers) == seconds


@given(
    st.dictionaries(
        st.sampled_from([*OPENAI, *ANTHROPIC, "retry-after", "retry-after-ms"]), st.text(max_size=30)
    )
)
def test_no_header_is_too_strange(headers: dict[str, str]) -> None:
    for room in rooms_of(headers):
        assert 0 <= room.left <= room.limit
        assert room.reset >= 0
    wait = wait_of(headers)
    assert wait is None or wait >= 0
