"""What a run looks like on a terminal: the table while it works, the funnel and the summary after it.

Everything here builds renderables; only the command line prints them. Text from data is stripped of control characters.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from selfinstruct import pricing
from selfinstruct.actual import Compared
from selfinstruct.budget import dollars
from selfinstruct.funnel import Funnel
from selfinstruct.outlook import NONE, READ_AGAIN, Range
from selfinstruct.pilot import Pilot
from selfinstruct.plan import PlanRow
from selfinstruct.pricing import Price
from selfinstruct.run import ATTEMPTS
from selfinstruct.step import StepType
from selfinstruct.store import Spent
from selfinstruct.tally import Tally

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def safe(text: str) -> str:
    """Without what could move the cursor, colour the screen or turn the reading direction."""
    return _CONTROL.sub("�", text)


def as_line(value: Any) -> str:
    """One line of JSON that is readable in any script and as harmless as `safe` text: what that removes is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(rf"{_CONTROL.pattern}|[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def many(count: int, noun: str) -> str:
    """1 row, 2,000 rows."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def number(value: int | None) -> str:
    return "" if not value else f"{value:,}"


def short(value: int) -> str:
    """1,234 -> 1.2k; tokens are never needed to the last one."""
    for least, size, sign in ((999_950, 1_000_000, "M"), (1_000, 1_000, "k")):
        if value >= least:
            return f"{value / size:.1f}{sign}"
    return str(value) if value else ""


def size(count: float) -> str:
    """1,234,567 bytes -> 1.2 MB"""
    for least, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count:.0f} B"


def clock(seconds: float) -> str:
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{seconds / 3600:.1f} h"


def reasons(drops: Mapping[str, int], most: int = 20) -> str:
    ranked = sorted(drops.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{safe(reason)} {count:,}" for reason, count in ranked[:most]]
    return ", ".join([*shown, "…"] if len(ranked) > most else shown)


class Pairs:
    """Words and what is to be said about each: in two columns on a terminal, on one line each elsewhere."""

    def __init__(self, pairs: Iterable[tuple[str, str]], *, style: str = "bold") -> None:
        self._pairs = list(pairs)
        self._style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max((len(word) for word, _ in self._pairs), default=0)
        if console.is_terminal:
            grid = Table.grid(padding=(0, 2))
            for word, about in self._pairs:
                grid.add_row(Text(safe(word), style=self._style, no_wrap=True), Text(safe(about)))
            yield grid
        else:
            for word, about in self._pairs:
                yield Text(f"{safe(word):<{width}}  {safe(about)}", no_wrap=True, overflow="ignore")


def teachers(about: Mapping[str, str]) -> Pairs:
    """What models say of themselves; those that say the same share a line."""
    said: dict[str, list[str]] = {}
    for model, text in sorted(about.items()):
        said.setdefault(text, []).append(model)
    return Pairs((", ".join(models), text) for text, models in said.items())


def headed(groups: Iterable[tuple[str, Sequence[StepType]]]) -> RenderableType:
    """Steps under headings, with what each does."""
    lines: list[tuple[str, str]] = []
    for heading, steps in groups:
        lines += [(heading, ""), *((f"  {each.name}", each.summary) for each in steps)]
    return Pairs(lines)


_FIGURES = ("in", "made", "dropped", "kept", "calls", "tokens", "cost", "time")
_SPARE = ("tokens", "in", "made", "calls", "time")  # left out in this order


class Figures:
    """A table of steps. On a narrow screen the columns that say least are left out, so that no figure is cut."""

    def __init__(self, columns: Sequence[str], spare: Sequence[str] = ()) -> None:
        self._columns = columns
        self._spare = spare
        self._rows: list[tuple[Text, Sequence[str | Text]]] = []
        self._totals: list[tuple[str, Sequence[str]]] = []

    def add(self, step: Text, cells: Sequence[str | Text] = ()) -> None:
        self._rows.append((step, cells))

    def total(self, *cells: str, label: str = "all") -> None:
        self._totals.append((label, cells))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for left_out in range(len(self._spare) + 1):
            table = self._table(self._spare[:left_out])
            if Measurement.get(console, options.update(width=1_000), table).maximum <= options.max_width:
                break
        yield table

    def _table(self, left_out: Sequence[str]) -> Table:
        table = Table(
            box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
        )
        table.add_column("step", no_wrap=True)
        shown = [place for place, column in enumerate(self._columns) if column not in left_out]
        for place in shown:
            table.add_column(self._columns[place], justify="right", no_wrap=True)
        for step, cells in self._rows:
            table.add_row(step, *(cells[place] for place in shown if cells))
        if self._totals:
            table.add_section()
        for label, cells in self._totals:
            table.add_row(label, *(cells[place] for place in shown))
        return table


class Pace:
    """How fast a step has been going lately. What is found in the store after a restart rushes by, and an average over
    the whole step would promise too much.
    """

    SPAN = 30.0  # seconds looked back on

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def left(self, share: float, now: float) -> float | None:
        """Seconds left, once there is something to go by."""
        seen = self._seen
        if not seen or share < seen[-1][1]:
            seen.clear()
            seen.append((now, share))
        elif share > seen[-1][1]:
            seen.append((now, share))
        while len(seen) > 2 and now - seen[1][0] > self.SPAN:
            seen.popleft()
        since, start = seen[0]
        if share <= start or now - since < 1 or share >= 1:
            return None
        return (now - since) * (1 - share) / (share - start)


class Board:
    """The table of steps while a run works, redrawn by `rich.live.Live`; never higher than the screen."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._tallies: dict[int, Tally] = {}
        self._skipped: set[int] = set()
        self._spinner = Spinner("dots")
        self._pace = Pace()
        self._current: Tally | None = None

    def watch(self, event: str, tally: Tally) -> None:
        self._tallies[tally.n] = tally
        if event == "skip":
            self._skipped.add(tally.n)
        if event == "begin":
            self._current, self._pace = tally, Pace()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        figures = Figures(_FIGURES, _SPARE)
        for n in self._in_sight(console.height - 6):  # head, rule, bar, drops, and the lines above and below
            name, tally = self._names[n], self._tallies.get(n)
            if tally is None:
                figures.add(Text(f"  {name}", style="dim"))
            elif n in self._skipped:
                figures.add(Text(f"✓ {name}", style="green"), [*_cells(tally), Text("before", style="dim")])
            elif tally.ended is not None:
                figures.add(Text(f"✓ {name}", style="green"), [*_cells(tally), clock(tally.seconds)])
            else:
                figures.add(Text(f"› {name}", style="bold cyan"), [*_cells(tally), clock(tally.seconds)])
        yield figures
        if self._current is not None and self._current.ended is None:
            yield from self._lines(self._current)

    def _in_sight(self, rows: int) -> range:
        """The steps that are shown: all, or where the screen is low those around the one at work."""
        count = max(1, min(rows, len(self._names)))
        at = self._current.n if self._current is not None else 0
        first = max(0, min(at - count // 2, len(self._names) - count))
        return range(first, first + count)

    def _lines(self, tally: Tally) -> RenderResult:
        """What the step at work is at: bar, share, what is left, its own words; below them its drops."""
        grid = Table.grid(padding=(0, 1))
        share = tally.share
        if share is None:
            grid.add_row(self._spinner, Text(safe(tally.text), no_wrap=True, overflow="ellipsis"))
        else:
            left = self._pace.left(share, time.monotonic())
            rest = f"{share:4.0%}" + (f", {clock(left)} left" if left is not None else "")
            bar = ProgressBar(total=1.0, completed=share, width=30)
            grid.add_row(
                bar, Text(rest, no_wrap=True), Text(safe(tally.text), no_wrap=True, overflow="ellipsis")
            )
        yield grid
        lost = reasons(tally.drops)
        yield Text(f"dropped: {lost}" if lost else "", style="dim", no_wrap=True, overflow="ellipsis")


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


def line(event: str, tally: Tally, steps: int, left: float | None = None) -> str:
    """One plain line, for logs and pipes; `left` is how many seconds a step in progress is expected to need still."""
    head = f"[{tally.n + 1}/{steps}] {tally.name}"
    if event == "begin":
        return f"{head}: {many(tally.coming, 'row')} to work on" if tally.coming else head
    words = [
        f"{tally.came:,} in",
        f"{tally.made:,} made",
        f"{tally.drops.total():,} dropped",
        f"{tally.kept:,} kept",
    ]
    if tally.calls:
        words += [many(tally.calls, "call"), f"{short(tally.input_tokens + tally.output_tokens)} tokens"]
        words += [dollars(tally.cost_nano)]
    said = ", ".join(words)
    if event == "skip":
        return f"{head}: {said} (from before)"
    if event == "progress":
        share = "" if tally.share is None else f"{tally.share:.0%}, "
        rest = [f"{clock(tally.seconds)} so far"]
        if left is not None:
            rest.append(f"about {clock(left)} left")
        if tally.text:
            rest.append(safe(tally.text))
        return f"{head}: {share}{said}, {', '.join(rest)}"
    lost = reasons(tally.drops)
    return f"{head}: {said}, {clock(tally.seconds)}" + (f"\n    dropped: {lost}" if lost else "")


def funnel(found: Funnel) -> RenderableType:
    """The table of a run's steps, each with its drops by reason."""
    figures = Figures(_FIGURES, _SPARE)
    total_calls = total_tokens = 0
    total_cost: int | None = 0
    for row in found.steps:
        spent = row.input_tokens + row.output_tokens
        figures.add(
            Text(f"{'✓' if row.done else '…'} {row.name}", style="green" if row.done else "yellow"),
            (
                number(row.came),
                number(row.made),
                number(row.dropped),
                number(row.kept),
                number(row.calls),
                short(spent),
                dollars(row.cost_nano) if row.calls else "",
                clock(row.seconds),
            ),
        )
        total_calls += row.calls
        total_tokens += spent
        total_cost = None if row.cost_nano is None or total_cost is None else total_cost + row.cost_nano
    seconds = sum(row.seconds for row in found.steps)
    figures.total(
        "",
        "",
        "",
        "",
        number(total_calls),
        short(total_tokens),
        dollars(total_cost) if total_calls else "",
        clock(seconds),
    )
    parts: list[RenderableType] = [figures, Text()]
    lost = [(f"dropped by {row.name}", reasons(row.drops)) for row in found.steps if row.drops]
    if lost:
        parts += [Pairs(lost), Text()]
    return Group(*parts)


def said(found: Funnel) -> RenderableType:
    """What the steps say of themselves, and what the tasks that one made cover beside its seed tasks."""
    lines: list[tuple[str, str]] = []
    for row in found.steps:
        if headline := row.facts.get("headline"):
            lines.append((f"{row.name}:", str(headline)))
        if coverage := row.facts.get("coverage"):
            lines += [(f"  {what}:", words) for what, words in _coverage(coverage)]
        if not row.done:
            waiting = f"; {many(row.pending, 'row')} not decided yet" if row.pending else ""
            lines.append((f"{row.name}:", f"not finished{waiting}"))
    return Pairs(lines)


def _coverage(fact: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Kinds, first words and regions of new tasks, beside those of the seed tasks."""
    seeds, tasks = max(fact["seeds"], 1), max(fact["tasks"], 1)
    kinds = (f"{kind} {was / seeds:.0%} → {now / tasks:.0%}" for kind, (was, now) in fact["kinds"].items())
    yield "kinds", f"{', '.join(kinds)} (seed tasks → new ones)"
    begins, near = fact["openings"], fact["regions"]
    most = ", ".join(f"{word} {count:,}" for word, count in begins["most"].items())
    yield "first words", f"{begins['tasks']:,}, {begins['new']:,} of them begin no seed task: {most}"
    apart = f"; {many(near['elsewhere'], 'task')} near none" if near["elsewhere"] else ""
    reached = f"{near['reached']:,} of {many(fact['seeds'], 'seed task')} have new tasks near them"
    yield "regions", f"{reached}, at most {near['fullest']:,}{apart}"


def warnings(found: Funnel) -> list[str]:
    return [f"{row.name}: {row.facts['warning']}" for row in found.steps if row.facts.get("warning")]


def plan(rows: Sequence[PlanRow]) -> RenderableType:
    """Rows, calls, tokens and cost of each step before anything is sent: in a good case, as expected, and at the most;
    with the source of each figure.
    """
    figures = Figures(("low", "expected", "ceiling"))
    for row in rows:
        found = row.estimate
        if row.asks:
            figures.add(Text(row.name, style="bold"))
        figures.add(Text("  rows" if row.asks else f"{row.name}: rows"), _range(found.rows.count))
        if row.asks:
            figures.add(Text("  calls"), _range(found.calls))
            figures.add(Text("  tokens in"), _range(row.input_tokens, short))
            figures.add(Text("  tokens out"), _range(row.output_tokens, short))
            figures.add(Text("  cost"), _costs(row))
    asking = [row for row in rows if row.asks]
    if asking:
        figures.total(*_range(_sum([row.estimate.calls for row in asking])), label="all: calls")
        figures.total(*_range(_sum([row.input_tokens for row in asking]), short), label="all: tokens in")
        figures.total(*_range(_sum([row.output_tokens for row in asking]), short), label="all: tokens out")
        figures.total(*_all_costs(asking), label="all: cost")
    parts: list[RenderableType] = [figures, Text()]
    sources = [(row.name, _said(row)) for row in rows if _said(row)]
    if sources:
        parts += [Text("where the figures come from", style="bold"), Pairs(sources, style=""), Text()]
    return Group(*parts)


def notes(rows: Sequence[PlanRow], prices: Iterable[Price | None], today: date) -> list[str]:
    """The lines under a plan: what its ceiling assumes, time and disk, and how old the prices are."""
    said = []
    if any(row.asks for row in rows):
        said.append(
            f"ceiling: every answer as long as it may be, and every call paid for {ATTEMPTS} times;"
            f" a text takes {READ_AGAIN} times the tokens that another model wrote it in"
        )
        seconds, room = sum(row.seconds for row in rows), sum(row.bytes for row in rows)
        said.append(f"time: about {clock(seconds)}; disk: about {size(room)}")
    if any(row.expected_nano for row in rows):
        said += pricing.old(prices, today) or [f"prices are of {pricing.as_of()}"]
    if not all(row.priced for row in rows):
        said.append(
            "unpriced: set `price: {input: ..., output: ...}` (dollars a million tokens) beside the model"
        )
    return said


def compared(rows: Sequence[Compared]) -> RenderableType:
    """What was planned beside what came of it, of each step that asks."""
    figures = Figures(("planned", "actual", "ratio"))
    for row in rows:
        figures.add(Text(row.name if row.done else f"{row.name} (not finished)", style="bold"))
        for name, actual in row.actual.items():
            planned = row.planned[name]
            say = {"tokens": short, "cost": dollars}.get(name, number)
            cells = [say(value) or "0" if value is not None else "unpriced" for value in (planned, actual)]
            ratio = f"{actual / planned:.2f}" if planned and actual is not None else ""
            figures.add(Text(f"  {name}"), (*cells, ratio))
    return Group(Text("plan against actual", style="bold"), figures, Text())


def _said(row: PlanRow) -> str:
    """Model, sources and times of a step, in one line."""
    words = [row.model, row.estimate.source]
    if row.asks:
        words.append(f"price: {_PRICES.get(row.price, row.price) if row.priced else 'unknown'}")
        words.append(f"about {clock(row.seconds)}: {row.timing}")
    if row.estimate.assumes:
        words.append(f"ceiling: {row.estimate.assumes}")
    return "; ".join(word for word in words if word)


_PRICES = {"user": "given in the pipeline", "free": "none, it runs here"}


def _range(found: Range, said: Callable[[int], str] = number) -> tuple[str, str, str]:
    most = "no bound" if found.ceiling is None else said(found.ceiling) or "0"
    return said(found.low) or "0", said(found.expected) or "0", most


def _costs(row: PlanRow) -> tuple[str, str, str]:
    if not row.priced:
        return ("unpriced",) * 3
    most = "no bound" if row.ceiling_nano is None else dollars(row.ceiling_nano)
    return dollars(row.low_nano), dollars(row.expected_nano), most


def _all_costs(rows: Sequence[PlanRow]) -> tuple[str, str, str]:
    if not all(row.priced for row in rows):
        return ("unpriced",) * 3
    low, expected = (sum(getattr(row, name) or 0 for row in rows) for name in ("low_nano", "expected_nano"))
    ceilings = [row.ceiling_nano for row in rows]
    known = [most for most in ceilings if most is not None]
    return dollars(low), dollars(expected), dollars(sum(known)) if len(known) == len(rows) else "no bound"


def _sum(figures: Sequence[Range]) -> Range:
    total = NONE
    for each in figures:
        total = total.plus(each)
    return total


def filed(paid: Spent) -> str:
    """What was paid for so far; empty where that is nothing."""
    if not paid.calls:
        return ""
    tokens = short(paid.input_tokens + paid.output_tokens)
    said = f"{many(paid.calls, 'answer')}, {tokens} tokens, {dollars(paid.cost_nano)}"
    return f"{said}; none of them is asked for again"


def pilot(found: Pilot) -> str:
    """What a pilot sent, and what it says of the whole."""
    sent = f"{many(found.sent, 'request')} sent, at most {found.requests:,} were allowed; the run uses the answers"
    if found.low is None or found.high is None or found.total is None:
        return f"{sent}. Too few to tell what all of it takes: allow more"
    if not found.total:
        return f"{sent}. All of it takes nothing"
    if found.unit == "nano":
        low, middle, high = dollars(found.low), dollars(found.total), dollars(found.high)
    else:
        low, middle = short(found.low) or "0", short(found.total)
        high = f"{short(found.high)} tokens"
    return f"{sent}. All of it: {low} to {high} (95 % interval), {middle} expected"
