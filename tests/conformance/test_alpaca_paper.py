"""`fidelity: paper` against what the original programs recorded: Alpaca's regeneration runs and Self-Instruct's raw
completions, both from outside this project."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.heuristics import SELF_INSTRUCT_WORDS, instruction_fault
from selfinstruct.novelty import NoveltyIndex
from selfinstruct.pipeline import execute
from selfinstruct.steps.alpaca import alpaca
from selfinstruct.steps.read import read
from selfinstruct.teachers import Completion, Request, Teacher

SHARED = Path(__file__).parents[3] / "shared" / "data"
SEEDS = SHARED / "permissive" / "seeds" / "self_instruct_175.jsonl"
RUNS = SHARED / "noncommercial" / "alpaca" / "regen_golden"
RAW = SHARED / "permissive" / "raw_teacher" / "self_instruct_instructions_raw.jsonl.gz"
ABSENT = "the recorded runs lie beside the repository, not in it"
WRITTEN = 16  # tasks 4 to 19: the stop string "\n20" comes before the twentieth

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=ABSENT)

Row = dict[str, Any]


def rendered(rows: list[Row]) -> str:
    """What GPT-3 wrote behind "4. Instruction:", from the rows that were parsed out of it (SPECS 4.2)."""
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


def test_recorded_self_instruct_completions_are_filtered_as_recorded() -> None:
    """114 raw completions of three runs of Self-Instruct's program: accepted lists equal in 113 (10 of 10, 14 of 14,
    89 of 90), and in them all 425 instructions with every mean similarity and top-10 score to 1e-9. The one that
    differs is the last of its run: the record ends before its last item."""
    completions = [json.loads(line) for line in gzip.decompress(RAW.read_bytes()).splitlines()]
    runs: dict[str, list[Row]] = {}
    for completion in completions:
        runs.setdefault(completion["run"], []).append(completion)
    seeds = [json.loads(line)["instruction"] for line in SEEDS.read_text("utf-8").splitlines()]
    equal: dict[str, list[bool]] = {}
    compared = 0
    for run, found in runs.items():
        index = NoveltyIndex(0.7, tokens="rouge")
        index.extend(seeds)
        for completion in found:
            accepted = []
            for text in items(completion):
                if instruction_fault(text, fidelity="paper", banned=SELF_INSTRUCT_WORDS) is None and (
                    index.add_if_new(text) is None
                ):
                    (similar,) = index.similar([text], before=[len(index) - 1])
                    accepted.append((text, [match.score for match in similar.top], similar.mean))
            theirs = [each["instruction"] for each in completion["accepted"]]
            equal.setdefault(run, []).append([text for text, _, _ in accepted] == theirs)
            if equal[run][-1]:
                for (_, top, mean), each in zip(accepted, completion["accepted"], strict=True):
                    assert mean == pytest.approx(each["avg_similarity_score"], abs=1e-9)
                    assert sorted(top)[-len(each["most_similar"]) :] == pytest.approx(
                        sorted(each["most_similar"].values()), abs=1e-9
                    )
                    compared += 1
    found_equal = {run: (sum(same), len(same)) for run, same in equal.items()}
    assert found_equal == {"maulik_a": (10, 10), "maulik_b": (14, 14), "kissshhot": (89, 90)}
    assert not equal["kissshhot"][-1]
    assert compared == 425


def items(completion: Row) -> list[str]:
    """Self-Instruct's reading of a numbered list (SPECS 4.1): split at new lines with a number, white space collapsed,
    capitalize() with its trap; a cut completion gives nothing."""
    if completion["finish_reason"] == "length":
        return []
    return [" ".join(text.split()).capitalize() for text in re.split(r"\n\d+\s?\. ", completion["raw_text"])]
