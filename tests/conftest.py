"""Fixtures that several test files share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

import selfinstruct.roles
import selfinstruct.run
from selfinstruct.teachers import Teacher
from selfinstruct.teachers.connect import connect

pytest_plugins = ("student",)


@pytest.fixture(scope="session")
def _states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("state")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, _states: Iterator[Path]) -> None:
    """Figures of earlier runs are kept in a folder of the test's own, not in the user's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(next(_states)))


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Teacher], str]:
    """Registers a teacher object under its model's name, so that a pipeline can name it."""
    cast: dict[str, Teacher] = {}

    def opened(spec: Mapping[str, Any], *, role: str) -> Teacher:
        return cast.get(spec["model"]) or connect(spec, role=role)

    def register(teacher: Teacher) -> str:
        cast[teacher.model] = teacher
        return teacher.model

    monkeypatch.setattr(selfinstruct.roles, "connect", opened)
    return register


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow each other without a pause."""
    monkeypatch.setattr(selfinstruct.run, "BACK_OFF", wait_none())
