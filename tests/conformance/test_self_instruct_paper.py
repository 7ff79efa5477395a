"""`fidelity: paper` against what Self-Instruct's programs recorded, in runs from outside this project: raw completions,
what was accepted of them, and the instances that were parsed out of them."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from given import given

from selfinstruct.pipeline import Outcome, execute
from selfinstruct.sample import Sample
from selfinstruct.steps.classify import classify
from selfinstruct.steps.instances import instances
from selfinstruct.steps.read import read
from selfinstruct.steps.self_instruct import self_instruct
from selfinstruct.teachers import Completion, FinishReason, Request, Teacher

SHARED = Path(__file__).parents[3] / "shared" / "data" / "permissive"
SEEDS = SHARED / "seeds" / "self_instruct_175.jsonl"
RAW = SHARED / "raw_teacher"

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded runs lie beside the repository, not in it"
)

Play = Callable[[Teacher], str]
Row = dict[str, Any]


def rows_of(name: str) -> list[Row]:
    lines = gzip.decompress((RAW / f"{name}.jsonl.gz").read_bytes()).splitlines()
    return [json.loads(line) for line in lines]


def completion(text: str | None, finish_reason: str | None) -> Completion:
    return Completion(text or "", cast(FinishReason, finish_reason or "stop"))


class Recorded:
    """A teacher that says what was recorded for a request."""

    model = "recorded"
    structured = True  # `paper` asks for no schema all the same
    raw = True

    def __init__(self, say: Callable[[Request], Completion]) -> None:
        self.say = say
        self.asked: list[Request] = []

    async def complete(self, request: Request) -> Completion:
        assert request.schema is None
        self.asked.append(request)
        return self.say(request)

    async def close(self) -> None: ...


def task_of(request: Request, end: str) -> str:
    """The instruction that a raw prompt ends with."""
    assert request.text is not None
    assert request.text.endswith(end)
    return request.text.removesuffix(end).rpartition("\nTask: ")[2]


def groups(top: dict[str, float]) -> Iterator[tuple[float, set[str]]]:
    """The texts of each score, best first, scores equal to 1e-9 taken together."""
    ranked = sorted(top.items(), key=lambda item: -item[1])
    while ranked:
        score = ranked[0][1]
        texts = {text for text, each in ranked if abs(each - score) <= 1e-9}
        yield score, texts
        ranked = ranked[len(texts) :]


@pytest.mark.parametrize(
    ("run", "calls", "count"), [("maulik_a", 10, 54), ("maulik_b", 14, 67), ("kissshhot", 90, 306)]
)
def test_recorded_instructions_come_out_of_the_step_unchanged(
    tmp_path: Path, play: Play, run: str, calls: int, count: int
) -> None:
    """114 raw completions of three runs: the accepted instructions of each are the same, in the same order, with every
    mean similarity and top-10 score to 1e-9, and the same texts at each score above the tie at which the ten end.
    Differences: none, where the run ends with its record: the last completion of one has an item more than was
    recorded, which is new and comes out as `surplus`."""
    recorded = [row for row in rows_of("self_instruct_instructions_raw") if row["run"] == run]
    accepted = [each for row in recorded for each in row["accepted"]]
    assert (len(recorded), len(accepted)) == (calls, count)
    teacher = Recorded(
        lambda request: completion(
            recorded[request.draw]["raw_text"], recorded[request.draw]["finish_reason"]
        )
    )
    outcome = execute(
        [read(path=str(SEEDS)), self_instruct(n=count, fidelity="paper", window=1)],
        out=tmp_path / "run",
        teacher=play(teacher),
    )
    assert [sample.instruction for sample in outcome.samples] == [each["instruction"] for each in accepted]
    assert outcome.funnel.steps[1].drops["surplus"] == (1 if run == "kissshhot" else 0)
    for sample, theirs in zip(outcome.samples, accepted, strict=True):
        assert not sample.answered
        assert sample.meta["avg_similarity_score"] == pytest.approx(theirs["avg_similarity_score"], abs=1e-9)
        ours = sample.meta["most_similar"]
        lowest = min(theirs["most_similar"].values())
        for (our_score, our_texts), (their_score, their_texts) in zip(
            groups(ours), groups(theirs["most_similar"]), strict=True
        ):
            assert our_score == pytest.approx(their_score, abs=1e-9)
            if their_score > lowest + 1e-9:
                assert our_texts == their_texts
    assert len(teacher.asked) == calls
    for request in teacher.asked:
        assert request.text is not None
        assert request.text.endswith("\n9.")
        assert dict(request.params) == {
            "temperature": 0.7,
            "top_p": 0.5,
            "frequency_penalty": 0,
            "presence_penalty": 2,
            "max_tokens": 1024,
            "stop": ["\n\n", "\n16", "16.", "16 ."],
        }


def test_recorded_verdicts_are_read_as_they_were_meant(tmp_path: Path, play: Play) -> None:
    """1,308 raw completions of two runs: 144 yes, 1,164 no. Differences: none."""
    recorded = {row["instruction"]: row["is_classification"] for row in rows_of("self_instruct_clf_raw")}
    rows = rows_of("self_instruct_clf_raw")
    assert len(rows) == 1_308
    teacher = Recorded(
        lambda request: completion(recorded[task_of(request, "\nIs it classification?")], "stop")
    )
    outcome = execute(
        [given([Sample.of(row["instruction"]) for row in rows]), classify(fidelity="paper")],
        out=tmp_path / "run",
        teacher=play(teacher),
    )
    assert [sample.meta["is_classification"] for sample in outcome.samples] == [
        recorded[row["instruction"]] == " Yes" for row in rows
    ]
    assert Counter(sample.meta["is_classification"] for sample in outcome.samples) == {
        True: 144,
        False: 1_164,
    }
    assert dict(teacher.asked[0].params) == {
        "temperature": 0,
        "top_p": 0,
        "frequency_penalty": 0,
        "presence_penalty": 0,
        "max_tokens": 3,
        "stop": ["\n", "Task"],
    }


@pytest.fixture
def parsed(tmp_path: Path, play: Play, request: pytest.FixtureRequest) -> tuple[Outcome, list[Row], Recorded]:
    """A recorded run's raw instances through the step: the outcome, the records, and the teacher."""
    run = request.param
    kinds = {
        row["instruction"]: row["is_classification"].strip() == "Yes"
        for row in rows_of("self_instruct_clf_raw")
        if row["run"] == run
    }
    recorded = {
        row["instruction"]: row for row in rows_of("self_instruct_instances_raw") if row["run"] == run
    }

    def say(request: Request) -> Completion:
        row = recorded[task_of(request, "\n")]
        return completion(row["raw_instances"], row["finish_reason"])

    tasks = [Sample.of(text, meta={"is_classification": kinds[text]}) for text in recorded]
    teacher = Recorded(say)
    outcome = execute(
        [given(tasks), instances(fidelity="paper")], out=tmp_path / "run", teacher=play(teacher)
    )
    return outcome, list(recorded.values()), teacher


@pytest.mark.parametrize(
    ("parsed", "run", "tasks", "count"),
    [("alice", "alice", 185, 226), ("maulik_b", "maulik_b", 67, 78)],
    indirect=["parsed"],
)
def test_recorded_instances_come_out_of_the_step_as_they_were_parsed(
    parsed: tuple[Outcome, list[Row], Recorded], run: str, tasks: int, count: int
) -> None:
    """252 raw completions of two runs: 226 of 226 and 78 of 78 instances, as sets (the original's order is that of a
    set of texts, which differs with each start of Python). Differences: none. 19 completions were cut, and five had no
    response at all."""
    outcome, recorded, teacher = parsed
    gold = Counter(
        (row["instruction"], row["input"], row["output"])
        for row in rows_of("self_instruct_instances_parsed_gold")
        if row["run"] == run
    )
    ours = Counter((sample.instruction, sample.input, sample.output) for sample in outcome.samples)
    assert len(recorded) == tasks
    assert sum(gold.values()) == count
    assert ours == gold
    step = outcome.funnel.steps[1]
    assert (step.came + step.made, step.pending) == (step.kept + step.dropped, 0)
    cut = sum(row["finish_reason"] == "length" for row in recorded)
    assert step.drops["truncated"] == cut == (10 if run == "alice" else 9)
    assert sum(row["finish_reason"] is None for row in recorded) == (5 if run == "alice" else 0)
    for request in teacher.asked:
        assert request.params["stop"] == ["Example 6", "Task:"]
        assert request.params["presence_penalty"] == 1.5
        assert request.params["max_tokens"] == (300 if "\nClass label: " in str(request.text) else 350)
