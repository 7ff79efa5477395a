"""What a run looks like on a terminal: the table while it works, the funnel and the summary after it.

Everything here builds renderables; only the command line prints them. Text from data is stripped of control characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from selfinstruct.budget import dollars
from selfinstruct.funnel import Funnel, StepRow
from selfinstruct.plan import PlanRow
from selfinstruct.run import Tally

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def safe(text: str) -> str:
    """Without what could move the cursor, colour the screen or turn the reading direction."""
    return _CONTROL.sub("�", text)


def number(value: int | None) -> str:
    return "" if not value else f"{value:,}"


def short(value: int) -> str:
    """1,234 -> 1.2k; tokens are never needed to the last one."""
    for size, sign in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.1f}{sign}"
    return str(value) if value else ""


def clock(seconds: float) -> str:
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def reasons(drops: Mapping[str, int], most: int = 20) -> str:
    ranked = sorted(drops.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{reason} {count:,}" for reason, count in ranked[:most]]
    return ", ".join([*shown, "…"] if len(ranked) > most else shown)


_COLUMNS = ("in", "made", "dropped", "kept", "calls", "tokens", "cost", "time")


def _table(first: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for column in _COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    return table


class Board:
    """The table of steps while a run works; redrawn from the tallies by `rich.live.Live`."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._tallies: dict[int, Tally] = {}
        self._skipped: set[int] = set()
        self._spinner = Spinner("dots")

    def watch(self, event: str, tally: Tally) -> None:
        self._tallies[tally.n] = tally
        if event == "skip":
            self._skipped.add(tally.n)

    def __rich__(self) -> RenderableType:
        table = _table("step")
        current: Tally | None = None
        for n, name in enumerate(self._names):
            tally = self._tallies.get(n)
            if tally is None:
                table.add_row(Text(f"  {name}", style="dim"))
            elif n in self._skipped:
                done = Text(f"✓ {name}", style="green")
                table.add_row(done, *_cells(tally), Text("from before", style="dim"))
            elif tally.ended is not None:
                table.add_row(Text(f"✓ {name}", style="green"), *_cells(tally), clock(tally.seconds))
            else:
                current = tally
                table.add_row(Text(f"› {name}", style="bold cyan"), *_cells(tally), clock(tally.seconds))
        return Group(table, self._line(current)) if current is not None else table

    def _line(self, tally: Tally) -> RenderableType:
        """What the step at work is at: bar, share, what is left, its own words, its drops."""
        grid = Table.grid(padding=(0, 1))
        share = tally.share
        bar: RenderableType = self._spinner
        rest = ""
        if share is not None:
            bar = ProgressBar(total=1.0, completed=share, width=30)
            rest = f"{share:4.0%}"
            if 0.02 < share < 1:
                rest += f", {clock(tally.seconds * (1 - share) / share)} left"
        lost = reasons(tally.drops, 4)
        grid.add_row(bar, rest, Text(safe(tally.text)), Text(f"dropped: {lost}" if lost else "", style="dim"))
        return grid


def _cells(tally: Tally) -> list[str]:
    return [
        number(tally.came),
        number(tally.made),
        number(tally.drops.total()),
        number(tally.kept),
        number(tally.calls),
        short(tally.input_tokens + tally.output_tokens),
        dollars(tally.cost_nano) if tally.calls else "",
    ]


def line(event: str, tally: Tally, steps: int) -> str:
    """One plain line, for logs and pipes."""
    head = f"[{tally.n + 1}/{steps}] {tally.name}"
    if event == "begin":
        return f"{head}: {tally.coming:,} rows come in" if tally.coming else head
    words = [
        f"{tally.came:,} in",
        f"{tally.made:,} made",
        f"{tally.drops.total():,} dropped",
        f"{tally.kept:,} kept",
    ]
    if tally.calls:
        words += [f"{tally.calls:,} calls", f"{short(tally.input_tokens + tally.output_tokens)} tokens"]
        words += [dollars(tally.cost_nano)]
    text = f"{head}: {', '.join(words)}"
    if event == "skip":
        return f"{text} (from before)"
    if event == "progress":
        share = tally.share
        return f"{head}: {'' if share is None else f'{share:.0%}, '}{', '.join(words)}, {clock(tally.seconds)} so far"
    lost = reasons(tally.drops)
    return f"{text}, {clock(tally.seconds)}" + (f"\n    dropped: {lost}" if lost else "")


def funnel(found: Funnel) -> RenderableType:
    """The table of a run's steps, each with its drops by reason."""
    table = _table("step")
    total_calls = total_tokens = 0
    total_cost: int | None = 0
    for row in found.steps:
        spent = row.input_tokens + row.output_tokens
        table.add_row(
            Text(f"{'✓' if row.done else '…'} {row.name}", style="green" if row.done else "yellow"),
            number(row.came),
            number(row.made),
            number(row.dropped),
            number(row.kept) + (f" (+{row.pending:,} pending)" if row.pending else ""),
            number(row.calls),
            short(spent),
            dollars(row.cost_nano) if row.calls else "",
            clock(row.seconds),
        )
        total_calls += row.calls
        total_tokens += spent
        total_cost = None if row.cost_nano is None or total_cost is None else total_cost + row.cost_nano
    table.add_section()
    seconds = sum(row.seconds for row in found.steps)
    table.add_row(
        "all", "", "", "", "", number(total_calls), short(total_tokens), dollars(total_cost), clock(seconds)
    )
    parts: list[RenderableType] = [table]
    lost = [row for row in found.steps if row.drops]
    if lost:
        grid = Table.grid(padding=(0, 2))
        for row in lost:
            grid.add_row(Text(f"dropped by {row.name}", style="bold"), reasons(row.drops))
        parts += [grid, Text()]
    return Group(*parts)


def warnings(found: Funnel) -> list[str]:
    return [f"{row.name}: {row.facts['warning']}" for row in found.steps if row.facts.get("warning")]


def plan(rows: Sequence[PlanRow]) -> RenderableType:
    """Calls, tokens and cost of each step before anything is sent, with the source of each figure."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("step", no_wrap=True)
    for column in ("rows", "calls", "tokens in", "tokens out", "cost", "at most"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        found = row.estimate
        table.add_row(
            row.name,
            number(found.rows),
            number(found.calls),
            short(found.input_tokens),
            short(found.output_tokens),
            dollars(row.expected_nano) if found.calls else "",
            dollars(row.ceiling_nano) if found.calls else "",
        )
    table.add_section()
    calls = [row for row in rows if row.estimate.calls]
    table.add_row(
        "all",
        "",
        number(sum(row.estimate.calls for row in calls)),
        short(sum(row.estimate.input_tokens for row in calls)),
        short(sum(row.estimate.output_tokens for row in calls)),
        _sum(row.expected_nano for row in calls),
        _sum(row.ceiling_nano for row in calls),
    )
    sources = Table.grid(padding=(0, 2))
    for row in rows:
        if row.estimate.source:
            words = ": ".join(word for word in (row.model, row.estimate.source) if word)
            sources.add_row(Text(row.name, style="bold"), Text(words, style="dim"))
    return Group(table, Text("where the figures come from", style="bold"), sources, Text())


def _sum(amounts: Iterable[int | None]) -> str:
    found = list(amounts)
    return dollars(None if None in found else sum(amount or 0 for amount in found))
