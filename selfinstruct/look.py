"""One row, seen closely: its conversation, scores, why it was dropped, its parents, and the raw requests behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from selfinstruct.budget import dollars
from selfinstruct.errors import ConfigError
from selfinstruct.sample import Sample
from selfinstruct.screen import Pairs, clock, many, safe
from selfinstruct.store import Filed, Store


def sight(store: Store, n: int, row: int, *, dropped: bool = False) -> RenderableType:
    """Row `row` (from 1) of step `n`, or of its drops. Raises ConfigError when there are not so many."""
    total = store.reasons(n).total() if dropped else store.count(n)
    if row > total:
        did, other = ("dropped", "kept") if dropped else ("kept", "dropped")
        hint = (
            f"count from 1 to {total:,}"
            if total
            else f"look at what it {other} {'without' if dropped else 'with'} --dropped"
        )
        raise ConfigError(f"this step {did} {many(total, 'row')}, so there is no row {row:,}", hint)
    parts: list[RenderableType] = []
    requests: Mapping[str, Any]
    if dropped:
        drop = next(store.drops(n, first=row - 1))
        detail = ", ".join(f"{key}: {value}" for key, value in drop.detail.items())
        parts.append(
            Text.assemble(
                ("dropped: ", "bold red"), safe(f"{drop.reason} ({detail})" if detail else drop.reason)
            )
        )
        if isinstance(drop.sample, str):
            key = str(drop.detail.get("request", ""))
            return Group(*parts, _panel("the text", drop.sample), *_requests(store, {"": key} if key else {}))
        sample = drop.sample
    else:
        sample = next(store.samples(n, row - 1, 1))
    parts.append(Text.assemble((f"row {row:,} of {total:,}  ", "bold"), (sample.id, "dim")))
    parts += [_panel(message.role, message.content) for message in sample.messages]
    if sample.rejected is not None:
        parts.append(_panel("rejected", sample.rejected))
    for name, score in sample.scores.items():
        parts.append(Text.assemble((f"{safe(name)}: ", "bold"), f"{score:g}"))
    requests = sample.meta.get("requests", {})
    if not isinstance(requests, Mapping):
        requests = {}  # a column of the data's own
    for name, value in sample.meta.items():
        if name != "input" and value != requests:  # shown in their own places
            said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            parts.append(Text.assemble((f"{safe(name)}: ", "bold"), safe(said)))
    return Group(*parts, *_parents(store, sample), *_requests(store, requests))


def _panel(title: str, text: str) -> Panel:
    return Panel(Text(safe(text)), title=title, title_align="left")


def _parents(store: Store, sample: Sample) -> Iterator[RenderableType]:
    if sample.parents:
        yield Rule("made from")
        found = [(parent[:8], store.find(parent)) for parent in sample.parents]
        yield Pairs(
            ((id, row[2].instruction if row else "(not in this run)") for id, row in found), style="dim"
        )


def _requests(store: Store, requests: Mapping[str, Any]) -> Iterator[RenderableType]:
    for step, found in requests.items():
        keys = found if isinstance(found, list) else [found]
        shown: set[str] = set()  # of several requests, each repeats what the ones before it said
        for number, key in enumerate(map(str, keys), start=1):
            asked, filed = store.request(key), store.get(key)
            if asked is None or filed is None:
                yield Text(safe(f"{step}: request {key} is not in this run"), style="yellow")
                continue
            of = f"request {number} of {len(keys)}" if len(keys) > 1 else "request"
            yield Rule(Text(safe(f"{of} of {step}" if step else of)))
            yield from _request(asked, filed, shown)


def _request(asked: Mapping[str, Any], filed: Filed, shown: set[str]) -> Iterator[RenderableType]:
    settings: dict[str, Any] = {"model": asked["model"], "draw": asked["draw"], **asked["params"]}
    yield Text(safe(", ".join(f"{name}: {value}" for name, value in settings.items())), style="dim")
    fresh = [(role, content) for role, content in asked["messages"] if content not in shown]
    if len(fresh) < len(asked["messages"]):
        yield Text(f"after {many(len(asked['messages']) - len(fresh), 'message')} shown above", style="dim")
    for role, content in fresh:
        yield _panel(f"asked ({role})", content)
    if asked["text"] is not None:
        yield _panel("asked (raw text)", asked["text"])
    done = filed.completion
    shown.update([done.text.strip(), *(content for _, content in fresh)])
    used = f"{done.usage.input_tokens} + {done.usage.output_tokens} tokens"
    yield _panel(
        f"answered ({done.finish_reason}, {used}, {dollars(filed.cost_nano)}, {clock(filed.seconds)})",
        done.text,
    )
