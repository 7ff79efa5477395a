"""Why a row was kept or dropped: its way through the steps, what it was made from and what was made from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from selfinstruct.errors import ConfigError
from selfinstruct.sample import Sample
from selfinstruct.screen import Pairs, many, safe
from selfinstruct.store import Drop, Station, StepRecord, Store

SHORTEST = 4  # hex digits of an id
SHORT = 8  # hex digits that are shown of one
SHOWN = 5  # rows of a list
_WIDE = 100  # characters of a text


def story(store: Store, prefix: str) -> RenderableType:
    """What became of the row whose id begins with `prefix`. Raises ConfigError when that is none, or several."""
    stations = _found(store, prefix)
    id = stations[0].id
    steps = {record.n: record for record in store.steps()}
    last = stations[-1]
    head = Text.assemble((id, "bold"), "  ", safe(brief(last.sample.instruction)))
    parts: list[RenderableType] = [head, _verdict(store, steps, last), Text()]
    before = list(_before(store, steps, stations[0]))
    way = [
        *before,
        *_way(store, steps, stations, "answered" if before else "made"),
        *_after(store, steps, last),
    ]
    parts.append(Pairs(way))
    return Group(*parts, *_parents(store, stations[0].sample), *_children(store, steps, id))


def brief(text: str, wide: int = _WIDE) -> str:
    """The text on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= wide else line[: wide - 1] + "…"


def reason(drop: Drop) -> str:
    """Why it was dropped: the reason, and the rule with value and threshold, or whatever is known of it."""
    detail = dict(drop.detail)
    similar, text = detail.pop("similar_to", None), detail.pop("similar", None)
    said = ", ".join(f"{name} {_short(value)}" for name, value in detail.items() if value is not None)
    told = f"{drop.reason} ({said})" if said else drop.reason
    if similar is not None:
        told += (
            f"; it resembles {str(similar)[:SHORT] if _is_id(str(similar)) else similar}: {brief(str(text))}"
        )
    return told


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else brief(str(value))


def _is_id(text: str) -> bool:
    return len(text) == 32 and set(text) <= set("0123456789abcdef")


def _found(store: Store, prefix: str) -> Sequence[Station]:
    given = prefix.strip().lower()
    if len(given) < SHORTEST or len(given) > 32 or not set(given) <= set("0123456789abcdef"):
        raise ConfigError(
            f"{prefix!r} is no id of a row",
            f"an id is 32 hex digits, of which {SHORTEST} or more are given; `selfinstruct look` shows a row's",
        )
    stations = store.trail(given)
    ids = sorted({station.id for station in stations})
    if len(ids) > 1:
        some = ", ".join(id[: max(SHORT, len(given) + 2)] for id in ids[:SHOWN])
        raise ConfigError(
            f"{given} begins the ids of {len(ids)} rows",
            f"give more digits: {some}{', …' * (len(ids) > SHOWN)}",
        )
    if not ids:
        raise ConfigError(f"no row of this run has an id that begins with {given}", _what_else(store, given))
    return stations


def _what_else(store: Store, given: str) -> str:
    """The hint for what is the id of no row: a text that never became one has none, but its request has a key."""
    asked = store.request(given) if len(given) == 32 else None
    if asked is None:
        return (
            "`selfinstruct look` and `selfinstruct show --drops all` give ids;"
            " a text that never became a row has none"
        )
    return (
        "it is the key of a request; a text in its answer that never became a row has no id:"
        f" `selfinstruct show --drops all` has it with `request: {given}`"
    )


def _verdict(store: Store, steps: Mapping[int, StepRecord], last: Station) -> Text:
    name, of = steps[last.n].name, f"step {last.n + 1} of {len(steps)}"
    if last.drop is not None:
        return Text.assemble(("dropped ", "bold red"), f"by {safe(name)} ({of}): {safe(reason(last.drop))}")
    if last.n == max(steps) and steps[last.n].done:
        return Text.assemble(
            ("kept: ", "bold green"),
            f"one of the {many(store.count(last.n), 'row')} of the last step ({safe(name)})",
        )
    made: dict[str, int] = {}  # the step in which each row that was made from it began
    for station in store.holding(last.id):
        if last.id in station.sample.parents:
            made.setdefault(station.id, station.n)
    if new := [n for n in made.values() if n > last.n]:
        return Text.assemble(
            ("used up ", "bold"), f"by {safe(steps[min(new)].name)}: it became {many(len(new), 'row')}"
        )
    if later := _later(store, last):
        return Text.assemble(
            ("changed ", "bold"), f"by {safe(steps[later.n].name)}: it goes on as {later.id[:SHORT]}"
        )
    return Text.assemble(
        ("not decided yet: ", "bold yellow"), f"kept by {safe(name)} ({of}), where the run stands"
    )


def _way(
    store: Store, steps: Mapping[int, StepRecord], stations: Sequence[Station], origin: str
) -> Iterator[tuple[str, str]]:
    """A line for each step that saw it."""
    known: Mapping[str, float] = {}
    for place, station in enumerate(stations):
        name, sample = steps[station.n].name, station.sample
        told = [f"{score} {value:g}" for score, value in sample.scores.items() if known.get(score) != value]
        asked = _request(store, sample, name)
        if station.drop is not None:
            said = f"dropped: {station.drop.reason}"
        elif place == 0:
            said = origin if asked or sample.parents else f"came in{_source(sample)}"
        elif station.n == stations[place - 1].n:
            said = "once more: an equal row"
        else:
            said = "passed"
        if asked:
            told.append(asked)
        yield f"{station.n + 1} {name}", said + (f": {', '.join(told)}" if told else "")
        known = sample.scores


def _source(sample: Sample) -> str:
    source = sample.meta.get("source")
    return f" from {source}" if isinstance(source, str) else ""


def _request(store: Store, sample: Sample, step: str) -> str:
    """The request that this step's part of the row came from, or the last of several."""
    requests = sample.meta.get("requests")
    found = requests.get(step) if isinstance(requests, Mapping) else None
    keys = [str(key) for key in found] if isinstance(found, list) else [str(found or "")]
    asked = store.request(keys[-1]) if keys else None
    if asked is None:
        return ""
    draw = f", draw {asked['draw']}" if asked["draw"] else ""
    before = f" and {many(len(keys) - 1, 'request')} before it" if len(keys) > 1 else ""
    return f"by request {keys[-1][:SHORT]} of {asked['model']}{draw}{before}"


def _before(store: Store, steps: Mapping[int, StepRecord], first: Station) -> Iterator[tuple[str, str]]:
    """Where its text came from, when a step answered a row that was there before."""
    if first.n and first.sample.answered:
        open = first.sample.replace(messages=first.sample.prompt)
        for station in store.trail(open.id):
            if station.n < first.n:
                yield (
                    f"{station.n + 1} {steps[station.n].name}",
                    f"it was {station.id[:SHORT]}, without this answer",
                )


def _after(store: Store, steps: Mapping[int, StepRecord], last: Station) -> Iterator[tuple[str, str]]:
    if last.drop is None and (later := _later(store, last)):
        yield f"{later.n + 1} {steps[later.n].name}", f"changed: it goes on as {later.id[:SHORT]}"


def _later(store: Store, last: Station) -> Station | None:
    """The row of a later step that has the same conversation with another answer."""
    asked = _asked(last.sample)
    for station in store.holding(last.sample.prompt[-1].content if last.sample.prompt else "", after=last.n):
        if station.id != last.id and _asked(station.sample) == asked:
            return station
    return None


def _asked(sample: Sample) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in sample.prompt if message.role != "system"]


def _parents(store: Store, sample: Sample) -> Iterator[RenderableType]:
    if sample.parents:
        yield Rule("made from")
        found = [(parent[:SHORT], store.find(parent)) for parent in sample.parents]
        yield Pairs(
            ((id, brief(row[2].instruction) if row else "(not in this run)") for id, row in found),
            style="dim",
        )


def _children(store: Store, steps: Mapping[int, StepRecord], id: str) -> Iterator[RenderableType]:
    found = {station.id: station for station in store.holding(id) if id in station.sample.parents}
    if found:
        dropped = sum(station.drop is not None for station in found.values())
        yield Rule(f"made from it: {many(len(found), 'row')}, {dropped} of them dropped")
        told = []
        for station in list(found.values())[:SHOWN]:
            fate = (
                ""
                if station.drop is None
                else f" (dropped by {steps[station.n].name}: {station.drop.reason})"
            )
            told.append((station.id[:SHORT], brief(station.sample.instruction) + fate))
        if len(found) > SHOWN:
            told.append(("…", f"and {len(found) - SHOWN:,} more"))
        yield Pairs(told, style="dim")
