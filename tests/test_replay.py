"""The data depend on the recipe and the answers: not on latency, concurrency, the hash seed or the number of tries."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import ROOT, python

from selfinstruct.pipeline import Pipeline, run
from selfinstruct.sample import digest
from selfinstruct.steps import alpaca, judge, novelty, read, select, write
from selfinstruct.store import Drop, Store
from selfinstruct.teachers import Completion, Request, Teacher
from selfinstruct.teachers.offline import OfflineTeacher

STEPS = [
    read(path=str(ROOT / "seeds" / "seed_tasks.jsonl")),
    alpaca(n=40, window=8),
    novelty(threshold=0.6),
    judge(max_unscored=1.0),
    select(k=25),
    write(),
]


class Uneven(OfflineTeacher):
    """The offline teacher, each answer after a while of its own."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.waits = random.Random(seed)
        self.asked = 0

    async def complete(self, request: Request) -> Completion:
        self.asked += 1
        await asyncio.sleep(self.waits.random() / 500)
        return await super().complete(request)


class Silent(OfflineTeacher):
    """Known by the same name, and never to be asked."""

    async def complete(self, request: Request) -> Completion:
        raise AssertionError("an answer that was filed is asked for again")


def go(folder: Path, model: Any, fresh: bool = False) -> dict[str, Any]:
    """All that a run left: rows and drops of each step, and the exported bytes."""
    run(Pipeline("replay", STEPS, {"teacher": model}), folder, fresh=fresh)
    with Store.read(folder) as store:
        rows = [list(store.samples(n)) for n in range(len(STEPS))]
        drops: list[list[Drop]] = [list(store.drops(n)) for n in range(len(STEPS))]
    files = {path.name: path.read_bytes() for path in (folder / "dataset").iterdir()}
    return {"rows": rows, "drops": drops, **files}


def test_neither_latency_nor_concurrency_is_seen_in_the_data(
    tmp_path: Path, play: Callable[[Teacher], str]
) -> None:
    plain = go(tmp_path / "plain", "offline")
    assert [len(rows) for rows in plain["rows"]][1] == 40
    assert all(plain["drops"][n] for n in (1, 4))
    for seed, concurrency in enumerate([1, 5, 64]):
        model = {"model": play(Uneven(seed)), "concurrency": concurrency}
        assert go(tmp_path / f"{seed}", model) == plain


def test_a_finished_run_replays_without_a_call(tmp_path: Path, play: Callable[[Teacher], str]) -> None:
    first = go(tmp_path, play(Uneven(0)))
    assert go(tmp_path, play(Silent()), fresh=True) == first
    with pytest.raises(AssertionError, match="asked for again"):  # it would tell
        go(tmp_path / "elsewhere", play(Silent()))


def test_other_windows_are_other_recipes(tmp_path: Path) -> None:
    """What may change the data is an option, and so part of the fingerprint."""
    place = Pipeline("replay", STEPS, {"teacher": "offline"}).place(tmp_path)
    wider = [STEPS[0], alpaca(n=40, window=9), *STEPS[2:]]
    marks = [
        Pipeline("replay", steps, {"teacher": "offline"}).fingerprints(place) for steps in (STEPS, wider)
    ]
    assert marks[0][0] == marks[1][0]
    assert all(one != other for one, other in zip(marks[0][1:], marks[1][1:], strict=True))


ELSEWHERE = """
import sys
from pathlib import Path
from selfinstruct import roles
from test_replay import Silent, go, mark

if sys.argv[2] == "silent":
    roles.connect = lambda spec, role: Silent()
print(mark(go(Path(sys.argv[1]), "offline", fresh=True)))
"""


def mark(found: dict[str, Any]) -> str:
    """One line for all that `go` found."""
    rows = [[row.to_row() for row in step] for step in found["rows"]]
    drops = [
        [[d.reason, d.detail, d.sample if isinstance(d.sample, str) else d.sample.to_row()] for d in step]
        for step in found["drops"]
    ]
    return digest(
        [rows, drops, {name: body.hex() for name, body in found.items() if isinstance(body, bytes)}]
    )


def test_nothing_depends_on_the_hash_seed(tmp_path: Path) -> None:
    found = {mark(go(tmp_path / "here", "offline"))}
    for how, seed in (("asking", "1"), ("silent", "2")):  # made under one seed, replayed under another
        process = python("-c", ELSEWHERE, str(tmp_path / "there"), how, PYTHONHASHSEED=seed)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        found.add(out.strip())
    assert len(found) == 1
