"""Killed anywhere and run again: the same bytes come out, and no answer that was filed is paid for again."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from course import CONCURRENCY, Course
from loopback import Loopback

from selfinstruct.funnel import Funnel
from selfinstruct.store import Store
from selfinstruct.teachers.offline import OfflineTeacher


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
