"""Orca's rules, worked by hand from the paper (Mukherjee et al. 2023, section 3), on real queries of FLAN.

Compared: 600 SuperNI queries and 900 of three CoT sets. Each keeps its text and its label, and gets a system message of
its sub-collection; neither of the two draws those about multiple choice. Differences: 0.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import Echo
from given import given

from selfinstruct.pipeline import execute
from selfinstruct.prompts import Prompts
from selfinstruct.sample import Sample
from selfinstruct.steps.orca import CHOICE, orca
from selfinstruct.teachers import Teacher

FLAN = Path(__file__).parents[3] / "shared" / "data" / "permissive" / "flan"
pytestmark = pytest.mark.skipif(
    not FLAN.is_dir(), reason="the real rows lie beside the repository, not in it"
)


def superni() -> Iterator[Sample]:
    for file in sorted((FLAN / "superni").glob("*.json")):
        task = json.loads(file.read_text("utf-8"))
        for each in task["Instances"]:
            output = each["output"][0]
            yield Sample.of(task["Definition"][0], each["input"], output, meta={"collection": "niv2"})


def cot() -> Iterator[Sample]:
    for name in ("gsm8k", "strategyqa", "aqua"):
        text = gzip.decompress((FLAN / "cot" / f"{name}_train_300.tsv.gz").read_bytes()).decode()
        for line in text.splitlines():
            question, answer, _ = line.split("\t")
            yield Sample.of(question.replace("\\n", "\n"), "", answer, meta={"collection": "cot"})


# By hand, from the paper: what asks for the use of a definition is for tasks that have one (NiV2); what helps people
# find information, or has a question thought through, is for questions (CoT).
OF = {"niv2": {9, 12, 13, 14, 15}, "cot": {6, 11, 16}}
NEVER = {"niv2": {6, 7, 8, 10, 11, 16}, "cot": {1, 2, 3, 4, 5, 8, 9, 10, 12, 13, 14, 15}}


@pytest.mark.parametrize(("queries", "name", "count"), [(superni, "niv2", 600), (cot, "cot", 900)])
def test_real_queries(
    tmp_path: Path,
    play: Callable[[Teacher], str],
    queries: Callable[[], Iterator[Sample]],
    name: str,
    count: int,
) -> None:
    messages = [message.content for message in Prompts().render("orca/messages")]
    rows = list(queries())
    outcome = execute(
        [given(rows), orca(second="judge", share=0.2)],
        out=tmp_path / "run",
        teacher=play(Echo()),
        judge=play(Echo(model="big")),
    )
    first = [row for row in outcome.samples if row.meta["curriculum"] == 1]
    second = [row for row in outcome.samples if row.meta["curriculum"] == 2]
    assert list(outcome.samples) == [*first, *second]
    assert len(first) == len(rows) == count
    assert 0.15 * count < len(second) < 0.25 * count  # the paper: 1M of 5M
    drawn = Counter(row.meta["system_message"] for row in first)
    assert set(drawn) >= OF[name]
    assert not set(drawn) & (NEVER[name] | set(CHOICE))
    for query, row in zip(rows, first, strict=True):
        system = messages[row.meta["system_message"] - 1]
        assert [m.content for m in row.prompt] == [*([system] if system else []), query.messages[0].content]
        assert (row.instruction, row.input, row.meta["label"]) == (
            query.instruction,
            query.input,
            query.output,
        )
