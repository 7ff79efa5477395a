"""The novelty index side by side with the ways it replaces, in one run, on one core.

    python benchmarks/novelty.py [--sizes 200000 1000000] [--data ../shared/data]

- the greedy pass: every text of a pool offered in order, at three thresholds;
- one offer at a time against a full pool, as a run makes them;
- the groups of near-duplicates of a whole set;
- the original's way, rouge_score on every pair of tokenised texts (Alpaca): one text against pools of 1k to
  52k, and what that comes to for a whole pass, extrapolated as quadratic;
- brute force with rapidfuzz on every pair, and the index's top 10 and mean;
- MinHash-LSH of datasketch (`pip install datasketch`; left out with a word when it is not there): speed, and
  how its decisions differ from the exact ones.

Each measurement runs in a process of its own. `MB` is what the process grew by, without the input texts, and
`peak_MB` its highest resident memory with them and with Python. The mix beyond the real instructions is
synthetic: words resampled, halves of two texts joined, and an order-2 Markov chain, a third each.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import gzip
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import platform
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


def peak() -> float:
    """MB that this process had in memory at its highest (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3


def greedy(texts: list[str], threshold: float) -> Row:
    from selfinstruct.novelty import NoveltyIndex

    before = resident()
    index = NoveltyIndex(threshold)
    began, start = time.perf_counter(), time.process_time()
    index.add_all(texts)
    wall, seconds = time.perf_counter() - began, time.process_time() - start
    return {
        "wall_s": wall,
        "cpu_s": seconds,
        "us_each": seconds / len(texts) * 1e6,
        "kept": len(index),
        "MB": resident() - before,
        "peak_MB": peak(),
    }


def grouped(texts: list[str], threshold: float) -> Row:
    from selfinstruct.novelty import clusters

    start = time.process_time()
    found = clusters(texts, threshold)
    seconds = time.process_time() - start
    return {
        "cpu_s": seconds,
        "groups": len(found),
        "texts in them": sum(len(each.places) for each in found),
        "largest": max((len(each.places) for each in found), default=0),
    }


def online(texts: list[str], threshold: float) -> Row:
    from selfinstruct.novelty import NoveltyIndex

    index = NoveltyIndex(threshold)
    offers = min(5000, len(texts) // 10)
    index.extend(texts[:-offers])
    spent = []
    for text in texts[-offers:]:
        began = time.process_time_ns()
        index.add_if_new(text)
        spent.append((time.process_time_ns() - began) / 1000)
    spent.sort()
    percentile = {f"p{p}": spent[int(len(spent) * p / 100)] for p in (50, 99)}
    several = {}
    for size in (17, 512):  # as many as a completion of Alpaca's brings; as many as a block has
        index = NoveltyIndex(threshold)
        index.extend(texts[:-offers])
        start = time.process_time()
        for begin in range(len(texts) - offers, len(texts), size):
            index.add_all(texts[begin : begin + size])
        several[f"by {size} us"] = (time.process_time() - start) / offers * 1e6
    return {
        "pool": len(texts) - offers,
        "mean_us": statistics.mean(spent),
        **percentile,
        "max_us": spent[-1],
        **several,
    }


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


def exact(texts: list[str], threshold: float) -> tuple[float, list[bool]]:
    """CPU seconds of the greedy pass, and which texts it keeps."""
    from selfinstruct.novelty import NoveltyIndex

    start = time.process_time()
    kept = [match is None for match in NoveltyIndex(threshold).add_all(texts)]
    return time.process_time() - start, kept


def passes(one: list[str], other: list[str], threshold: float) -> bool:
    from rapidfuzz.distance import LCSseq

    from selfinstruct.novelty.rouge import fmeasure

    common = LCSseq.similarity(one, other)
    return common > 0 and fmeasure(common, len(one), len(other)) > threshold


def minhash(texts: list[str], threshold: float, verify: bool) -> Row:
    """The greedy pass with MinHash-LSH over word sets at the Jaccard similarity that two texts of one length
    and of distinct words have at the threshold; with `verify`, its candidates are scored exactly."""
    from selfinstruct.text import words

    datasketch = importlib.import_module("datasketch")
    seconds, keeps = exact(texts, threshold)
    start = time.process_time()
    lsh = datasketch.MinHashLSH(threshold=threshold / (2 - threshold), num_perm=128)
    stored: dict[int, list[str]] = {}
    ours = []
    for i, text in enumerate(texts):
        tokens = words(text)
        signature = datasketch.MinHash(num_perm=128)
        signature.update_batch([token.encode() for token in set(tokens)])
        near = lsh.query(signature)
        if verify:
            near = [other for other in near if passes(tokens, stored[other], threshold)]
        ours.append(not near)
        if not near:
            lsh.insert(i, signature)
            stored[i] = tokens
    spent = time.process_time() - start
    both = list(zip(keeps, ours, strict=True))
    return {
        "us_each": spent / len(texts) * 1e6,
        "exact us_each": seconds / len(texts) * 1e6,
        "missed %": 100 * both.count((False, True)) / max(keeps.count(False), 1),
        "wrongly %": 100 * both.count((True, False)) / max(keeps.count(True), 1),
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
    parser.add_argument("--sizes", type=int, nargs="+", default=[200_000], help="texts in the synthetic mix")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data")
    options = parser.parse_args()
    real = alpaca(options.data)
    mixes = {f"mix {size:,}": mix(real, size) for size in options.sizes}
    pools = {"alpaca 10k": real[:10_000], "alpaca 52k": real, **mixes}
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "rapidfuzz", "rouge-score")
    )
    print(f"Python {platform.python_version()}, {versions}; {processor()}, {os.cpu_count()} cores")
    print("load average at the start:", *(f"{load:.1f}" for load in os.getloadavg()))

    show(
        "greedy pass (add_all)",
        ({"texts": n, "threshold": t} | measured(greedy, x, t) for n, x in pools.items() for t in THRESHOLDS),
    )
    online_rows = show(
        "one at a time (add_if_new) against the full pool, CPU microseconds",
        ({"texts": n, "threshold": t} | measured(online, x, t) for n, x in pools.items() for t in THRESHOLDS),
    )
    show(
        "groups of near-duplicates (clusters)",
        (
            {"texts": n, "threshold": t} | measured(grouped, x, t)
            for n, x in list(pools.items())[:3]
            for t in (0.7, 0.9)
        ),
    )
    peers = show(
        "the original's way: one instruction against the pool, CPU seconds",
        (measured(original, real, pool) for pool in (1000, 2000, 4000, 8000, 16_000, len(real))),
    )
    pair = peers[-1]["s_each"] / peers[-1]["pool"]
    for size in (len(real), *options.sizes):
        print(f"extrapolated to a greedy pass over {size:,}: {pair * size * size / 2:,.0f} CPU s")
    ours = next(row for row in online_rows if (row["texts"], row["threshold"]) == ("alpaca 52k", 0.7))
    for way, column in (("add_if_new", "mean_us"), ("add_all of 17", "by 17 us"), ("of 512", "by 512 us")):
        ratio = pair * ours["pool"] / ours[column] * 1e6
        print(f"one candidate at {ours['pool']:,}, the original / {way}: {ratio:,.0f}")
    all_scores = show(
        "all scores of one text, 64 at a time, CPU milliseconds",
        (measured(brute, x, len(x)) for x in pools.values()),
    )
    ratio = peers[-1]["s_each"] / all_scores[1]["top10_mean_ms"] * 1e3
    print(f"top 10 and mean at 52k, the original / similar: {ratio:,.0f}")
    if importlib.util.find_spec("datasketch") is None:
        print("\nMinHash-LSH is left out: `pip install datasketch` adds it")
        return
    some = next(iter(mixes.values()))
    show(
        f"MinHash-LSH, datasketch {importlib.metadata.version('datasketch')}, 128 permutations, against exact",
        (
            {"texts": n, "threshold": t, "verified": "yes" if v else "no"} | measured(minhash, some[:n], t, v)
            for n in (20_000, 100_000)
            for t in THRESHOLDS[:2]
            for v in (False, True)
            if n <= len(some)
        ),
    )


def processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.processor()


if __name__ == "__main__":
    main()
