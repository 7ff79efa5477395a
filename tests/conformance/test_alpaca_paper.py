"""`fidelity: paper` against what Alpaca's program recorded in two regeneration runs from outside this project."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.pipeline import execute
from selfinstruct.steps.alpaca import alpaca
from selfinstruct.steps.read import read
from selfinstruct.teachers import Completion, Request, Teacher

SHARED = Path(__file__).parents[3] / "shared" / "data"
SEEDS = SHARED / "permissive" / "seeds" / "self_instruct_175.jsonl"
RUNS = SHARED / "noncommercial" / "alpaca" / "regen_golden"
ABSENT = "the recorded runs lie beside the repository, not in it"
WRITTEN = 16  # tasks 4 to 19: the stop string "\n20" comes before the twentieth

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=ABSENT)

Row = dict[str, Any]


def rendered(rows: list[Row]) -> str:
    """What GPT-3 wrote behind "4. Instruction:", from the rows that were parsed out of it."""
    text = ""
    for number, row in enumerate(rows, 4):
        text += f"\n###\n{number}. Instruction:" if text else ""
        text += f" {row['instruction']}\n{number}. Input:\n{row['input'] or '<noinput>'}"
        text += f"\n{number}. Output:\n{row['output']}"
    return text + "\n###\n"


class Recorded:
    """A teacher that says what was recorded: completion i for draw i."""

    model = "recorded"
    structured = False
    raw = True

    def __init__(self, completions: list[str]) -> None:
        self.completions = completions
        self.asked: list[Request] = []

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request)
        return Completion(self.completions[request.draw])

    async def close(self) -> None: ...


def groups(top: dict[str, float]) -> Iterator[tuple[float, set[str]]]:
    """The texts of each score, best first, scores equal to 1e-9 taken together."""
    ranked = sorted(top.items(), key=lambda item: -item[1])
    while ranked:
        score = ranked[0][1]
        texts = {text for text, each in ranked if abs(each - score) <= 1e-9}
        yield score, texts
        ranked = ranked[len(texts) :]


@pytest.mark.parametrize(
    ("file", "count"),
    [("avniavdulla__stanford_alpaca.json.gz", 128), ("minpeter__stanford_alpaca_regen.json.gz", 73)],
)
def test_recorded_alpaca_runs_come_out_of_the_step_unchanged(
    tmp_path: Path, play: Callable[[Teacher], str], file: str, count: int
) -> None:
    """128 and 73 rows of two runs of Alpaca's program: same rows, same order, every mean similarity and every top-10
    score equal to 1e-9, and the same texts at each score above the tie at which the ten end. Differences: none."""
    rows: list[Row] = json.loads(gzip.decompress((RUNS / file).read_bytes()))
    assert len(rows) == count
    completions = [rendered(rows[at : at + WRITTEN]) for at in range(0, count, WRITTEN)]
    teacher = Recorded(completions)
    outcome = execute(
        [read(path=str(SEEDS)), alpaca(n=count, fidelity="paper", window=3)],
        out=tmp_path / "run",
        teacher=play(teacher),
    )
    ours = outcome.samples
    assert [(s.instruction, s.input, s.output) for s in ours] == [
        (row["instruction"], row["input"], row["output"]) for row in rows
    ]
    compared = 0
    for sample, row in zip(ours, rows, strict=True):
        theirs, top = row["most_similar_instructions"], sample.meta["most_similar_instructions"]
        assert sample.meta["avg_similarity_score"] == pytest.approx(row["avg_similarity_score"], abs=1e-9)
        assert sorted(top.values()) == pytest.approx(sorted(theirs.values()), abs=1e-9)
        lowest = min(theirs.values())
        for (our_score, our_texts), (their_score, their_texts) in zip(
            groups(top), groups(theirs), strict=True
        ):
            assert our_score == pytest.approx(their_score, abs=1e-9)
            if their_score > lowest + 1e-9:
                assert our_texts == their_texts
                compared += len(our_texts)
    assert compared > 3 * count
    assert dict(outcome.funnel.steps[1].drops) == {"seed_task": 175}
    assert len(teacher.asked) == len(completions)
    for request in teacher.asked:
        assert request.text is not None
        assert request.text.endswith("\n###\n4. Instruction:")
        params = request.params
        assert (params["temperature"], params["top_p"], params["max_tokens"]) == (1.0, 1.0, 3072)
        assert set(params["stop"]) == {"\n20", "20."}
        assert params["logit_bias"] == {"50256": -100}
