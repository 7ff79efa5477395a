"""The disclaimer filter: what UltraChat 200k leaves out, and what only sounds like it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from given import given

from selfinstruct.pipeline import execute
from selfinstruct.sample import Message, Sample
from selfinstruct.steps.disclaimer import _DENIES, disclaimer

SHARED = Path(__file__).parents[3] / "shared" / "data" / "permissive"


def kept(folder: Path, *answers: str) -> bool:
    talk = [
        message for text in answers for message in (Message("user", "Go on?"), Message("assistant", text))
    ]
    outcome = execute([given([Sample(tuple(talk))]), disclaimer()], out=folder)
    assert dict(outcome.funnel.steps[1].drops) == ({} if outcome.samples else {"disclaimer": 1})
    return bool(outcome.samples)


@pytest.mark.parametrize(
    "text",
    [
        "I don't have emotions or opinions, but here is a poem.",
        "As a language model, I do not have personal opinions.",
        "I don’t have feelings.",
        "I do not have the ability to form opinions.",
        "I am unable to experience emotions.",
        "I cannot have personal preferences.",
        "I don't hold any beliefs of my own.",
        "We don't have human emotions.",
        "I lack feelings.",
        "I don't have personal experience, but I can help.",
    ],
)
def test_denials(tmp_path: Path, text: str) -> None:
    assert not kept(tmp_path, "Fine.", text, "And so on.")


@pytest.mark.parametrize(
    "text",
    [
        "I don't have an opinion poll at hand.",
        "They don't have opinions.",
        "Opinions differ.",
        "In the poem the robot says it has no feelings.",
        "I don't share your opinion.",
        "Although I do not have any experience in sales, I learn fast.",
        "我没有意见。",
        "You do not have preferences set in the file.",
    ],
)
def test_no_denials(tmp_path: Path, text: str) -> None:
    assert kept(tmp_path, text)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real rows lie beside the repository, not in it")
def test_real_answers() -> None:
    """The answers of OASST's trees and of two sets of LLaMA-Factory: 751, of which two deny, read by hand."""
    found = [text for text in answers() if _DENIES.search(text.replace("’", "'"))]
    assert len(list(answers())) == 751
    assert [next(part for part in PARTS if part in text) for text in found] == PARTS


PARTS = ["I don't hold opinions or beliefs", "I don't have personal experience"]


def answers() -> Iterator[str]:
    for file in ("human/oasst2_ranked_trees", "chat/oasst_en_tree_40"):
        for row in rows(file):
            yield from replies(row["prompt"])
    for row in rows("chat/llamafactory_dpo_en_demo"):
        yield from (turn["value"] for turn in row["conversations"] if turn["from"] == "gpt")
        yield from (row["chosen"]["value"], row["rejected"]["value"])
    for row in rows("chat/llamafactory_kto_en_demo"):
        yield from (turn["content"] for turn in row["messages"] if turn["role"] == "assistant")


def rows(file: str) -> Iterator[dict[str, Any]]:
    yield from map(json.loads, gzip.decompress((SHARED / f"{file}.jsonl.gz").read_bytes()).splitlines())


def replies(node: dict[str, Any]) -> Iterator[str]:
    if node["role"] == "assistant":
        yield node["text"]
    for each in node.get("replies", []):
        yield from replies(each)
