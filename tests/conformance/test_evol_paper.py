"""The elimination rules of Evol-Instruct on evolutions and answers that others recorded. What a rule should hit was
decided by reading the rows."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rouge_score.rouge_scorer import RougeScorer

from selfinstruct.parse.evol import Fault, answer_fault, change_fault, meta_fault

SHARED = Path(__file__).parents[3] / "shared" / "data"
ABSENT = "the recorded evolutions lie beside the repository, not in it"

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=ABSENT)

Row = dict[str, Any]


def rows(name: str) -> list[Any]:
    path = SHARED / name
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text("utf-8")
    if name.endswith((".jsonl", ".jsonl.gz")):
        return [json.loads(line) for line in text.splitlines()]
    found: list[Any] = json.loads(text)
    return found


def chains(kind: str) -> dict[tuple[int, int], tuple[str, str]]:
    """FollowBench: people added one constraint a level; (example, level) -> the level before and this one."""
    levels: dict[int, dict[int, str]] = {}
    for row in rows(f"permissive/evol/followbench_{kind}.json.gz"):
        levels.setdefault(row["example_id"], {})[row["level"]] = row["instruction"]
    return {
        (example, level): (chain[level - 1], chain[level])
        for example, chain in levels.items()
        for level in range(1, 6)
        if level in chain and level - 1 in chain
    }


# (example, level): by how many words the text grew; all others stay within 0 to 40
GROWN = {
    "format": {(6, 5): -5, (7, 4): -2, (10, 3): 47, (15, 2): -3, (18, 3): -1, (25, 4): -2, (29, 5): 65},
    "situation": {
        (8, 2): -3, (13, 1): 43, (13, 3): 43, (20, 5): -1, (21, 1): 58, (21, 2): 50, (21, 3): 59, (21, 4): 48,
        (22, 1): 45, (22, 4): 44,
    },
    "style": {(1, 3): -24, (1, 5): 45, (8, 5): 59, (10, 3): 43, (17, 5): -8, (27, 5): -1},
}  # fmt: skip


@pytest.mark.parametrize(("kind", "count"), [("format", 150), ("situation", 110), ("style", 150)])
def test_evolutions_written_by_people(kind: str, count: int) -> None:
    """410 evolutions. Meta words drop none, nor does `unchanged`, though 20 have a ROUGE-L above 0.95 to their parent:
    in a long prompt one word makes a constraint. The bounds of growth drop 23 (5.6 %)."""
    found = chains(kind)
    assert len(found) == count
    faults: dict[tuple[int, int], Fault] = {}
    scorer, near = RougeScorer(["rougeL"]), set()
    for place, (parent, child) in found.items():
        if scorer.score(parent, child)["rougeL"].fmeasure > 0.95:
            near.add(place)
        assert meta_fault(child, parent, "paper") is None
        assert meta_fault(child, parent, "fixed") is None
        assert change_fault(child, parent) is None
        fault = change_fault(child, parent, 0, 40)
        if fault is not None:
            faults[place] = fault
    assert {place: fault.detail["value"] for place, fault in faults.items()} == GROWN[kind]
    assert {fault.reason for fault in faults.values()} == {"growth"}
    assert len(near) == {"format": 4, "situation": 12, "style": 4}[kind]
    assert not near & set(faults)


def test_one_word_that_makes_a_constraint() -> None:
    """Counted by hand: between these two levels a single word is new."""
    parent, child = chains("style")[22, 3]
    assert len(set(child.split()) - set(parent.split())) <= 2
    assert change_fault(child, parent, 0, 40) is None


def test_evolutions_of_mathematical_problems() -> None:
    """Ten evolutions of two rounds, by camel: none is dropped."""
    first, second, third = (
        rows(f"permissive/evol/camel_evol_instruct_{name}.json")
        for name in ("input", "results_iter", "results_iter_harder")
    )
    pairs = [*zip(first, second, strict=True), *zip(second, third, strict=True)]
    assert len(pairs) == 10
    for parent, child in pairs:
        assert meta_fault(child, parent, "paper") is None
        assert change_fault(child, parent, 0, 40) is None


EVOLVED = [
    ("permissive/evol/h2o_wizardlm_sample.json.gz", "input", 35),
    ("noncommercial/evol/evol_codealpaca_round1_first400.jsonl.gz", "instruction", 398),
    ("noncommercial/evol/evol_codealpaca_round2_first400.jsonl.gz", "instruction", 398),
    ("noncommercial/eval_prompts/wizardlm_218.jsonl.gz", "Instruction", 218),
]


@pytest.mark.parametrize(("name", "key", "count"), EVOLVED)
def test_evolved_prompts_copy_no_meta_words_and_refuse_nothing(name: str, key: str, count: int) -> None:
    """1,049 evolved prompts of three projects, which were filtered when they were made: none is dropped."""
    found = rows(name)
    assert len(found) == count
    for row in found:
        assert meta_fault(row[key], "", "paper") is None
        assert change_fault(row[key], "Do it.") is None


@pytest.mark.parametrize(
    ("name", "count"), [(name, count) for name, key, count in EVOLVED if key != "Instruction"]
)
def test_their_answers_pass(name: str, count: int) -> None:
    """831 answers: none is dropped by either set of rules."""
    found = rows(name)
    assert len(found) == count
    for row in found:
        assert answer_fault(row["output"], "paper") is None
        assert answer_fault(row["output"], "fixed") is None


# they say that something can't be done, and answer the task all the same
APOLOGIES = {
    "Sorry, I won't be able to make it to the meeting.",
    "I'm sorry, I'm not able to do that.",
    "I can't do this, it's impossible.",
}


def test_alpacas_answers() -> None:
    """52,002 answers. The published rules hit 184: 28 empty ones, 18 refusals, and 138 that answer their task (letters
    of apology, "No.", "their"). `fixed` hits 51: the 28, 20 refusals, and three that answer their task."""
    found = rows("noncommercial/alpaca/alpaca_data.json.gz")
    hits: dict[str, list[tuple[str, str]]] = {"paper": [], "fixed": []}
    for row in found:
        for fidelity in hits:
            fault = answer_fault(row["output"], fidelity)  # type: ignore[arg-type]
            if fault is not None:
                hits[fidelity].append((fault.reason, row["output"].strip()))
    counts = {fidelity: Counter(reason for reason, _ in each) for fidelity, each in hits.items()}
    assert counts["paper"] == {"sorry": 81, "stop_words": 103}
    assert counts["fixed"] == {"sorry": 20, "refusal": 3, "empty_output": 28}
    wrongly = [text for _, text in hits["fixed"] if any(text.startswith(each) for each in APOLOGIES)]
    assert len(wrongly) == len(APOLOGIES)


def test_chinese_answers_pass() -> None:
    """199 rows: only the empty answer is dropped."""
    found = rows("noncommercial/alpaca/alpaca_zh_200.jsonl.gz")
    for fidelity in ("paper", "fixed"):
        hits = [row["output"] for row in found if answer_fault(row["output"], fidelity) is not None]
        assert [text.strip() for text in hits] == [""]


def test_tasks_that_speak_of_a_given_prompt() -> None:
    """20 of Alpaca's 52,002 tasks do; by the published rule no evolution that keeps the phrase can pass."""
    found = rows("noncommercial/alpaca/alpaca_data.json.gz")
    texts = [f"{row['instruction']}\n{row['input']}" for row in found]
    given = [text for text in texts if meta_fault(text, "", "paper") is not None]
    assert len(given) == 20
    for text in given:
        child = f"{text}\nUse no more than fifty words."
        assert meta_fault(child, text, "paper") is not None
        assert meta_fault(child, text, "fixed") is None
