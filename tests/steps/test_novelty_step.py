"""The novelty step: rouge_score's decisions, in order, each with the row it was made by."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from given import given
from rouge_score.rouge_scorer import RougeScorer

from selfinstruct.errors import ConfigError
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.sample import Sample
from selfinstruct.steps.novelty import novelty
from selfinstruct.store import Drop, Store

SCORER = RougeScorer(["rougeL"])


def rouge(one: str, other: str) -> float:
    return float(SCORER.score(one, other)["rougeL"].fmeasure)


def filtered(folder: Path, rows: list[Sample], **options: Any) -> Outcome:
    return execute([given(rows), novelty(**options)], out=folder / "run")


def drops(folder: Path) -> list[Drop]:
    with Store.read(folder / "run") as store:
        return list(store.drops(1))


def sentences(count: int) -> list[str]:
    rng = random.Random(3)
    words = "sort name the old river number of town".split()
    return [
        " ".join(rng.choice(words) for _ in range(rng.randint(3, 9))).capitalize() + "." for _ in range(count)
    ]


@pytest.mark.parametrize("tokens", ["words", "rouge"])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7])
def test_the_decisions_are_rouge_scores_in_order(
    tmp_path: Path, tokens: str, strict: bool, threshold: float
) -> None:
    """120 sentences of few words, compared one after the other with all kept before; ties at the threshold occur."""
    texts = sentences(120)
    kept: list[str] = []
    dropped: list[tuple[str, str, float]] = []
    ties = 0
    for text in texts:
        best = max(((rouge(other, text), -place) for place, other in enumerate(kept)), default=(0.0, 0))
        ties += best[0] == threshold
        if best[0] > threshold or (not strict and best[0] == threshold):
            dropped.append((text, kept[-best[1]], best[0]))
        else:
            kept.append(text)
    rows = [Sample.of(text) for text in texts]
    outcome = filtered(tmp_path, rows, tokens=tokens, strict=strict, threshold=threshold)
    assert [row.instruction for row in outcome.samples] == kept
    found = drops(tmp_path)
    assert len(found) > 10
    assert ties or threshold != 0.5
    ids = {row.instruction: row.id for row in rows}
    for drop, (text, similar, score) in zip(found, dropped, strict=True):
        assert isinstance(drop.sample, Sample)
        assert (drop.reason, drop.sample.instruction) == ("not_novel", text)
        assert drop.detail == {
            "rule": "rouge_l",
            "value": score,
            "threshold": threshold,
            "similar_to": ids[similar],
            "similar": similar,
        }


CHINESE = [
    "写一首关于大海的短诗。",
    "解释一下什么是光合作用。",
    "写一首关于大海的短诗。",
    "介绍一下中国的四大发明。",
]


def test_rows_in_other_scripts_are_compared_and_with_rouge_tokens_are_warned_about(tmp_path: Path) -> None:
    rows = [Sample.of(text) for text in CHINESE]
    by_words = filtered(tmp_path / "words", rows)
    assert [row.instruction for row in by_words.samples] == [CHINESE[0], CHINESE[1], CHINESE[3]]
    assert drops(tmp_path / "words")[0].detail["value"] == 1.0
    facts = by_words.funnel.steps[1].facts
    assert (facts["tokenless"], facts["tokens"], facts["threshold"]) == (0, "words", 0.7)
    assert "warning" not in facts
    by_rouge = filtered(tmp_path / "rouge", rows, tokens="rouge")
    assert len(by_rouge.samples) == 4  # the twin, too
    assert by_rouge.funnel.steps[1].facts["tokenless"] == 4
    assert by_rouge.funnel.steps[1].facts["warning"] == (
        "rouge tokens see nothing in 4 of 4 rows (no a-z, 0-9): use tokens: words"
    )


def test_one_row_in_a_hundred_is_no_reason_to_warn(tmp_path: Path) -> None:
    rows = [Sample.of(f"w{n} x{n} y{n} z{n}") for n in range(99)]
    outcome = filtered(tmp_path, [*rows, Sample.of(CHINESE[0])], tokens="rouge")
    assert outcome.funnel.steps[1].facts["tokenless"] == 1
    assert "warning" not in outcome.funnel.steps[1].facts


def test_the_prompt_with_its_input_can_be_compared_instead(tmp_path: Path) -> None:
    rows = [
        Sample.of("Sort the numbers in the input.", f"{n} {n + 1} {n + 2} {n + 3} {n + 4}")
        for n in (10, 20, 30)
    ]
    assert len(filtered(tmp_path / "a", rows).samples) == 1
    assert len(filtered(tmp_path / "b", rows, field="prompt").samples) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0}, "threshold is 0"),
        ({"threshold": 1.1}, "threshold is 1.1"),
        ({"tokens": "rogue"}, "option `tokens`"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        filtered(tmp_path, [Sample.of("Hi")], **options)
