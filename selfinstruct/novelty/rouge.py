"""ROUGE-L itself: of one pair, and of every text with every other, the top and the mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import LCSseq

from selfinstruct.novelty.vocabulary import Code

_QUERIES = (
    64  # compared at once: rapidfuzz prepares each text once, and one alone costs ten times as much per pair
)
# Texts compared at once: first few and then twice as many each time, so that each time only a few enter the
# top; and at most so many that the table of scores stays in the processor's cache.
_FIRST, _CHUNK = 1 << 9, 1 << 13


def fmeasure(common: int, m: int, n: int) -> float:
    """ROUGE-L of texts of m and n tokens whose longest common subsequence has `common` > 0 tokens.

    In rouge_score's own order of operations: 2 L / (m + n) is the same number on paper, and another one in
    the last bit, on which a decision at exactly 0.7 depends.
    """
    precision, recall = common / m, common / n
    return 2 * precision * recall / (precision + recall)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The highest scores of one text, best first, the earlier text first among equals; and the mean of all
    scores."""

    texts: list[int]
    scores: list[float]
    mean: float


def rank(queries: Sequence[Code], pool: Sequence[Code], before: Sequence[int], k: int) -> list[Ranking]:
    """Every query against the first `before[i]` texts of the pool."""
    ranked = []
    for begin in range(0, len(queries), _QUERIES):
        here = slice(begin, begin + _QUERIES)
        ranked += _rank(queries[here], pool[: max(before[here])], np.array(before[here]), k)
    return ranked


def _rank(queries: Sequence[Code], pool: Sequence[Code], before: NDArray[np.int64], k: int) -> list[Ranking]:
    texts = np.zeros((len(queries), 0), np.int64)
    scores = np.zeros((len(queries), 0))
    sums = np.zeros(len(queries))
    begin = 0
    while begin < len(pool):
        end = min(len(pool), begin + min(max(begin, _FIRST), _CHUNK))
        found = _table(queries, pool[begin:end])
        beyond = np.arange(begin, end) >= before[:, None]
        found[beyond] = 0
        sums += found.sum(axis=1)
        found[beyond] = -1
        # A later text enters the top only with more than its last score: among equals the earlier stays.
        if scores.shape[1] == k:
            columns = np.flatnonzero((found > scores[:, -1:]).any(axis=0)) if k else np.zeros(0, np.int64)
            found = found[:, columns]
        else:
            columns = np.arange(end - begin)
        texts = np.concatenate((texts, np.broadcast_to(begin + columns, found.shape)), axis=1)
        scores = np.concatenate((scores, found), axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        texts, scores = np.take_along_axis(texts, best, axis=1), np.take_along_axis(scores, best, axis=1)
        begin = end
    means = sums / np.maximum(before, 1)
    return [
        Ranking(texts[i, : before[i]].tolist(), scores[i, : before[i]].tolist(), float(means[i]))
        for i in range(len(queries))
    ]


def _table(queries: Sequence[Code], pool: Sequence[Code]) -> NDArray[np.float64]:
    """`fmeasure` of all pairs, and 0 where nothing is common: float64, queries x pool."""
    common = process.cdist(queries, pool, scorer=LCSseq.similarity, dtype=np.int32)
    precision = common / np.maximum([[len(q)] for q in queries], 1)
    recall = common / np.maximum([len(p) for p in pool], 1)
    total = precision + recall
    precision *= 2
    precision *= recall
    np.divide(precision, total, out=precision, where=common > 0)
    return precision
