"""What a run survives, at full size: the trials of tests/chaos, a line each. disk.py does the same for the disk.

    python benchmarks/reliability.py [--only R1 R3 R6 ...] [--kills 200] [--rows 300]

The server stands on loopback, fails by seed, and logs each completion that it was paid for.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "chaos")]

import trials  # noqa: E402
from batch_server import Batches  # noqa: E402
from loopback import Loopback  # noqa: E402
from test_batches import POINTS, Dying, of  # noqa: E402

from selfinstruct.store import Store  # noqa: E402


def r1(folder: Path, options: argparse.Namespace) -> str:
    found = trials.kills(folder, options.kills, options.rows, seed=1)
    return (
        f"{found.kills} SIGKILLs in {found.runs} runs of {options.rows} rows, {trials.IN_FLIGHT} in flight:"
        f" {found.rows_missing} rows lost, {found.repaid} filed answers paid again,"
        f" {found.lost / found.kills:.1f} lost in flight a kill (most {found.most_lost}),"
        f" {found.different} exports that differ"
    )


def r3(folder: Path, options: argparse.Namespace) -> str:
    found = trials.interrupts(folder, 40, options.rows, seed=2)
    return (
        f"{found.interrupts} SIGINT and SIGTERM: {found.lost} answers in flight wasted,"
        f" last request {max(0.0, found.latest):.2f} s after the signal, exit codes {sorted(found.codes)}"
    )


def r6(folder: Path, options: argparse.Namespace) -> str:
    found = trials.faulty(folder / "run", options.rows, trials.evenly(0.3), seed=3)
    return (
        f"30 % faults of {len(trials.FAULTS)} kinds: {found.good} of {found.rows} good, {found.wrong} wrong accepted,"
        f" {found.sent} sent, {found.paid} paid, {found.seconds:.0f} s"
    )


def r7(folder: Path, options: argparse.Namespace) -> str:
    found = trials.storm(folder / "storm", options.rows, 60.0)
    shapes = ("0.5", "1", "2", "date+3", "-5", "garbage", "1e400", "")
    margins = trials.wishes(folder / "wishes", 100, shapes)
    said = trials.pauses(folder / "pause", "3600")
    return (
        f"60 s of nothing but 429: {found.good} of {found.rows} good after {found.seconds:.0f} s;"
        f" {len(margins)} wishes to wait: earliest {min(margins) * 1000:+.0f} ms after; 3600: {said}"
    )


def r8(folder: Path, options: argparse.Namespace) -> str:
    faults = {"hang": 0.025, "loris": 0.025}
    found = trials.faulty(folder / "run", options.rows, faults, seed=4, timeout=2.0)
    return (
        f"5 % hang or drip, 2 s allowed: {found.good} of {found.rows} good, latest end {found.latest:+.2f} s"
    )


def r9(folder: Path, options: argparse.Namespace) -> str:
    late = trials.queue(folder / "run", 100, latency=0.5, timeout=2.0)
    return f"one at a time, 0.5 s each, 100 waiting, 2 s allowed: {late} timeouts"


def r10(folder: Path, options: argparse.Namespace) -> str:
    rng, over, reached, closest = random.Random(5), 0, 0, 0.0
    for number in range(20):
        for concurrency in (1, 20, 100):
            cap = rng.randrange(5_000_000, 60_000_000)
            found = trials.spending(folder / f"{number}-{concurrency}", 200, cap, concurrency, seed=number)
            over += found.billed > cap or found.booked > cap or found.billed > found.booked
            reached += found.reached
            closest = max(closest, found.booked / cap)
    return f"60 runs with a cap, 20 % faults: {over} overshoots, {reached} reached it, booked up to {closest:.2%} of it"


def r15(folder: Path, options: argparse.Namespace) -> str:
    rng, twice, lost, doubt = random.Random(6), 0, 0, 0
    source = folder / "prompts.jsonl"
    trials.written(20, source)
    for number in range(50):
        point = rng.choice([*POINTS, str(rng.randrange(1, 20))])
        with Loopback(trials.Answerer()) as server:
            server.batches = Batches(looks=1)
            course = Dying(folder / f"run{number}", server, of(rng.choice(["openai", "anthropic"])), source)
            course.die(point)
            course.finish()
            handed = Counter(key for ids in server.batches.submitted for key in ids)
            twice += sum(count > 1 for count in handed.values())
            lost += len(server.batches.paid) - course.filed
        with Store.read(course.folder) as store:
            doubt += store.spent().doubt_nano
    return (
        f"50 SIGKILLs of runs with batches, in every state: {twice} requests handed in twice, {lost} paid rows lost,"
        f" {doubt} nano-dollars in doubt in the end"
    )


TRIALS: dict[str, Callable[[Path, argparse.Namespace], str]] = {
    "R1": r1,
    "R3": r3,
    "R6": r6,
    "R7": r7,
    "R8": r8,
    "R9": r9,
    "R10": r10,
    "R15": r15,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=TRIALS, default=list(TRIALS))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rows", type=int, default=300)
    options = parser.parse_args()
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_STATE_HOME"] = f"{folder}/state"  # what the runs take is nobody's prior
            began = time.perf_counter()
            said = TRIALS[name](Path(folder), options)
            print(f"{name}: {said} [{time.perf_counter() - began:.0f} s]", flush=True)


if __name__ == "__main__":
    main()
