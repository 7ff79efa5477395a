"""What tokens cost: a dated table of the providers' prices, and exact sums in whole nano-dollars.

An unknown price is None, "unpriced", and never zero; zero is the price of the offline teacher and of servers
on one's own machine or network.
"""

from __future__ import annotations

import functools
import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from pathlib import Path
from typing import Any

from selfinstruct.errors import ConfigError, nearest
from selfinstruct.teachers import Teacher, Usage
from selfinstruct.teachers.endpoint import Endpoint

OLD = 60  # days after which prices may well have changed
_PER_TOKEN = 1000  # nano-dollars a token for each dollar a million tokens
_CLASSES = ("input", "output", "cached", "cache_write")
_ENTRIES = (*_CLASSES, "max_output", "above", "long")
_LISTED = ("openai", "anthropic")
OWN = "prices.toml"  # beside a pipeline
_LIKE = 'write [openai] and below it "gpt-5-mini" = { input = 0.25, output = 2 }, in dollars a million tokens'


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars a token, by class. `input` is for fresh tokens, `cached` for those read from the
    provider's cache, `cache_write` for those written to it. `long` holds when the whole input is longer than
    `above` tokens. `max_output` is the most tokens one answer can have, 0 where that is not known. `version`
    says where the price is from: the day of the table, `user`, or the user's own table by date or digest; `day` is
    the table's, where it has one.
    """

    input: int
    output: int
    cached: int
    cache_write: int
    max_output: int = 0
    above: int = 0
    long: Price | None = None
    version: str = field(default="", compare=False)
    day: date | None = field(default=None, compare=False)

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

    def half(self) -> Price:
        """The price of the same through a provider's batch API, which takes half; each class is rounded up, so that a
        cap holds.
        """
        return replace(
            self,
            input=-(-self.input // 2),
            output=-(-self.output // 2),
            cached=-(-self.cached // 2),
            cache_write=-(-self.cache_write // 2),
            long=None if self.long is None else self.long.half(),
            version=f"{self.version}, half",
        )


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
    return None if row is None else replace(_listed(row), version=str(as_of()), day=as_of())


def own_table(folder: Path) -> dict[str, Price]:
    """The user's prices by model: `prices.toml` in that folder, in the format of ours; empty where there is none.
    Raises ConfigError naming what is wrong in it.
    """
    path = folder / OWN
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror})", "mend it, or move it away") from None
    try:
        table = tomllib.loads(text.decode("utf-8"), parse_float=Decimal)
    except ValueError as error:
        raise ConfigError(f"{path}: is not TOML: {error}", _LIKE) from None
    day = table.pop("as_of", None)
    if day is not None and type(day) is not date:
        raise ConfigError(f"{path}: `as_of` is not a date", "as_of = 2026-11-21, or leave it out")
    if not isinstance(table.pop("source", ""), str):
        raise ConfigError(f"{path}: `source` is not text", "leave it out")
    version = f"{OWN} {day or hashlib.sha256(text).hexdigest()[:12]}"
    found = {}
    for provider, rows in table.items():
        if provider not in _LISTED:
            raise ConfigError(
                f"{path}: unknown entry `{provider}`", nearest(provider, [*_LISTED, "as_of", "source"])
            )
        for name, row in _table_of(rows, f"{path}: {provider}").items():
            where = f"{path}: {provider}: {name}"
            found[f"{provider}/{name}"] = replace(_listed_by_user(row, where), version=version, day=day)
    return found


def _listed_by_user(row: Any, where: str) -> Price:
    entries = _table_of(row, where)
    for name in entries:
        if name not in _ENTRIES:
            raise ConfigError(f"{where}: unknown entry `{name}`", nearest(name, _ENTRIES))
    for name in ("above", "max_output"):
        value = entries.get(name, 0)
        if type(value) is not int or value < 0:
            raise ConfigError(f"{where}: `{name}` must be a number of tokens, not {value!r}")
    if ("long" in entries) != ("above" in entries):
        raise ConfigError(
            f"{where}: `long` and `above` belong together", "prices of inputs above so many tokens"
        )
    if "long" in entries:
        _table_of(entries["long"], f"{where}: long")
    return _listed(entries, where)


def _table_of(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is no table", _LIKE)
    return value


def price_of(
    teacher: Teacher, dollars: Mapping[str, Any] | None = None, own: Mapping[str, Price] | None = None
) -> Price | None:
    """What the user says (`dollars` a million tokens, else the table `own`), else zero for what runs here or in the
    private network, else the listed price; None for what nobody has told us. Raises ConfigError for a malformed
    `dollars`.
    """
    if dollars is not None:
        return replace(Price.of(dollars, f"{teacher.model}: price"), version="user")
    if own and teacher.model in own:
        return own[teacher.model]
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


def aged(today: date, day: date | None = None) -> str:
    """A warning when prices of that day, or the table's, are older than 60 days, else empty."""
    day = day or as_of()
    days = (today - day).days
    if days <= OLD:
        return ""
    return f"prices are of {day}, {days} days old: compare them with the provider's, or set `price:`"


def old(prices: Iterable[Price | None], today: date) -> list[str]:
    """A warning for each table of prices that is older than 60 days."""
    days = {price.day for price in prices if price is not None and price.day is not None}
    return [warning for day in sorted(days) if (warning := aged(today, day))]


def _listed(row: Mapping[str, Any], where: str = "price") -> Price:
    dollars = {name: value for name, value in row.items() if name in _CLASSES}
    long = Price.of(row["long"], f"{where}: long") if "long" in row else None
    base = Price.of(dollars, where)
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
