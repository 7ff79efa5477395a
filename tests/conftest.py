"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tenacity import wait_none

import selfinstruct.roles
import selfinstruct.run
from selfinstruct.teachers import Teacher
from selfinstruct.teachers.connect import connect

pytest_plugins = ("student",)


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
