"""Published files, read: what comes out against what a few lines of plain Python count and pick in the same file.

Rows compared: LLaMA-Factory's demos 59 dpo, 60 kto, 59 glaive (30 of them with calls of tools), 48 tool use (all with);
OpenAssistant 25 + 40 trees and their 57 + 85 pairs; 541 prompts of IFEval; 600 rows of T0; 199 Chinese Alpaca rows.
Differences: none.
"""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import formats
from selfinstruct.errors import DataError
from selfinstruct.formats import WRITERS, Fault
from selfinstruct.sample import Sample

SHARED = Path(__file__).parents[3] / "shared" / "data"
CHAT = SHARED / "permissive" / "chat"
TREES = {
    SHARED / "permissive" / "human" / "oasst2_ranked_trees.jsonl.gz": (25, 57),
    CHAT / "oasst_en_tree_40.jsonl.gz": (40, 85),
}

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the published files lie beside the repository, not in it"
)


def raw(path: Path) -> list[dict[str, Any]]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.decode().splitlines()]


def read(path: Path, format: str = "auto", **options: Any) -> tuple[list[Sample], list[Fault]]:
    found = [item for _, item in formats.read(path, format, **options)]
    return [item for item in found if isinstance(item, Sample)], [
        item for item in found if isinstance(item, Fault)
    ]


def dumped(format: str, samples: list[Sample]) -> list[dict[str, Any]]:
    file = io.BytesIO()
    WRITERS[format].write(samples, file)
    return [json.loads(line) for line in file.getvalue().splitlines()]


def test_llama_factory_dpo_comes_back_as_it_was() -> None:
    path = CHAT / "llamafactory_dpo_en_demo.jsonl.gz"
    samples, faults = read(path)
    assert (len(samples), len(faults)) == (59, 0)
    assert dumped("sharegpt_preference", samples) == raw(path)


def test_llama_factory_kto_has_every_answer_with_its_label() -> None:
    path = CHAT / "llamafactory_kto_en_demo.jsonl.gz"
    samples, faults = read(path)
    rows = raw(path)
    assert (len(samples), len(faults)) == (60, 0)
    assert sum(row["label"] for row in rows) == sum(sample.answered for sample in samples) == 24
    for sample, row in zip(samples, rows, strict=True):
        answer = sample.output if row["label"] else sample.rejected
        assert answer == row["messages"][-1]["content"]
        assert [(each.role, each.content) for each in sample.prompt] == [
            (each["role"], each["content"]) for each in row["messages"][:-1]
        ]
    assert [row["label"] for row in dumped("kto", samples)] == [row["label"] for row in rows]


def test_rows_with_calls_of_tools_are_refused_and_no_others() -> None:
    path = CHAT / "llamafactory_glaive_toolcall_en_demo.jsonl.gz"
    samples, faults = read(path)
    rows = raw(path)
    calls = [
        number
        for number, row in enumerate(rows, 1)
        if {turn["from"] for turn in row["conversations"]} & {"function_call", "observation"}
    ]
    assert [fault.place for fault in faults] == [f"line {number}" for number in calls]
    assert (len(samples), len(faults)) == (29, 30)
    sound = [row for number, row in enumerate(rows, 1) if number not in calls]
    assert dumped("sharegpt", samples) == sound
    samples, faults = read(CHAT / "llamafactory_reason_tool_use_demo_50.jsonl.gz")
    assert (len(samples), len(faults)) == (0, 48)


def sound(message: dict[str, Any]) -> bool:
    return (
        not message["deleted"]
        and message.get("review_result", True) is not False
        and bool(message["text"].strip())
    )


def best_first(message: dict[str, Any]) -> list[dict[str, Any]]:
    kept = [reply for reply in message["replies"] if sound(reply)]
    return sorted(kept, key=lambda reply: 99 if reply.get("rank") is None else reply["rank"])


def best(message: dict[str, Any]) -> list[str]:
    """The best conversation from a question on, by recursion."""
    answers = best_first(message)
    if not answers:
        return [message["text"]]
    followed = [question for question in best_first(answers[0]) if best_first(question)]
    return [message["text"], answers[0]["text"], *(best(followed[0]) if followed else [])]


def every_pair(
    message: dict[str, Any], before: tuple[str, ...] = ()
) -> set[tuple[tuple[str, ...], str, str]]:
    found = set()
    ranked = [reply for reply in best_first(message) if reply.get("rank") is not None]
    path = (*before, message["text"])
    if message["role"] == "prompter" and len({reply["rank"] for reply in ranked}) > 1:
        found.add((path, ranked[0]["text"], ranked[-1]["text"]))
    return found.union(*(every_pair(reply, path) for reply in message["replies"] if sound(reply)))


@pytest.mark.parametrize("path", TREES, ids=lambda path: path.name)
def test_trees_of_open_assistant(path: Path) -> None:
    rows = raw(path)
    trees, pairs = TREES[path]
    samples, faults = read(path)
    assert (len(samples), len(faults)) == (trees, 0)
    assert [[each.content for each in sample.messages] for sample in samples] == [
        best(row["prompt"]) for row in rows
    ]
    samples, faults = read(path, "oasst_pairs")
    by_hand = [every_pair(row["prompt"]) for row in rows]
    assert len(samples) == pairs == sum(map(len, by_hand))
    assert {
        (tuple(each.content for each in sample.prompt), sample.output, str(sample.rejected))
        for sample in samples
    } == set().union(*by_hand)
    assert len(faults) == sum(not pairs for pairs in by_hand)
    assert all(fault.harmless for fault in faults)


def test_prompts_that_wait_for_answers() -> None:
    path = SHARED / "permissive" / "eval_prompts" / "ifeval_541.jsonl.gz"
    samples, faults = read(path, "prompt_completion")
    rows = raw(path)
    assert (len(samples), len(faults)) == (541, 0)
    assert not any(sample.answered for sample in samples)
    assert [sample.instruction for sample in samples] == [row["prompt"] for row in rows]
    assert [sample.meta for sample in samples] == [
        {key: value for key, value in row.items() if key != "prompt"} for row in rows
    ]
    assert [sample.messages for sample in read(path, columns={"instruction": "prompt"})[0]] == [
        sample.messages for sample in samples
    ]


def test_prompt_and_completion_of_t0() -> None:
    count = 0
    for path in sorted((SHARED / "permissive" / "flan" / "t0_rendered").glob("[a-z]*.jsonl")):
        rows = raw(path)
        samples, faults = read(path)
        assert not faults
        assert [(sample.instruction, sample.output) for sample in samples] == [
            (row["prompt"], row["completion"]) for row in rows
        ]
        count += len(samples)
    assert count == 600


def test_questions_in_two_turns_without_answers_are_no_conversation() -> None:
    """MT-Bench and Vicuna hold lists of questions alone; a row can't hold two questions in a row."""
    for name in ("mt_bench_80.jsonl", "vicuna_80.jsonl"):
        path = SHARED / "permissive" / "eval_prompts" / name
        with pytest.raises(DataError, match="its keys are 'question_id', 'category', 'turns'"):
            read(path)


@pytest.mark.parametrize("format", ["messages", "sharegpt", "prompt_completion", "parquet"])
def test_chinese_rows_pass_through_every_format(tmp_path: Path, format: str) -> None:
    path = SHARED / "noncommercial" / "alpaca" / "alpaca_zh_200.jsonl.gz"
    samples, faults = read(path)
    assert (len(samples), len(faults)) == (199, 0)
    with (tmp_path / "rows").open("wb") as file:
        WRITERS[format].write(samples, file)
    again, faults = read(tmp_path / "rows")
    assert [sample.messages for sample in again] == [sample.messages for sample in samples]
    assert not faults
