"""In `rouge` mode every decision, score and match is rouge_score's, compared with pair by pair."""

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import process
from rapidfuzz.distance import LCSseq
from rouge_score import rouge_scorer, scoring, tokenize

from selfinstruct.novelty import NoveltyIndex, join, pool

DATA = Path(__file__).parents[3] / "shared/data"
THRESHOLDS = (0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1.0)
Answer = tuple[float, str] | None  # score and id of the match

scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)


def by_rouge_score(texts: Sequence[str], threshold: float, strict: bool) -> list[Answer]:
    """The greedy pass with rouge_score itself: all kept texts, the highest score, the first of equals."""
    kept: list[int] = []
    answers: list[Answer] = []
    for i, text in enumerate(texts):
        scores = [scorer.score(texts[j], text)["rougeL"].fmeasure for j in kept]
        best = max(scores, default=0.0)
        if best > threshold or (not strict and best >= threshold):
            answers.append((best, str(kept[scores.index(best)])))
        else:
            kept.append(i)
            answers.append(None)
    return answers


def by_index(texts: Sequence[str], threshold: float, strict: bool, way: str) -> list[Answer]:
    found = NoveltyIndex(threshold, strict=strict, tokens="rouge")
    ids = [str(i) for i in range(len(texts))]
    if way == "bulk":
        matches = found.add_all(texts, ids)
    elif way == "one at a time":
        matches = [found.add_if_new(text, id) for text, id in zip(texts, ids, strict=True)]
    else:
        matches = []
        for text, id in zip(texts, ids, strict=True):
            matches.append(found.match(text))
            if matches[-1] is None:
                found.add(text, id)
    assert len(found) == matches.count(None)
    return [(match.score, match.id or "") if match else None for match in matches]


@st.composite
def pools(draw: st.DrawFn) -> list[str]:
    """Texts over few words, many of them small changes of earlier ones; empty, one-word and long ones among
    them."""
    most: int = draw(st.sampled_from([1, 3, 12, 200]))
    longest: int = draw(st.sampled_from([2, 10, 25, 150]))
    word = st.integers(0, most).map(lambda n: f"w{n}")
    texts: list[list[str]] = []
    for _ in range(draw(st.integers(1, 25))):
        changed: bool = draw(st.booleans())
        if texts and changed:
            text = list(draw(st.sampled_from(texts)))
            for _ in range(draw(st.integers(0, 3))):
                place = draw(st.integers(0, len(text)))
                text[place : place + draw(st.integers(0, 1))] = draw(st.lists(word, max_size=1))
        else:
            text = draw(st.lists(word, max_size=longest))
        texts.append(text)
    return [" ".join(text) for text in texts]


@pytest.mark.parametrize("way", ["bulk", "one at a time", "match, then add"])
@settings(max_examples=60, deadline=None)
@given(texts=pools(), threshold=st.sampled_from(THRESHOLDS), strict=st.booleans(), small=st.booleans())
def test_decisions_scores_and_matches(
    texts: list[str], threshold: float, strict: bool, small: bool, way: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if small:  # blocks and merges come every few texts instead of every few hundred
            patch.setattr(pool, "_TEXTS", 4)
            patch.setattr(join, "_waiting", lambda size: 2)
            patch.setattr(join, "_CHUNK", 3)
            patch.setattr(join, "_HITS", 6)
        assert by_index(texts, threshold, strict, way) == by_rouge_score(texts, threshold, strict)


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text(st.characters(codec=None), max_size=12), max_size=8), strict=st.booleans())
def test_any_text_at_all(texts: list[str], strict: bool) -> None:
    for threshold in (0.3, 0.7):
        assert by_index(texts, threshold, strict, "bulk") == by_rouge_score(texts, threshold, strict)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_scores_that_equal_the_threshold_on_paper(threshold: float) -> None:
    """2 L / (m + n) = threshold: the last bit of rouge's own float decides, in both directions."""
    tried = rejected = 0
    for m in range(1, 41):
        for n in range(m, 41):
            common = threshold * (m + n) / 2
            if round(common, 9) != round(common) or common > m:
                continue
            common = round(common)
            shared = [f"s{i}" for i in range(common)]
            one = " ".join([*shared, *(f"a{i}" for i in range(m - common))])
            other = " ".join([*(f"b{i}" for i in range(n - common)), *shared])
            score = scoring.fmeasure(common / n, common / m)
            for strict in (True, False):
                found = NoveltyIndex(threshold, strict=strict, tokens="rouge")
                assert found.add_if_new(one) is None
                match = found.add_if_new(other)
                assert (match is not None) is (score > threshold if strict else score >= threshold), (
                    common,
                    m,
                    n,
                )
                assert match is None or match.score == score
                tried += 1
                rejected += match is not None
    assert 0 < rejected < tried


def test_two_known_edges_of_the_float() -> None:
    """Seven common tokens of 7 and 13 score 0.7000000000000001, of 10 and 10 score 0.7."""
    shared = "a b c d e f g"
    for other, one, rejected in (
        (f"{shared} h i j k l m", shared, True),
        (f"{shared} h i j", f"{shared} k l m", False),
    ):
        found = NoveltyIndex(0.7, tokens="rouge")
        found.add(other)
        assert (found.add_if_new(one) is not None) is rejected


@settings(max_examples=40, deadline=None)
@given(texts=pools(), k=st.integers(0, 30), data=st.data())
def test_top_and_mean(texts: list[str], k: int, data: st.DataObject) -> None:
    found = NoveltyIndex(tokens="rouge")
    found.extend(texts, map(str, range(len(texts))))
    before = [data.draw(st.integers(0, len(texts))) for _ in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("selfinstruct.novelty.rouge._FIRST", 3)
        patch.setattr("selfinstruct.novelty.rouge._CHUNK", 5)
        patch.setattr("selfinstruct.novelty.rouge._QUERIES", 4)
        answers = found.similar(texts, k, before=before)
    for text, limit, answer in zip(texts, before, answers, strict=True):
        scores = [scorer.score(other, text)["rougeL"].fmeasure for other in texts[:limit]]
        order = sorted(range(limit), key=lambda i: -scores[i])[:k]
        assert [(m.score, m.id, m.text) for m in answer.top] == [(scores[i], str(i), texts[i]) for i in order]
        assert answer.mean == pytest.approx(float(np.mean(scores)) if scores else 0.0, abs=1e-12)


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data folder beside the repository")
@pytest.mark.parametrize("size", [3000, pytest.param(52_002, marks=pytest.mark.slow)])
def test_alpaca_pool(size: int) -> None:
    """200 queries, half of them changed rows of the pool, against the Alpaca instructions.

    An independent brute force finds the longest common subsequence of every pair; rouge_score then scores the
    pairs at or near a threshold, and a thousand drawn from all.
    """
    with gzip.open(DATA / "noncommercial/alpaca/alpaca_data.json.gz", "rt", encoding="utf-8") as file:
        texts = [row["instruction"] for row in json.load(file)]
    rng = random.Random(1)
    queries = rng.sample(texts[size // 2 :], 100)
    for text in rng.sample(texts[:size], 100):
        changed = text.split()
        for _ in range(rng.randint(0, 1 + len(changed) // 3)):
            changed[rng.randrange(len(changed))] = rng.choice(["the", "short", "write", "of"])
        queries.append(" ".join(changed))
    pool = [text for text in texts[:size] if text not in set(queries)]

    tokens = [tokenize.tokenize(text, None) for text in (*pool, *queries)]
    numbers = {token: i + 1 for i, token in enumerate(dict.fromkeys(t for text in tokens for t in text))}
    coded = [[numbers[token] for token in text] for text in tokens]
    stored, asked = coded[: len(pool)], coded[len(pool) :]
    common = process.cdist(asked, stored, scorer=LCSseq.similarity, dtype=np.int32)
    ours = np.array([[len(a)] for a in asked])
    theirs = np.array([len(b) for b in stored])
    with np.errstate(invalid="ignore"):
        score = np.where(
            common > 0, 2 * (common / ours) * (common / theirs) / (common / ours + common / theirs), 0.0
        )

    checked = [[rng.randrange(len(queries)), rng.randrange(len(pool))] for _ in range(1000)]
    for threshold in (0.5, 0.7, 0.9):
        near = np.argwhere(abs(score - threshold) < 0.02).tolist()
        checked += rng.sample(near, min(len(near), 300))
        checked += (
            rng.sample(high, min(len(high), 300)) if (high := np.argwhere(score > threshold).tolist()) else []
        )
    for i, j in checked:
        assert rouge_scorer._score_lcs(tokens[j], tokens[len(pool) + i]).fmeasure == score[i, j]

    rejected = 0
    for threshold in (0.5, 0.7, 0.9):
        for strict in (True, False):
            found = NoveltyIndex(threshold, strict=strict, tokens="rouge")
            found.extend(pool, map(str, range(len(pool))))
            for query, row in zip(queries, score, strict=True):
                best = float(row.max())
                match = found.match(query)
                if best > threshold or (not strict and best >= threshold):
                    assert match is not None
                    assert (match.score, match.id) == (best, str(int(row.argmax())))
                    rejected += 1
                else:
                    assert match is None
    assert rejected > 200
