"""Hold the novelty index against rouge_score itself: every query with every one of the 52,002 Alpaca rows.

    python benchmarks/novelty_proof.py proof.jsonl [--queries 2000] [--workers 1] [--check]

First rouge_score scores each query with all rows and with all earlier queries, about 26 us a pair, and a line
for each query goes to the file; the same command goes on where it was stopped. Then, or alone with `--check`,
the index is held to what the file has, at thresholds 0.3 to 1.0, strict and not:

- `match`: is the query rejected by the 52,002, by which row, and with which score;
- `add_all`: the queries one after the other, each also against the earlier ones that were kept;
- `similar`: the ten best rows, their scores, and the mean.

Scores are compared bit by bit, but for the mean, whose sum has an order (1e-12). Queries: rows with some words
changed, halves of two rows joined, instructions by GPT-4o, rows changed so that the score is the threshold itself
on paper, and odd texts (empty, one word many times, long, Kelvin signs, Chinese).
"""

from __future__ import annotations

import argparse
import functools
import gzip
import json
import multiprocessing
import random
import statistics
import sys
from pathlib import Path
from typing import Any

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
NEAR = 0.25  # scores with earlier queries from here on are kept: below every threshold
ODD = (
    "",
    "?! ...",
    "写一首关于大海的短诗。",
    "Напиши стихотворение",
    "Kelvin \u212a and \u0130stanbul",
    "\x00write\x00a\x00poem\x00",
    "the " * 70,
    "a" * 5000,
    "Ｗｒｉｔｅ a poem",
    "Write",
    "write a write a write a poem a poem",
    "1 2 3 4 5 6 7 8 9 10",
)
DATA = Path(__file__).parents[2] / "shared/data"


@functools.cache
def pool() -> list[str]:
    with gzip.open(DATA / "noncommercial/alpaca/alpaca_data.json.gz", "rt", encoding="utf-8") as file:
        return [row["instruction"] for row in json.load(file)]


@functools.cache
def others() -> list[str]:
    with gzip.open(
        DATA / "permissive/pools/gpt4o_self_instruct_10k.jsonl.gz", "rt", encoding="utf-8"
    ) as file:
        return [json.loads(line)["instruction"] for line in file]


@functools.cache
def query(number: int) -> str:
    """Query `number`: of each kind in turn, so that any first part of them has every kind."""
    rng = random.Random(f"novelty proof {number}")
    rows = pool()
    words = rng.choice(rows).split()
    kind = number % 5
    if number % 40 == 39:
        return ODD[number // 40 % len(ODD)]
    if number % 40 == 38:  # long
        return " ".join(rng.choice(rows) for _ in range(rng.randint(5, 20)))
    if kind == 0:  # another teacher's
        return rng.choice(others())
    if kind == 1:  # two halves
        other = rng.choice(rows).split()
        return " ".join(words[: len(words) // 2] + other[len(other) // 2 :])
    if kind == 2:  # on the threshold: 2 * common / (words + new) = threshold
        from rouge_score.tokenize import tokenize

        words = tokenize(rng.choice(rows), None)
        choices = [
            (common, round(2 * common / t - len(words)))
            for t in THRESHOLDS
            for common in range(1, len(words) + 1)
            if abs(2 * common / t - round(2 * common / t)) < 1e-9 and 2 * common / t - len(words) >= common
        ]
        if choices:
            common, length = rng.choice(choices)
            left = [words[i] for i in sorted(rng.sample(range(len(words)), common))]
            for i in range(length - common):
                left.insert(rng.randint(0, len(left)), f"zq{i}")
            return " ".join(left)
    for _ in range(rng.randint(0, 4)):  # some words changed, left out, added
        place = rng.randint(0, len(words))
        words[place : place + rng.randint(0, 1)] = rng.choices(
            rng.choice(rows).split() or ["x"], k=rng.randint(0, 1)
        )
    return " ".join(words)


@functools.cache
def tokens(number: int) -> list[str]:
    """Of row `number` of the pool; queries follow the pool."""
    from rouge_score.tokenize import tokenize

    size = len(pool())
    found: list[str] = tokenize(pool()[number] if number < size else query(number - size), None)
    return found


def by_rouge_score(number: int) -> dict[str, Any]:
    """Every score of a query: its best ten rows (the earlier of equals first), the mean, and the queries near it."""
    from rouge_score.rouge_scorer import _score_lcs

    size = len(pool())
    mine = tokens(size + number)
    scores = [_score_lcs(tokens(row), mine).fmeasure for row in range(size)]
    top = sorted(range(size), key=lambda row: (-scores[row], row))[:10]
    earlier = [_score_lcs(tokens(size + other), mine).fmeasure for other in range(number)]
    return {
        "query": number,
        "top": [[scores[row], row] for row in top],
        "mean": statistics.fmean(scores),
        "near": [[score, other] for other, score in enumerate(earlier) if score > NEAR],
    }


def read(path: Path) -> dict[int, dict[str, Any]]:
    if not path.exists():
        return {}
    lines = path.read_text("utf-8").split("\n")[:-1]  # a last line that was cut is not there
    return {row["query"]: row for row in map(json.loads, lines)}


def score(path: Path, queries: int, workers: int) -> None:
    done = read(path)
    text = path.read_text("utf-8") if path.exists() else ""
    path.write_text(text[: text.rfind("\n") + 1], "utf-8")
    left = [number for number in range(queries) if number not in done]
    with (
        multiprocessing.get_context("fork").Pool(workers) as processes,
        path.open("a", encoding="utf-8") as file,
    ):
        for row in processes.imap(by_rouge_score, left):
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(f"\r{row['query'] + 1:,} of {queries:,} queries", end="", file=sys.stderr)


def check(path: Path) -> int:
    """The number of differences, after printing what was compared."""
    from selfinstruct.novelty import Match, NoveltyIndex

    found = read(path)
    rows = [found[number] for number in range(len(found)) if number in found]  # without a gap
    size = len(pool())
    texts = [*pool(), *(query(row["query"]) for row in rows)]
    queries = texts[size:]
    names = list(map(str, range(len(texts))))
    pairs = len(rows) * size + len(rows) * (len(rows) - 1) // 2
    print(
        f"{pairs:,} pairs scored by rouge_score: {len(rows):,} queries x {size:,} rows, and with one another"
    )
    print(
        f"{'threshold':>9} {'strict':>6} {'rejected':>9} {'differ':>6} {'in order':>9} {'differ':>6} {'ties':>6}"
    )
    wrong = 0

    def same(answer: Match | None, score: float, at: int, rejected: bool) -> bool:
        if not rejected:
            return answer is None
        return answer is not None and (answer.score, answer.id, answer.text) == (score, str(at), texts[at])

    for threshold in THRESHOLDS:
        for strict in (True, False):
            index = NoveltyIndex(threshold, strict=strict, tokens="rouge")
            index.extend(texts[:size], names[:size])
            rejections = in_order = differ = differ_in_order = ties = 0
            for row, answer in zip(rows, map(index.match, queries), strict=True):
                best, at = row["top"][0]
                rejected = best > threshold or (not strict and best >= threshold)
                ties += best == threshold
                rejections += rejected
                differ += not same(answer, best, at, rejected)
            kept: set[int] = set()
            for row, answer in zip(rows, index.add_all(queries, names[size:]), strict=True):
                best, at = row["top"][0]
                for other_score, other in row["near"]:
                    if other in kept and other_score > best:
                        best, at = other_score, size + other
                rejected = best > threshold or (not strict and best >= threshold)
                if not rejected:
                    kept.add(row["query"])
                in_order += rejected
                differ_in_order += not same(answer, best, at, rejected)
            counts = (rejections, differ, in_order, differ_in_order, ties)
            print(f"{threshold:>9} {strict!s:>6}", *(f"{count:>9,}" for count in counts))
            wrong += differ + differ_in_order
    index = NoveltyIndex(tokens="rouge")
    index.extend(texts[:size], names[:size])
    tops = means = 0
    for row, similar in zip(rows, index.similar(queries, 10), strict=True):
        tops += [[each.score, int(each.id or -1)] for each in similar.top] != row["top"]
        means += abs(similar.mean - row["mean"]) > 1e-12
    print(f"top 10 of {len(rows):,} queries: {tops} differ; mean: {means} differ")
    return wrong + tops + means


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="only compare with what the file has")
    options = parser.parse_args()
    if not options.check:
        score(options.results, options.queries, options.workers)
    sys.exit(1 if check(options.results) else 0)


if __name__ == "__main__":
    main()
