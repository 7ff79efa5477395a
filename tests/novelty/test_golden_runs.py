"""Recorded runs of the originals: their scores, and their decisions, from their own inputs."""

import gzip
import json
import re
import string
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.novelty import NoveltyIndex, Similar

DATA = Path(__file__).parents[3] / "shared/data"
pytestmark = pytest.mark.skipif(
    not DATA.exists(), reason="needs the shared data folder beside the repository"
)

# The words of Self-Instruct's script whose instructions a text model can't carry out.
_BARRED = re.compile(r"\b(images?|graphs?|pictures?|files?|maps?|draw|plot|go to)\b", re.IGNORECASE)


def seeds() -> list[str]:
    with (DATA / "permissive/seeds/self_instruct_175.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line)["instruction"] for line in file]


def assert_recorded(answer: Similar, top: list[tuple[str, float]], mean: float) -> None:
    """Which of the texts that tie for the last place was recorded is chance (an unstable sort); all else is
    exact."""
    assert answer.mean == pytest.approx(mean, abs=1e-9)
    scores = [match.score for match in answer.top]
    assert [score for _, score in top] == scores
    ours = {match.text: match.score for match in answer.top}
    assert {t: s for t, s in ours.items() if s > scores[-1]} == {t: s for t, s in top if s > scores[-1]}


@pytest.mark.parametrize("name", ["avniavdulla__stanford_alpaca", "minpeter__stanford_alpaca_regen"])
def test_alpaca(name: str) -> None:
    with gzip.open(
        DATA / f"noncommercial/alpaca/regen_golden/{name}.json.gz", "rt", encoding="utf-8"
    ) as file:
        rows = json.load(file)
    texts = [row["instruction"] for row in rows]
    index = NoveltyIndex(0.7, tokens="rouge")
    index.extend(seeds())
    assert index.add_all(texts) == [None] * len(texts)
    answers = index.similar(texts, before=range(175, 175 + len(texts)))
    for row, answer in zip(rows, answers, strict=True):
        top = list(row["most_similar_instructions"].items())
        assert len(top) == 10
        assert_recorded(answer, top, row["avg_similarity_score"])


def raw_runs() -> list[list[dict[str, Any]]]:
    path = DATA / "permissive/raw_teacher/self_instruct_instructions_raw.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [list(run) for _, run in groupby(rows, key=lambda row: row["run"])]


def offered(raw: str) -> list[str]:
    """The instructions of a completion that reach the ROUGE test, by the rules of the original script."""
    kept = []
    for item in re.split(r"\n\d+\s?\. ", raw):
        text = re.sub(r"\s+", " ", item).strip().capitalize()
        if (
            text
            and 3 < len(text.split()) <= 150
            and not _BARRED.search(text)
            and not text.startswith("Write a program")
            and text[0] not in string.punctuation
            and text[0].isascii()
        ):
            kept.append(text)
    return kept


def test_self_instruct_scores() -> None:
    compared = 0
    for run in raw_runs():
        accepted = [row for completion in run for row in completion["accepted"]]
        index = NoveltyIndex(0.7, tokens="rouge")
        index.extend(seeds())
        index.extend([row["instruction"] for row in accepted])
        before = range(175, 175 + len(accepted))
        for row, answer in zip(
            accepted, index.similar([row["instruction"] for row in accepted], before=before), strict=True
        ):
            assert_recorded(answer, list(row["most_similar"].items()), row["avg_similarity_score"])
            compared += 1
    assert compared == 427


def test_self_instruct_decisions() -> None:
    """One of the 114 completions was parsed by an edited script (data/README.md); the rest give the recorded
    lists."""
    identical = 0
    for run in raw_runs():
        index = NoveltyIndex(0.7, tokens="rouge")
        index.extend(seeds())
        for completion in run:
            recorded = [row["instruction"] for row in completion["accepted"]]
            trial = NoveltyIndex(0.7, tokens="rouge")
            trial.extend(index._texts)
            identical += [
                text for text in offered(completion["raw_text"]) if trial.add_if_new(text) is None
            ] == recorded
            index.extend(recorded)
    assert identical == 113
