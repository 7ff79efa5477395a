"""What a provider says about its limits in the headers of a reply: how long to wait, and how much room is left."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LIMITS = ("requests", "tokens")
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of a provider's limit on `what` (`requests` or `tokens`): `left` of `limit`, which is whole again in
    `reset` seconds when nothing is taken.
    """

    what: str
    left: float
    limit: float
    reset: float


Heard = Callable[[Room], None]


def wait_of(headers: Mapping[str, str]) -> float | None:
    """How many seconds the provider wants us to wait: Retry-After in its three spellings, else the time until an
    exhausted limit is full again (OpenAI's `x-ratelimit-reset-*`). Negative or not finite is no wish.
    """
    wish = _number(headers.get("retry-after-ms"), 0.001)
    if wish is None and (value := headers.get("retry-after")):
        wish = _number(value)
        if wish is None:
            wish = _until(value, headers)
    if wish is not None:
        return wish
    resets = [
        _duration(headers.get(f"x-ratelimit-reset-{what}", ""))
        for what in _LIMITS
        if headers.get(f"x-ratelimit-remaining-{what}") == "0"
    ]
    return max((r for r in resets if r is not None), default=None)


def rooms_of(headers: Mapping[str, str]) -> Iterator[Room]:
    """The limits that a reply speaks of: OpenAI's `x-ratelimit-*`, Anthropic's `anthropic-ratelimit-*`, whose `tokens`
    are the stricter of its input and output tokens. One that is not said in full, or makes no sense, is left out.
    """
    for what in _LIMITS:
        if (left := headers.get(f"x-ratelimit-remaining-{what}")) is not None:
            reset = _duration(headers.get(f"x-ratelimit-reset-{what}", ""))
            yield from _room(what, left, headers.get(f"x-ratelimit-limit-{what}"), reset)
    for what in _LIMITS:
        name = f"anthropic-ratelimit-{what}"
        if (left := headers.get(f"{name}-remaining")) is not None:
            when = headers.get(f"{name}-reset")
            yield from _room(
                what, left, headers.get(f"{name}-limit"), _until(when, headers) if when else None
            )


def _room(what: str, left: str, limit: str | None, reset: float | None) -> Iterator[Room]:
    remaining, whole = _number(left), _number(limit)
    if remaining is not None and whole and reset is not None and remaining <= whole:
        yield Room(what, remaining, whole, reset)


def _number(text: str | None, unit: float = 1.0) -> float | None:
    try:
        value = float(text or "") * unit
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _until(text: str, headers: Mapping[str, str]) -> float | None:
    """Seconds until a moment by the server's clock (its Date header), so that ours may be wrong; by ours where it
    shows none.
    """
    then = _moment(text)
    if then is None:
        return None
    now = _moment(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (then - now).total_seconds())


def _moment(text: str) -> datetime | None:
    """An HTTP date, or an ISO one as Anthropic writes them."""
    try:
        found = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError):  # the parsers' ways to say: no date
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _duration(text: str) -> float | None:
    """`6m0s`, `39.801s`, `4ms` in seconds."""
    parts = _DURATION.findall(text)
    return sum(float(n) * _SECONDS[unit] for n, unit in parts) if parts else None
