"""Toy tasks and a student made on the spot; training libraries stay on one thread."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from toys import chat, toys

from selfinstruct.train import Chat  # torch reads the lines above when it is imported


@pytest.fixture(scope="session")
def chats() -> list[Chat]:
    return [chat(question, answer) for _, question, answer in toys(200, seed=1)]


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory, chats: list[Chat]) -> Path:
    """The folder of a tiny student."""
    pytest.importorskip("torch")
    from selfinstruct.train.tiny import make

    return make(chats, tmp_path_factory.mktemp("tiny") / "student", seed=0)


@pytest.fixture
def tokenizer(student: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(student)
