"""The novelty index side by side with the ways it replaces, in one run, on one core.

    python benchmarks/novelty.py [--size 200000] [--data ../shared/data]

- the greedy pass: every text of a pool offered in order, at three thresholds;
- one offer at a time against a full pool, as a run makes them;
- the original's way, rouge_score on every pair of tokenised texts (Alpaca), at pools of 1k to 4k, and what
  that comes to at the sizes above, extrapolated as quadratic;
- brute force with rapidfuzz on every pair.

Each measurement runs in a process of its own. Times are CPU seconds; memory is what the process grew by,
without the input texts. The mix beyond the real instructions is synthetic: words resampled, halves of two
texts joined, and an order-2 Markov chain, a third each.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import gzip
import json
import multiprocessing
import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

THRESHOLDS = (0.5, 0.7, 0.9)
Row = dict[str, Any]


def alpaca(data: Path) -> list[str]:
    with gzip.open(data / "noncommercial/alpaca/alpaca_data.json.gz", "rt", encoding="utf-8") as file:
        return [row["instruction"] for row in json.load(file)]


def mix(real: list[str], size: int) -> list[str]:
    """The real texts, each once, and perturbations of them up to `size`, in a fixed shuffled order."""
    rng = random.Random(0)
    texts = list(dict.fromkeys(real))[:size]
    cut = [text.split() for text in texts]
    words = [word for text in cut for word in text]
    following: dict[tuple[str, str], list[str]] = defaultdict(list)
    for text in cut:
        for a, b, c in zip(["", "", *text], ["", *text], [*text, ""], strict=False):
            following[a, b].append(c)
    while len(texts) < size:
        kind = len(texts) % 3
        made = list(rng.choice(cut))
        if kind == 0:
            for _ in range(rng.randint(1, 5)):
                made[rng.randrange(len(made))] = rng.choice(words)
        elif kind == 1:
            other = rng.choice(cut)
            made = made[: len(made) // 2] + other[len(other) // 2 :]
        else:
            made = []
            a, b = "", ""
            while len(made) < 60 and (word := rng.choice(following[a, b])):
                made.append(word)
                a, b = b, word
        texts.append(" ".join(made))
    rng.shuffle(texts)
    return texts


def resident() -> float:
    """MB of this process that are in memory, once the allocator has given back what is free (Linux)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def greedy(texts: list[str], threshold: float) -> Row:
    from selfinstruct.novelty import NoveltyIndex

    before = resident()
    index = NoveltyIndex(threshold)
    start = time.process_time()
    index.add_all(texts)
    seconds = time.process_time() - start
    return {
        "cpu_s": seconds,
        "us_each": seconds / len(texts) * 1e6,
        "kept": len(index),
        "MB": resident() - before,
    }


def online(texts: list[str], threshold: float) -> Row:
    from selfinstruct.novelty import NoveltyIndex

    index = NoveltyIndex(threshold)
    offers = min(5000, len(texts) // 10)
    index.extend(texts[:-offers])
    spent = []
    for text in texts[-offers:]:
        start = time.process_time_ns()
        index.add_if_new(text)
        spent.append((time.process_time_ns() - start) / 1000)
    spent.sort()
    percentile = {f"p{p}": spent[int(len(spent) * p / 100)] for p in (50, 99)}
    return {"pool": len(texts) - offers, "mean_us": statistics.mean(spent), **percentile, "max_us": spent[-1]}


def original(texts: list[str], pool: int) -> Row:
    """CPU seconds for one new instruction against the pool, tokens of the pool kept, as Alpaca's script
    does."""
    from rouge_score import rouge_scorer, tokenize

    stored = [tokenize.tokenize(text, None) for text in texts[:pool]]
    queries = texts[-3:]
    start = time.process_time()
    for text in queries:
        tokens = tokenize.tokenize(text, None)
        scores = [rouge_scorer._score_lcs(tokens, other).fmeasure for other in stored]
        np.mean(scores), np.argsort(scores)[-10:]
    return {"pool": pool, "s_each": (time.process_time() - start) / len(queries)}


def brute(texts: list[str], pool: int) -> Row:
    """All scores of 64 texts against the pool: rapidfuzz alone, and the index's exact top 10 and mean."""
    from rapidfuzz import process
    from rapidfuzz.distance import LCSseq

    from selfinstruct.novelty import NoveltyIndex

    index = NoveltyIndex()
    index.extend(texts[:pool])
    codes = index._pool.codes
    start = time.process_time()
    process.cdist(codes[:64], codes, scorer=LCSseq.similarity, dtype=np.int32)
    compared = (time.process_time() - start) / 64
    start = time.process_time()
    index.similar(texts[:64])
    return {
        "pool": pool,
        "cdist_ms": compared * 1e3,
        "top10_mean_ms": (time.process_time() - start) / 64 * 1e3,
    }


def measured(function: Callable[..., Row], *args: Any) -> Row:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def show(title: str, rows: Iterable[Row]) -> list[Row]:
    """Print each row when it is there."""
    print(f"\n{title}")
    shown: list[Row] = []
    for row in rows:
        if not shown:
            print("".join(f"{head:>16}" for head in row))
        cells = (
            f"{v:,.4g}" if isinstance(v, float) else f"{v:,}" if isinstance(v, int) else v
            for v in row.values()
        )
        print("".join(f"{cell:>16}" for cell in cells), flush=True)
        shown.append(row)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=200_000, help="texts in the synthetic mix")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data")
    options = parser.parse_args()
    real = alpaca(options.data)
    big = mix(real, options.size)
    pools = {"alpaca 10k": real[:10_000], "alpaca 52k": real, f"mix {options.size:,}": big}

    show(
        "greedy pass (add_all)",
        ({"texts": n, "threshold": t} | measured(greedy, x, t) for n, x in pools.items() for t in THRESHOLDS),
    )
    show(
        "one at a time (add_if_new) against the full pool, microseconds",
        ({"texts": n, "threshold": t} | measured(online, x, t) for n, x in pools.items() for t in THRESHOLDS),
    )
    small = show(
        "the original's way: one instruction against the pool",
        (measured(original, real, pool) for pool in (1000, 2000, 4000)),
    )
    pair = small[-1]["s_each"] / small[-1]["pool"]
    for size in (len(real), options.size):
        print(f"extrapolated to a greedy pass over {size:,}: {pair * size * size / 2:,.0f} CPU s")
    show("all scores of one text, 64 at a time", (measured(brute, x, len(x)) for x in pools.values()))


if __name__ == "__main__":
    main()
