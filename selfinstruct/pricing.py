"""What tokens cost: a dated table of the providers' prices, and exact sums in whole nano-dollars.

An unknown price is None, "unpriced", and never zero; zero is the price of the offline teacher and of servers
on one's own machine or network.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from typing import Any

from selfinstruct.errors import ConfigError, nearest
from selfinstruct.teachers import Teacher, Usage
from selfinstruct.teachers.endpoint import Endpoint

OLD = 60  # days after which prices may well have changed
_PER_TOKEN = 1000  # nano-dollars a token for each dollar a million tokens
_CLASSES = ("input", "output", "cached", "cache_write")
_LISTED = ("openai", "anthropic")


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars a token, by class. `input` is for fresh tokens, `cached` for those read from the
    provider's cache, `cache_write` for those written to it. `long` holds when the whole input is longer than
    `above` tokens. `max_output` is the most tokens one answer can have, 0 where that is not known. `version`
    says where the price is from: the day of the table, or `user`.
    """

    input: int
    output: int
    cached: int
    cache_write: int
    max_output: int = 0
    above: int = 0
    long: Price | None = None
    version: str = field(default="", compare=False)

    @classmethod
    def of(cls, dollars: Mapping[str, Any], where: str = "price") -> Price:
        """From dollars a million tokens: `input` and `output`, and `cached` and `cache_write` where they
        differ from `input`. Fractions of a nano-dollar a token are rounded up, so that a cap holds. Raises
        ConfigError.
        """
        for name in dollars:
            if name not in _CLASSES:
                raise ConfigError(f"{where}: unknown entry `{name}`", nearest(str(name), _CLASSES))
        for name in ("input", "output"):
            if name not in dollars:
                raise ConfigError(
                    f"{where}: `{name}` is missing", "dollars a million tokens: {input: 0.15, output: 0.60}"
                )
        nano = {name: _nano(value, f"{where}: {name}") for name, value in dollars.items()}
        return cls(
            nano["input"],
            nano["output"],
            nano.get("cached", nano["input"]),
            nano.get("cache_write", nano["input"]),
        )

    def tier(self, input_tokens: int) -> Price:
        """The price that holds for a request with that much input."""
        return self.long if self.long is not None and input_tokens > self.above else self


FREE = Price(0, 0, 0, 0, version="free")


def cost(usage: Usage, price: Price) -> int:
    """Nano-dollars. Cached and written tokens are part of `input_tokens` and billed once, at their own price."""
    price = price.tier(usage.input_tokens)
    fresh = max(0, usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens)
    return (
        fresh * price.input
        + usage.cached_tokens * price.cached
        + usage.cache_write_tokens * price.cache_write
        + usage.output_tokens * price.output
    )


def worst(read: int, written: int, price: Price) -> int:
    """The most that `read` input and `written` output tokens can cost: as if all input were of its dearest
    class, since some providers write to their cache, at a surcharge, without being asked.
    """
    price = price.tier(read)
    return read * max(price.input, price.cached, price.cache_write) + written * price.output


def price(model: str) -> Price | None:
    """The listed price of `openai/NAME` or `anthropic/NAME` (fine-tunes by their base), else None."""
    provider, _, name = model.partition("/")
    if name.startswith("ft:"):
        name = ":".join(name.split(":")[:2])
    row = _table()[provider].get(name) if provider in _LISTED else None
    return None if row is None else replace(_listed(row), version=str(as_of()))


def price_of(teacher: Teacher, dollars: Mapping[str, Any] | None = None) -> Price | None:
    """What the user says (`dollars` a million tokens), else zero for what runs here or in the private
    network, else the listed price; None for what nobody has told us. Raises ConfigError for a malformed
    `dollars`.
    """
    if dollars is not None:
        return replace(Price.of(dollars, f"{teacher.model}: price"), version="user")
    at = getattr(teacher, "at", None)
    if isinstance(at, Endpoint) and at.own:
        return FREE if at.private else None
    if teacher.model.partition(":")[0].partition("/")[0] == "offline":
        return FREE
    return price(teacher.model)


def as_of() -> date:
    """The day of the price table."""
    day = _table()["as_of"]
    assert isinstance(day, date)
    return day


def aged(today: date) -> str:
    """A warning when the price table is older than 60 days, else empty."""
    days = (today - as_of()).days
    if days <= OLD:
        return ""
    return f"prices are of {as_of()}, {days} days old: compare them with the provider's, or set `price:`"


def _listed(row: Mapping[str, Any]) -> Price:
    dollars = {name: value for name, value in row.items() if name in _CLASSES}
    long = Price.of(row["long"]) if "long" in row else None
    base = Price.of(dollars)
    return Price(
        base.input,
        base.output,
        base.cached,
        base.cache_write,
        row.get("max_output", 0),
        row.get("above", 0),
        long,
    )


def _nano(value: Any, where: str) -> int:
    try:
        nano = Decimal(str(value)) * _PER_TOKEN
        if isinstance(value, bool) or not nano.is_finite() or nano < 0:
            raise InvalidOperation
    except InvalidOperation:
        raise ConfigError(f"{where} must be a number of dollars, not {value!r}") from None
    return int(nano.to_integral_value(rounding="ROUND_CEILING"))


@functools.cache
def _table() -> dict[str, Any]:
    text = files("selfinstruct").joinpath("prices.toml").read_text(encoding="utf-8")
    return tomllib.loads(text, parse_float=Decimal)
