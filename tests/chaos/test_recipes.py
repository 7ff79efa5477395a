"""Every shipped pipeline, broken off and gone on with, fast and slow: the same files, and nothing paid for twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch_server import Batches
from fakes import ROOT
from loopback import Loopback

import selfinstruct.roles
from selfinstruct import batching
from selfinstruct.document import load
from selfinstruct.errors import TeacherError
from selfinstruct.pipeline import Pipeline, run
from selfinstruct.teachers import Completion, Request, Teacher
from selfinstruct.teachers.connect import connect
from selfinstruct.teachers.offline import OfflineTeacher

FILES = sorted((ROOT / "pipelines").glob("*.yaml"))
TRAINING = ("sft", "dpo", "evaluate")


class Line:
    """The way to all teachers. It counts what is answered, by request, and breaks after `most` answers; with `uneven`,
    each answer takes a while of its own.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answered: dict[str, int] = {}
        self.most: int | None = None
        self.uneven: random.Random | None = None

        def opened(spec: str | Mapping[str, Any], *, role: str) -> Teacher:
            teacher = connect(spec, role=role)
            whole = teacher.complete

            async def complete(request: Request) -> Completion:
                if self.most is not None and len(self.answered) >= self.most:
                    raise TeacherError("the line is cut")
                self.answered[request.key] = self.answered.get(request.key, 0) + 1
                if self.uneven is not None:
                    await asyncio.sleep(self.uneven.random() / 500)
                return await whole(request)

            monkeypatch.setattr(teacher, "complete", complete)
            return teacher

        monkeypatch.setattr(selfinstruct.roles, "connect", opened)


def written(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "dataset").iterdir())}


def untrained(path: Path) -> Pipeline:
    pipeline = load(path, limit=30)
    return replace(pipeline, steps=[step for step in pipeline.steps if step.name not in TRAINING])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_broken_off_and_gone_on_with(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line, pipeline = Line(monkeypatch), untrained(path)
    whole = run(pipeline, tmp_path / "whole")
    asked = dict(line.answered)
    if not asked:
        pytest.skip("it asks nobody")
    for share in (0.1, 0.4, 0.7, 0.95):
        line.answered.clear()
        for upto in (round(len(asked) * share), None):
            line.most = upto
            with contextlib.suppress(TeacherError):
                run(pipeline, tmp_path / f"{share}")
        assert line.answered == asked
        assert set(line.answered.values()) == {1}
        assert written(tmp_path / f"{share}") == written(whole.dir)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_neither_latency_nor_concurrency_is_seen_in_the_files(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, pipeline = Line(monkeypatch), untrained(path)
    whole = run(pipeline, tmp_path / "whole")
    if not line.answered:
        pytest.skip("it asks nobody")
    for seed, concurrency in enumerate((2, 40)):
        line.uneven = random.Random(seed)
        models = {
            role: {**({"model": model} if isinstance(model, str) else model), "concurrency": concurrency}
            for role, model in pipeline.models.items()
        }
        run(replace(pipeline, models=models), tmp_path / f"{concurrency}")
        assert written(tmp_path / f"{concurrency}") == written(whole.dir)


CHAINED = (
    "baize",
    "best_of",
    "evol",
    "evol_quality",
    "orca",
    "self_instruct",
    "translate",
    "ultrachat",
    "ultrafeedback",
)


@pytest.mark.parametrize("name", CHAINED)
def test_answers_of_batches_make_the_same_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "LULL", 0.02)
    monkeypatch.setattr(batching, "FIRST_LOOK", 0.01)
    pipeline, found = untrained(ROOT / "pipelines" / f"{name}.yaml"), {}
    for mode in ("realtime", "batch"):
        with Loopback(OfflineTeacher()) as server:
            server.batches = Batches(looks=1)
            model = {"model": "openai/test", "base_url": server.url, "endpoint": "loop", "mode": mode}
            out = run(replace(pipeline, models=dict.fromkeys(pipeline.models, model)), tmp_path / mode).dir
            found[mode] = {file: data for file, data in written(out).items() if file != "README.md"}
            assert bool(server.batches.submitted) == (mode == "batch")
    assert found["batch"] == found["realtime"]
