"""Coverage: kinds against labels of others, regions in any script, drawing that favours the sparse."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.coverage import Coverage, Regions, kind, opening, sparse

SHARED = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="labelled prompts lie beside the repository, not in it"
)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Write a poem.", "write"),
        ("Please write a poem.", "write"),
        ("Can you explain why ice floats?", "explain"),
        ("Could you please help me translate this?", "translate"),
        ("I want you to act as a poet.", "act"),
        ("Will it rain tomorrow?", "will"),
        ("What is C++?", "what"),
        ("Écris un poème.", "écris"),
        ("写一首诗", "写"),
        ("اكتب قصيدة", "اكتب"),
        ("please", "please"),
        ("", ""),
        ("!!!", ""),
    ],
)
def test_opening(text: str, word: str) -> None:
    assert opening(text) == word


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Write a Python function that sorts a list.", "code"),
        ("Calculate the area of a circle of radius 3.", "mathematics"),
        ("Translate the sentence into Welsh.", "translation"),
        ("Classify the animal as wild or tame.", "classification"),
        ("Summarize the article.", "summary"),
        ("Rewrite the sentence in the past tense.", "rewriting"),
        ("Extract the dates.", "extraction"),
        ("Compose a ballad about rain.", "writing"),
        ("Name three rivers.", "list"),
        ("Plan a trip to Rome.", "plan"),
        ("Why is the sky blue?", "question"),
        ("Explain inflation.", "explanation"),
        ("写一首诗", "other"),
    ],
)
def test_kind(text: str, name: str) -> None:
    assert kind(text) == name


def labelled() -> list[tuple[str, str]]:
    """Prompts with the label that their authors gave them."""
    rows: list[tuple[str, str]] = []
    for line in (SHARED / "permissive/eval_prompts/mt_bench_80.jsonl").read_text("utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        rows.append((row["category"], row["turns"][0]))
    wizard = gzip.decompress((SHARED / "noncommercial/eval_prompts/wizardlm_218.jsonl.gz").read_bytes())
    for line in wizard.decode("utf-8").splitlines():
        row = json.loads(line)
        rows.append((row["Skill"], row["Instruction"]))
    return rows


@needs_data
def test_kinds_agree_with_the_labels_of_others_as_far_as_they_claim() -> None:
    """Coarse, and good enough to see a set lean: of MT-bench's and WizardLM's prompts labelled as code or mathematics
    33 of 38 and 19 of 29 fall into that kind."""
    code, maths = {"coding", "Code Generation", "Code Debug"}, {"math", "Math"}
    found = Counter((label, kind(text)) for label, text in labelled())
    total = Counter(label for label, _ in labelled())
    right = {
        name: sum(found[label, name] for label in labels)
        for name, labels in (("code", code), ("mathematics", maths))
    }
    assert right["code"] == 33
    assert sum(total[label] for label in code) == 38
    assert right["mathematics"] == 19
    assert sum(total[label] for label in maths) == 29


SEEDS = [
    "Name three rivers of Europe.",
    "Solve the equation for x.",
    "列出三种动物。",
    "Peins le mur de la maison.",
]


def test_a_task_lies_near_the_seed_that_it_shares_rare_words_with() -> None:
    regions = Regions(SEEDS)
    assert regions.of("Which rivers flow through Europe and the Alps?") == 0
    assert regions.of("Solve another equation for the unknown.") == 1
    assert regions.of("说出三种动物的名字") == 2
    assert regions.of("Décris la maison de ton voisin.") == 3
    assert regions.of("Zzz qqq.") is None
    assert all(regions.of(seed) == place for place, seed in enumerate(SEEDS))


def test_the_figures_stand_side_by_side() -> None:
    coverage = Coverage(SEEDS)
    for text in ("Name two rivers of Asia.", "Name a lake in Europe.", "Solve for y.", "Zzz."):
        coverage.add(text)
    assert coverage.near == [2, 1, 0, 0]
    fact = coverage.fact()
    assert (fact["seeds"], fact["tasks"]) == (4, 4)
    assert fact["openings"] == {"seeds": 4, "tasks": 3, "new": 1, "most": {"name": 2, "solve": 1, "zzz": 1}}
    assert fact["kinds"] == {"list": [1, 2], "mathematics": [1, 1], "other": [2, 1]}
    assert fact["regions"] == {"reached": 2, "fullest": 2, "elsewhere": 1}
    assert json.loads(json.dumps(fact)) == fact


@given(st.lists(st.text(max_size=60), min_size=1, max_size=6), st.lists(st.text(max_size=60), max_size=6))
def test_any_text_has_its_place(seeds: list[str], tasks: list[str]) -> None:
    coverage = Coverage(seeds)
    for task in tasks:
        coverage.add(task)
    fact = coverage.fact()
    assert sum(coverage.near) + fact["regions"]["elsewhere"] == len(tasks)
    assert sum(now for _, now in fact["kinds"].values()) == len(tasks)


def test_sparse_drawing_follows_its_weights() -> None:
    """Of two items with weights 1 and 1/4 the first is drawn four times in five (hand-worked)."""
    drawn = Counter(sparse(random.Random(n), "ab", [0, 3], 1)[0] for n in range(4_000))
    assert drawn["a"] / 4_000 == pytest.approx(0.8, abs=0.03)
    assert sorted(sparse(random.Random(0), "abc", [5, 0, 9], 3)) == ["a", "b", "c"]
    # in full regions of equal size each is drawn as often as any other
    full = Counter(sparse(random.Random(n), "abcd", [50_000] * 4, 1)[0] for n in range(4_000))
    assert all(count / 4_000 == pytest.approx(0.25, abs=0.03) for count in full.values())
    assert sparse(random.Random(7), "abcdef", [1] * 6, 2) == sparse(random.Random(7), "abcdef", [1] * 6, 2)
