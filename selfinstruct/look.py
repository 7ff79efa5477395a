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
from selfinstruct.screen import clock, safe
from selfinstruct.store import Store

_OWN = ("requests", "input")  # meta that is shown in its own place


def sight(store: Store, n: int, row: int, *, dropped: bool = False) -> RenderableType:
    """Row `row` (from 1) of step `n`, or of its drops. Raises ConfigError when there are not so many."""
    total = store.reasons(n).total() if dropped else store.count(n)
    if row > total:
        kind = "dropped" if dropped else "kept"
        raise ConfigError(f"this step {kind} {total:,} rows, so there is no row {row:,}", "count from 1")
    parts: list[RenderableType] = []
    requests: Mapping[str, str]
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
        parts.append(Text.assemble((f"{name}: ", "bold"), f"{score:g}"))
    for name, value in sample.meta.items():
        if name not in _OWN:
            said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            parts.append(Text.assemble((f"{name}: ", "bold"), safe(said)))
    requests = sample.meta.get("requests", {})
    return Group(*parts, *_parents(store, sample), *_requests(store, requests))


def _panel(title: str, text: str) -> Panel:
    return Panel(Text(safe(text)), title=title, title_align="left")


def _parents(store: Store, sample: Sample) -> Iterator[RenderableType]:
    if sample.parents:
        yield Rule("made from")
    for parent in sample.parents:
        found = store.find(parent)
        if found is None:
            yield Text(f"{parent[:8]}  (not in this run)")
        else:
            yield Text.assemble((f"{parent[:8]}  ", "dim"), safe(found[2].instruction))


def _requests(store: Store, requests: Mapping[str, str]) -> Iterator[RenderableType]:
    for step, key in requests.items():
        asked, filed = store.request(key), store.get(key)
        if asked is None or filed is None:
            yield Text(f"{step}: request {key} is not in this run", style="yellow")
            continue
        yield Rule(f"request of {step}" if step else "request")
        settings: dict[str, Any] = {"model": asked["model"], "draw": asked["draw"], **asked["params"]}
        yield Text(", ".join(f"{name}: {value}" for name, value in settings.items()), style="dim")
        for role, content in asked["messages"]:
            yield _panel(f"asked ({role})", content)
        if asked["text"] is not None:
            yield _panel("asked (raw text)", asked["text"])
        done = filed.completion
        used = f"{done.usage.input_tokens} + {done.usage.output_tokens} tokens"
        yield _panel(
            f"answered ({done.finish_reason}, {used}, {dollars(filed.cost_nano)}, {clock(filed.seconds)})",
            done.text,
        )
