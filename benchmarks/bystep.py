"""A pipeline run once in a fresh folder, and a table of what each of its steps took."""

from __future__ import annotations

import cProfile
import resource
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from selfinstruct.pipeline import Outcome, Pipeline, run
from selfinstruct.tally import Tally

HEADS = ("step", "came", "made", "kept", "wall s", "CPU s", "rows/s", "peak MB")


class Clock(NamedTuple):
    """Seconds; CPU is that of all threads and of child processes that have ended."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Clock:
        own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
        return cls(time.perf_counter(), cpu)

    def __str__(self) -> str:
        return f"{self.wall:>10.1f}{self.cpu:>10.1f}"

    def since(self) -> Clock:
        now = Clock.now()
        return Clock(now.wall - self.wall, now.cpu - self.cpu)


def peak() -> str:
    """The most memory that this process has had so far, in MB."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>10,.0f}"


def measure(pipeline: Pipeline, profile: Path | None = None) -> Outcome:
    """Run it and print the table; `profile` is a file to write what pstats reads."""
    began = started = Clock.now()

    def watch(event: str, tally: Tally) -> None:
        nonlocal began
        if event == "begin":
            began = Clock.now()
        elif event == "end":
            took = began.since()
            rows = "".join(f"{count:>10,}" for count in (tally.came, tally.made, tally.kept))
            rate = (tally.came + tally.made) / took.wall
            print(f"{tally.name:<11}{rows}{took}{rate:>10,.0f}{peak()}", flush=True)

    print(f"{HEADS[0]:<11}" + "".join(f"{head:>10}" for head in HEADS[1:]))
    with tempfile.TemporaryDirectory() as folder:
        profiler = cProfile.Profile(time.thread_time)
        if profile:
            profiler.enable()
        outcome = run(pipeline, Path(folder) / pipeline.name, watch=watch)
        if profile:
            profiler.disable()
            profiler.dump_stats(profile)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6
    print(f"{'all':<41}{started.since()}{'':>10}{peak()}\nthe run's folder: {size:,.0f} MB")
    return outcome
