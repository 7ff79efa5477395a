"""Trials by fire: each runs the real thing against a server that fails, and says what came of it. The suite runs them
small; `benchmarks/reliability.py` runs them at full size.
"""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from course import ANSWERS, Course
from loopback import PAID, UNPAID, Loopback

from selfinstruct.errors import BudgetReached, Paused
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.pricing import Price, cost
from selfinstruct.run import Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, step
from selfinstruct.steps import respond
from selfinstruct.store import FILE, Store
from selfinstruct.teachers import Completion, Request, Usage

IN_FLIGHT = 20
LATE = 0.5  # seconds that an attempt may end after its deadline
# what a broken answer, or none, looks like; hang and loris end at the deadline
FAULTS = (
    *("429", "500", "503", "529", "hang", "reset", "html", "error200"),
    *("cut", "bad_json", "empty", "null", "no_choices", "length", "filter", "refusal", "drop", "loris"),
)
assert set(FAULTS) <= {*PAID, *UNPAID}


class Answerer:
    """Answers a prompt with words that tell which one it was."""

    model, structured, raw = "answerer", False, False

    async def complete(self, request: Request) -> Completion:
        text = request.messages[-1].content
        rng = random.Random(text)
        return Completion(f"the answer to: {text}", usage=Usage(rng.randrange(5, 30), rng.randrange(5, 200)))

    async def close(self) -> None:
        pass


def prompts(rows: int) -> list[Sample]:
    return [Sample.of(f"Question number {i}, please.") for i in range(rows)]


def written(rows: int, path: Path) -> None:
    path.write_text("".join(json.dumps({"instruction": row.instruction}) + "\n" for row in prompts(rows)))


@step
async def questions(run: Run, samples: Samples, *, rows: int) -> Samples:
    """So many prompts."""
    async for sample in samples:
        yield sample
    run.made(rows)
    for sample in prompts(rows):
        yield sample


def ask(
    out: Path, server: Loopback, rows: int, *, budget: float | None = None, draws: int = 2, **model: Any
) -> Outcome:
    """Answers to so many prompts by what stands behind the server."""
    teacher = {"model": "openai/test", "base_url": server.url, "endpoint": "loop", **model}
    return execute([questions(rows=rows), respond(draws=draws)], out=out, teacher=teacher, budget=budget)


def attempts(out: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(out / FILE)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM attempts ORDER BY id")]


class Kills(NamedTuple):
    kills: int
    runs: int
    lost: int  # answers that were paid for and had not been filed when the process died
    most_lost: int  # by one kill
    repaid: int  # answers on file that were paid for again
    rows_missing: int
    different: int  # exports that are not byte for byte those of an undisturbed run


def kills(folder: Path, count: int, rows: int, seed: int = 0) -> Kills:
    """R1, R2: SIGKILL at random points: while starting, answering, resuming and exporting."""
    rng = random.Random(seed)
    source = folder / "prompts.jsonl"
    written(rows, source)
    with Loopback(Answerer()) as server:
        whole = Course(folder / "whole", server, ANSWERS, source)
        whole.finish()
        expected = whole.files
        assert whole.filed == rows
    done = runs = lost = most = repaid = missing = different = 0
    while done < count:
        with Loopback(Answerer(), latency=0.03, sigma=0.5) as server:
            course = Course(folder / f"run{runs}", server, ANSWERS, source)
            before = 0
            while done < count and course.paid < rows * 0.97:
                point = course.paid + rng.choice([1, 1, rng.randrange(1, 3 * IN_FLIGHT)])
                deadline = rng.choice([0.2, 2.0, 60.0])  # some while it is still starting
                if course.stop_at(point, signal.SIGKILL, within=deadline) == 0:
                    break  # it was done before that
                done += 1
                most, before = max(most, course.lost - before), course.lost
            course.finish()
            runs += 1
            lost += before
            repaid += course.paid - course.filed - before
            missing += rows - course.filed
            different += course.files != expected
    return Kills(done, runs, lost, most, repaid, missing, different)


class Interrupts(NamedTuple):
    interrupts: int
    lost: int  # answers that were paid for and not filed
    latest: float  # seconds from the signal to the last request sent
    codes: set[int]


def interrupts(folder: Path, count: int, rows: int, seed: int = 0) -> Interrupts:
    """R3: SIGINT and SIGTERM at random points; what is in flight has its time to arrive."""
    rng = random.Random(seed)
    source = folder / "prompts.jsonl"
    written(rows, source)
    lost, latest, codes = 0, 0.0, set()
    for each in range(count):
        with Loopback(Answerer(), latency=0.05, sigma=0.5) as server:
            course = Course(folder / f"run{each}", server, ANSWERS, source)
            point = rng.randrange(1, rows - IN_FLIGHT)
            how = rng.choice([signal.SIGINT, signal.SIGTERM])
            codes.add(course.stop_at(point, how))
            lost += course.lost
            latest = max(latest, server.times[-1] - course.signalled)
    return Interrupts(count, lost, latest, codes)


class Faulty(NamedTuple):
    rows: int
    good: int
    wrong: int  # rows that were accepted with another text than the right one
    sent: int
    paid: int
    seconds: float
    latest: float  # seconds that an attempt ended after its deadline, at most


def faulty(out: Path, rows: int, faults: Mapping[str, float], seed: int = 0, timeout: float = 1.0) -> Faulty:
    """R6, R8: answers from a server of which a share of the replies is broken in every way we know."""
    with Loopback(Answerer(), latency=0.01, faults=faults, worst=3, seed=seed) as server:
        began = time.monotonic()
        found = ask(out, server, rows, draws=4, concurrency=20, timeout=timeout).samples
        seconds = time.monotonic() - began
        right = {f"the answer to: {row.instruction}" for row in prompts(rows)}
        good = sum(row.output == f"the answer to: {row.instruction}" for row in found)
        assert len(right) == rows
        late = max(row["seconds"] for row in attempts(out)) - timeout
        return Faulty(rows, good, len(found) - good, len(server.asked), len(server.paid), seconds, late)


def evenly(share: float, kinds: Sequence[str] = FAULTS) -> dict[str, float]:
    return dict.fromkeys(kinds, share / len(kinds))


class Spending(NamedTuple):
    cap: int  # nano-dollars
    billed: int  # by the server, for all that it made
    booked: int  # by our ledger
    reached: bool


PRICE = {"input": 1, "output": 4}


def spending(out: Path, rows: int, cap: int, concurrency: int, seed: int = 0) -> Spending:
    """R10: a cap, and a server that bills also for answers that never arrive."""
    price = Price.of(PRICE)
    faults = evenly(0.2, ("500", "drop", "cut", "bad_json", "no_choices", "null", "loris"))
    with Loopback(Answerer(), latency=0.002, faults=faults, worst=2, seed=seed) as server:
        reached = False
        try:
            ask(
                *(out, server, rows),
                budget=cap / 1e9,
                concurrency=concurrency,
                price=PRICE,
                timeout=0.5,
                params={"max_tokens": 200},
            )
        except BudgetReached:
            reached = True
        billed = sum(cost(usage, price) for usage in server.bills)
    with Store.read(out) as store:
        return Spending(cap, billed, store.booked().nano, reached)


def storm(out: Path, rows: int, seconds: float) -> Faulty:
    """R7: every request is answered 429 for a while."""
    with Loopback(Answerer(), storm=seconds) as server:
        began = time.monotonic()
        found = ask(out, server, rows, concurrency=20).samples
        good = sum(row.output == f"the answer to: {row.instruction}" for row in found)
        return Faulty(
            rows, good, len(found) - good, len(server.asked), len(server.paid), time.monotonic() - began, 0
        )


def wishes(out: Path, rows: int, shapes: Sequence[str]) -> list[float]:
    """R7: by how many seconds each request came later than the last wish to wait allows (less than 0: too early)."""
    with Loopback(Answerer(), faults={"429": 0.4}, worst=2, retry_after=shapes) as server:
        found = ask(out, server, rows, concurrency=1).samples
        assert len(found) == rows
        margins = []
        for when, text in server.wishes:
            wait = (
                float(text[4:]) - 1 if text.startswith("date") else _seconds(text)
            )  # a date has whole seconds
            following = [at for at in server.times if at > when]
            if following and wait:
                margins.append(following[0] - when - wait)
        return margins


def _seconds(text: str) -> float:
    """A wish that makes sense, or 0."""
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 120 else 0.0


def pauses(out: Path, wish: str) -> str:
    """R7: a wish that is too long to be waited for: what the run said, and that it went on later."""
    with Loopback(Answerer(), faults={"429": 1.0}, worst=1, retry_after=wish) as server:
        try:
            ask(out, server, 3, concurrency=1)
        except Paused as paused:
            said = f"{paused.message} / {paused.hint}"
        else:
            said = "did not pause"
        server.faults.clear()
        assert len(ask(out, server, 3, concurrency=1).samples) == 3
    return said


def queue(out: Path, rows: int, latency: float, timeout: float) -> int:
    """R9: a slow model that makes one answer at a time; how many attempts timed out."""
    with Loopback(Answerer(), latency=latency, serial=True) as server:
        assert len(ask(out, server, rows, concurrency=1, timeout=timeout).samples) == rows
    return sum(row["outcome"] != "answered" for row in attempts(out))
