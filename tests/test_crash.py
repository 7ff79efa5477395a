"""Killed anywhere and run again: the same bytes come out, and no answer that was filed is paid for again."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import ROOT, python
from loopback import Loopback

from selfinstruct.funnel import Funnel
from selfinstruct.store import FILE, Store
from selfinstruct.teachers.offline import OfflineTeacher

CONCURRENCY = 8
PIPELINE = """
import os, pathlib, signal, sys
from selfinstruct.pipeline import execute
from selfinstruct.steps import alpaca, judge, read, select, write

seeds, url, out, torn = sys.argv[1:]
if torn:  # the process dies in the moment that this exported file would appear
    replace = pathlib.Path.replace
    def tear(self, target):
        if pathlib.Path(target).name == torn:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)
    pathlib.Path.replace = tear

execute(
    [
        read(path=seeds),
        alpaca(n=60, window=12),
        judge(max_unscored=1.0, window=24),
        select(k=40),
        write(),
    ],
    name="crash",
    out=out,
    teacher={"model": "openai/test", "base_url": url, "endpoint": "loop", "concurrency": 8},
)
print("done")
"""


class Course:
    """A pipeline in a process of its own, asking a server of ours that counts what it is paid for."""

    def __init__(self, folder: Path, server: Loopback) -> None:
        self.folder = folder
        self.server = server

    def start(self, torn: str = "") -> subprocess.Popen[str]:
        seeds = str(ROOT / "seeds" / "seed_tasks.jsonl")
        return python("-c", PIPELINE, seeds, self.server.url, str(self.folder), torn)

    def finish(self) -> None:
        process = self.start()
        out, err = process.communicate(timeout=60)
        assert out == "done\n", err

    def stop_when(self, ripe: Callable[[], bool], how: signal.Signals) -> int:
        """The exit status of a process that is sent the signal as soon as it is `ripe`."""
        process = self.start()
        try:
            while not ripe():
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.0005)
            process.send_signal(how)
            process.communicate(timeout=30)
        finally:
            process.kill()
        self.settle()
        return process.returncode

    def settle(self) -> None:
        """Let the server end what it has begun for a client that is gone."""
        while self.server.in_flight:
            time.sleep(0.002)

    @property
    def paid(self) -> int:
        return len(self.server.paid)

    @property
    def filed(self) -> int:
        if not (self.folder / FILE).is_file():
            return 0
        with Store.read(self.folder) as store:
            return store.spent().calls

    @property
    def lost(self) -> int:
        """Answers that were paid for and are not in the store."""
        return self.paid - self.filed

    @property
    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.folder / "dataset").iterdir())}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    with Loopback(OfflineTeacher(), latency=0.005) as server:
        course = Course(tmp_path_factory.mktemp("whole"), server)
        course.finish()
        assert course.lost == 0
        assert set(course.files) == {"README.md", "alpaca.json", "messages.jsonl", "train.parquet"}
        yield course


@pytest.fixture
def course(tmp_path: Path) -> Iterator[Course]:
    with Loopback(OfflineTeacher(), latency=0.02, sigma=0.8) as server:
        yield Course(tmp_path / "run", server)


def test_killed_while_generating_judging_and_writing(undisturbed: Course, course: Course) -> None:
    rng = random.Random(20)
    generated = undisturbed.paid - _judged(undisturbed)
    points = [
        1 + rng.randrange(generated),
        generated + rng.randrange(1, 30),
        generated + rng.randrange(30, 55),
    ]
    lost = 0
    for point in points:
        status = course.stop_when(lambda point=point: course.paid >= point, signal.SIGKILL)  # type: ignore[misc]
        assert status == -signal.SIGKILL
        assert 0 <= course.lost - lost <= CONCURRENCY  # at most what was in flight
        lost = course.lost
    for torn in ("alpaca.json", "train.parquet"):
        process = course.start(torn)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        assert not (course.folder / "dataset" / torn).exists()  # a file is whole, or not there
    asked = course.paid
    course.finish()
    assert course.paid == asked  # all answers had been filed
    assert course.lost == lost
    assert course.filed == undisturbed.filed
    assert set(course.server.paid) == set(undisturbed.server.paid)
    files = {name: body for name, body in course.files.items() if not name.startswith(".")}
    assert files == undisturbed.files


def _judged(course: Course) -> int:
    with Store.read(course.folder) as store:
        return next(row.calls for row in Funnel.of(store).steps if row.name == "judge")


def test_interrupted_it_files_what_is_in_flight_and_goes_on(undisturbed: Course, course: Course) -> None:
    for point in (3, 25):
        status = course.stop_when(lambda point=point: course.paid >= point, signal.SIGINT)  # type: ignore[misc]
        assert status not in (0, -signal.SIGKILL)
        assert course.lost == 0
    with Store.read(course.folder) as store:
        unfinished = Funnel.of(store).steps[-1]
    assert not unfinished.done
    assert unfinished.pending >= 0
    course.finish()
    assert course.lost == 0
    assert sorted(course.server.paid) == sorted(undisturbed.server.paid)
    assert course.files == undisturbed.files
