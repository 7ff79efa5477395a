"""What is drawn: figures, the funnel, the live table, one line a step."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType
from rich.live import Live

from selfinstruct import screen
from selfinstruct.funnel import Funnel, StepRow
from selfinstruct.tally import Tally


def drawn(what: RenderableType, *, width: int = 80, height: int = 24, terminal: bool = False) -> str:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=terminal, color_system=None
    )
    console.print(what, crop=terminal)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def row(n: int = 0, name: str = "judge", **changes: Any) -> StepRow:
    values: dict[str, Any] = {
        "options": {},
        "came": 0,
        "made": 0,
        "kept": 0,
        "drops": {},
        "pending": 0,
        "calls": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_nano": 0,
        "seconds": 0.0,
        "facts": {},
        "done": True,
    }
    return StepRow(n=n, name=name, **{**values, **changes})


def funnel(*rows: StepRow) -> Funnel:
    return Funnel("small", "1", {}, {}, rows)


# words and figures


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119.4, "119 s"),
        (120, "2 min"),
        (3600, "60 min"),
        (7140, "119 min"),
        (7200, "2.0 h"),
        (90_000, "25.0 h"),
    ],
)
def test_clock(seconds: float, said: str) -> None:
    assert screen.clock(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, ""), (999, "999"), (1_000, "1.0k"), (999_949, "999.9k"), (999_950, "1.0M"), (12_345_678, "12.3M")],
)
def test_short(value: int, said: str) -> None:
    assert screen.short(value) == said


def test_one_row_and_many() -> None:
    assert [screen.many(count, "row") for count in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]


def test_reasons_are_ranked_and_then_in_the_order_of_the_alphabet() -> None:
    assert screen.reasons({"b": 2, "c": 1_000, "a": 2}) == "c 1,000, a 2, b 2"
    assert screen.reasons({"b": 2, "c": 3, "a": 2}, most=1) == "c 3, …"


@given(st.text())
def test_safe_text_cannot_steer_a_terminal_and_keeps_the_rest(text: str) -> None:
    """Category Cc but for tab and line feed, and the marks that embed, override or isolate a direction (UAX 9)."""
    steering = {
        chr(code) for code in (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    }
    steering -= {"\t", "\n"}
    made = screen.safe(text)
    assert len(made) == len(text)
    for before, after in zip(text, made, strict=True):
        assert after == ("�" if before in steering else before)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    )
)
def test_a_line_of_json_is_harmless_and_whole(value: Any) -> None:
    made = screen.as_line(value)
    assert json.loads(made) == value
    assert screen.safe(made) == made
    assert "\n" not in made
    made.encode("utf-8")


def test_a_line_of_json_is_readable_in_any_script() -> None:
    assert screen.as_line({"a": "日本 é\x1b\x9b\ud800"}) == '{"a": "日本 é\\u001b\\u009b\\ud800"}'


# the funnel

FULL = (
    row(0, "read", made=175, kept=175),
    row(1, "alpaca", came=175, made=82_439, kept=52_002, drops={"not_novel": 30_437, "seed_task": 175}, calls=5_120,
        input_tokens=3_000_000, output_tokens=9_900_000, cost_nano=123_450_000_000, seconds=13_000),
    row(2, "placeholder", came=52_002, kept=52_001, drops={"no_input": 1}),
)  # fmt: skip


def test_the_largest_alpaca_run_fits_into_80_columns() -> None:
    text = drawn(screen.funnel(funnel(*FULL)), terminal=True)
    assert "…" not in text
    (line,) = [line for line in text.splitlines() if "alpaca " in line and "✓" in line]
    assert line.split() == "✓ alpaca 175 82,439 30,612 52,002 5,120 12.9M $123.45 3.6 h".split()
    assert "not_novel 30,437, seed_task 175" in text


@pytest.mark.parametrize("width", [40, 50, 60, 70])
def test_on_a_narrow_screen_columns_are_left_out_and_no_figure_is_cut(width: int) -> None:
    text = drawn(screen.funnel(funnel(*FULL)), width=width, terminal=True)
    head = text.splitlines()[0].split()
    assert {"step", "dropped", "kept"} <= set(head)
    assert ("in" in head) == (width >= 70)
    table = text.partition("dropped by")[0]
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= width


def test_without_a_terminal_the_drops_stand_on_one_line() -> None:
    drops = {f"a_rather_long_reason_{n}": n for n in range(1, 15)}
    text = drawn(screen.funnel(funnel(row(drops=drops))))
    (line,) = [line for line in text.splitlines() if line.startswith("dropped by judge")]
    assert all(reason in line for reason in drops)
    assert line == line.rstrip()


def test_an_unfinished_step_is_marked_and_an_unknown_price_is_no_zero() -> None:
    text = drawn(screen.funnel(funnel(row(calls=3, cost_nano=None, done=False))))
    assert "… judge" in text
    assert text.count("unpriced") == 2  # the step's, and the sum's


def test_a_run_without_calls_has_no_cost() -> None:
    assert "$" not in drawn(screen.funnel(funnel(row(kept=3))))


def test_warnings_are_those_that_steps_noted() -> None:
    found = funnel(row(0, "read"), row(1, "alpaca", facts={"warning": "stopped early"}))
    assert screen.warnings(found) == ["alpaca: stopped early"]


# one line a step


def tally(**changes: Any) -> Tally:
    return Tally(
        1, "judge", **{"coming": 100, "came": 40, "kept": 20, "drops": Counter(unscored=5), **changes}
    )


def test_lines() -> None:
    def say(event: str, **changes: Any) -> str:
        return screen.line(event, tally(started=0.0, ended=63.0, **changes), 3)

    assert say("begin", coming=1) == "[2/3] judge: 1 row to work on"
    assert say("begin", coming=0) == "[2/3] judge"
    assert say("skip") == "[2/3] judge: 40 in, 0 made, 5 dropped, 20 kept (from before)"
    assert say("end") == "[2/3] judge: 40 in, 0 made, 5 dropped, 20 kept, 63 s\n    dropped: unscored 5"
    paid = say("end", drops=Counter(), calls=1, input_tokens=900, output_tokens=200, cost_nano=20_000_000)
    assert paid == "[2/3] judge: 40 in, 0 made, 0 dropped, 20 kept, 1 call, 1.1k tokens, $0.02, 63 s"
    assert say("progress") == "[2/3] judge: 25%, 40 in, 0 made, 5 dropped, 20 kept, 63 s so far"
    busy = screen.line("progress", tally(started=0.0, ended=63.0, text="step 3 of 9", coming=0), 3, 600.0)
    assert (
        busy == "[2/3] judge: 40 in, 0 made, 5 dropped, 20 kept, 63 s so far, about 10 min left, step 3 of 9"
    )


# what is left


def test_an_even_pace() -> None:
    pace = screen.Pace()
    assert pace.left(0.0, 0.0) is None
    assert pace.left(0.1, 10.0) == pytest.approx(90.0)
    assert pace.left(0.1, 15.0) == pytest.approx(135.0)  # nothing came for five seconds
    assert pace.left(1.0, 100.0) is None


def test_what_rushed_by_after_a_restart_is_soon_forgotten() -> None:
    """Half of the step is found in the store at once; then it goes on at one percent in two seconds."""
    pace = screen.Pace()
    pace.left(0.0, 0.0)
    pace.left(0.5, 0.1)
    for done in range(1, 26):
        left = pace.left(0.5 + done / 100, 0.1 + 2 * done)
    assert left == pytest.approx(50.0, rel=0.05)  # 25 percent at two seconds each


def test_a_slow_step_has_a_pace_as_well() -> None:
    pace = screen.Pace()
    pace.left(0.0, 0.0)
    pace.left(0.01, 60.0)
    assert pace.left(0.02, 120.0) == pytest.approx(98 * 60.0)


def test_a_step_that_starts_over_starts_a_new_pace() -> None:
    pace = screen.Pace()
    pace.left(0.0, 0.0)
    pace.left(0.9, 10.0)
    assert pace.left(0.1, 11.0) is None
    assert pace.left(0.2, 13.0) == pytest.approx(16.0)


# the live table

NAMES = ["read", "alpaca", "refusal", "placeholder", "judge", "select", "write", "sft", "evaluate"]


def board(at: int) -> screen.Board:
    made = screen.Board(NAMES)
    made.watch("skip", Tally(0, "read", made=175, kept=175))
    for n in range(1, at):
        made.watch("begin", done := Tally(n, NAMES[n], came=100, kept=100))
        done.ended = done.started + 2.0
        made.watch("end", done)
    drops = Counter({f"reason_{n}": 9 - n for n in range(9)})
    made.watch(
        "begin", Tally(at, NAMES[at], coming=100, came=60, kept=15, drops=drops, text="words of its own")
    )
    return made


def test_the_live_table() -> None:
    text = drawn(board(4), terminal=True)
    for part in ("✓ read", "before", "✓ alpaca", "2.0 s", "› judge", "  select", " 60%", "words of its own"):
        assert part in text
    assert "dropped: reason_0 9, reason_1 8" in text
    assert text.splitlines()[-1].endswith("…")  # its drops take one line, whatever there is to say


@pytest.mark.parametrize("height", [8, 10, 12, 15, 24, 60])
@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("at", [1, 4, 8])
def test_the_live_table_stays_on_one_screen_and_shows_the_step_at_work(
    height: int, width: int, at: int
) -> None:
    text = drawn(board(at), width=width, height=height, terminal=True)
    assert len(text.splitlines()) < height
    assert max(map(len, text.splitlines())) <= width
    assert f"› {NAMES[at]}" in text
    assert "dropped: reason_0" in text
    assert ("evaluate" in text) == (height >= 15 or at > 5)


def test_nothing_of_the_live_table_stays_behind() -> None:
    """As many lines are gone up and erased as were written."""
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    with Live(board(4), console=console, auto_refresh=False, transient=True) as live:
        live.refresh()
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    high = len(drawn(board(4), terminal=True).splitlines())
    assert text.endswith("\r" + "\x1b[1A\x1b[2K" * high)
    assert text.count("\x1b[1A\x1b[2K") == text.count("\n")


def test_a_finished_board_has_no_bar() -> None:
    made = board(8)
    (last,) = [tally for tally in made._tallies.values() if tally.n == 8]
    last.ended = last.started + 1
    assert "dropped:" not in drawn(made, terminal=True)
    assert "✓ evaluate" in drawn(made, terminal=True)


def test_teachers_that_say_the_same_share_a_line() -> None:
    said = drawn(screen.teachers({"offline/wrong=0.5": "computes", "offline": "computes", "other": "else"}))
    assert said.splitlines() == ["offline, offline/wrong=0.5  computes", "other                       else"]
