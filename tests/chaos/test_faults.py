"""A server that fails in every way: all good rows come out, nothing wrong is accepted, no cap is crossed."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import trials
from loopback import Loopback
from trials import Answerer


def test_r6_thirty_percent_faults(tmp_path: Path) -> None:
    found = trials.faulty(tmp_path / "run", 60, trials.evenly(0.3), timeout=0.5)
    assert (found.good, found.wrong) == (60, 0)
    assert found.latest <= trials.LATE


@pytest.mark.parametrize("kind", [*trials.FAULTS, "usage_none", "usage_negative", "usage_text", "usage_huge"])
def test_each_fault_alone(tmp_path: Path, kind: str, impatient: None) -> None:
    found = trials.faulty(tmp_path / "run", 6, {kind: 0.6}, timeout=0.3)
    assert (found.good, found.wrong) == (6, 0)
    assert found.latest <= trials.LATE
    rows = trials.attempts(tmp_path / "run")
    assert sum(row["outcome"] == "answered" for row in rows) >= 6
    failed = {row["outcome"] for row in rows if row["outcome"] != "answered"}
    # refused before any work: nothing is billed; cut off on the way: nobody knows; useless, with a bill: booked
    expected = {
        **dict.fromkeys(("429", "500", "503", "529", "error200"), "failed"),
        **dict.fromkeys(("hang", "reset", "html", "cut", "bad_json", "drop", "loris"), "doubt"),
        **dict.fromkeys(("empty", "null", "no_choices"), "empty"),
    }
    assert failed == ({expected[kind]} if kind in expected else set())


@pytest.mark.parametrize("concurrency", [1, 20, 100])
@pytest.mark.parametrize("seed", [1, 2])
def test_r10_no_cap_is_crossed(tmp_path: Path, concurrency: int, seed: int, impatient: None) -> None:
    rng = random.Random(seed * 1_000 + concurrency)
    cap = rng.randrange(2_000_000, 9_000_000)  # some reach it, some do not
    found = trials.spending(tmp_path / "run", 30, cap, concurrency, seed)
    assert found.billed <= found.booked <= cap
    assert found.reached or found.booked < cap


def test_r7_a_storm_of_429(tmp_path: Path) -> None:
    found = trials.storm(tmp_path / "run", 15, 1.0)
    assert (found.good, found.wrong) == (15, 0)


def test_r7_nine_of_ten_refused(tmp_path: Path, impatient: None) -> None:
    with Loopback(Answerer(), faults={"429": 0.9}, worst=12) as server:
        assert len(trials.ask(tmp_path, server, 20, concurrency=8).samples) == 20
        assert len(server.paid) == 20
        assert len(server.asked) > 100


def test_r7_never_earlier_than_asked(tmp_path: Path, impatient: None) -> None:
    shapes = ("0.2", "0.1", "date+2", "-5", "garbage", "1e400", "")
    margins = trials.wishes(tmp_path / "run", 40, shapes)
    assert len(margins) >= 4
    assert min(margins) >= -0.005


@pytest.mark.parametrize("wish", ["3600", "86400.5", "99999999999999"])
def test_r7_a_long_wait_pauses_and_says_until_when(tmp_path: Path, wish: str) -> None:
    said = trials.pauses(tmp_path / "run", wish)
    assert f"asks to wait {float(wish):.0f} s" in said
    assert "run the same command again" in said


def test_r9_time_in_the_queue_is_no_time_of_the_attempt(tmp_path: Path) -> None:
    assert trials.queue(tmp_path / "run", 20, latency=0.05, timeout=0.6) == 0


def test_r13_a_clock_that_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, rng = time.time, random.Random(4)
    monkeypatch.setattr(time, "time", lambda: real() + rng.choice([-86_400, -3_600, 0, 3_600, 86_400]))
    began = time.monotonic()
    with Loopback(Answerer(), latency=0.005, faults={"429": 0.2}, worst=2, retry_after="0.1") as server:
        assert len(trials.ask(tmp_path, server, 30, concurrency=8).samples) == 30
    assert time.monotonic() - began < 30
    assert all(0 <= row["seconds"] < 30 for row in trials.attempts(tmp_path))
