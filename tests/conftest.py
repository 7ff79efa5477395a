"""Fixtures that several test files share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from tenacity import wait_none

import selfinstruct.roles
import selfinstruct.run
from selfinstruct.teachers import Teacher
from selfinstruct.teachers.connect import connect

pytest_plugins = ("student",)


@pytest.fixture(scope="session", autouse=True)
def _states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[str]]:
    """Figures of earlier runs are kept in a folder of the tests' own, not in the user's."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:  # for what is set up before any test
        patch.setenv("XDG_STATE_HOME", str(folder / "shared"))
        yield (str(folder / str(number)) for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, _states: Iterator[str]) -> None:
    """A new one for each test: what one measured is no other's prior."""
    monkeypatch.setenv("XDG_STATE_HOME", next(_states))


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
