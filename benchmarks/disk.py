"""What a run survives of its disk, at full size (the suite in tests/store runs a part of it).

    python benchmarks/disk.py [--only writes flips cuts million] [--step 1] [--count 200] [--rows 1000000]

- writes (R11): the k-th write, sync, truncation or rename below the run's folder fails, for every k (each `--step`-th),
  with ENOSPC, EROFS (both for good) and EIO (once): a clear error, nothing acknowledged lost, no half file at a final
  name, and the same command then ends with the same bytes;
- flips, cuts (R14): one byte of a run's file flipped, or its tail cut off, `--count` times: noticed or without any
  effect, and every answer whose bytes are all there is saved;
- million (R17): a store of so many answers and rows: time and memory to open it, to skip its steps, and to read all.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "store")]

FILL = """
import asyncio, sys
from pathlib import Path
from selfinstruct.sample import Message, Sample
from selfinstruct.store import Filed, Store
from selfinstruct.teachers import Completion, Request, Usage

folder, count = Path(sys.argv[1]), int(sys.argv[2])
words = " ".join(f"word{i}" for i in range(40))

async def fill(store):
    for start in range(0, count, 5_000):
        await asyncio.gather(*(
            store.put(
                Request("m", (Message("user", f"question {i}: {words}"),)),
                Filed(Completion(f"answer {i}: {words}", usage=Usage(60, 60)), 100, 0.5),
            )
            for i in range(start, min(start + 5_000, count))
        ))

with Store.open(folder) as store:
    asyncio.run(fill(store))
    store.begin(0, "made", {}, "mark")
    for start in range(0, count, 5_000):
        last = min(start + 5_000, count)
        store.add(0, [(i, Sample.of(f"question {i}", "", f"answer {i}: {words}")) for i in range(start, last)])
    store.record(0, came=0, made=count, kept=count, dropped=0, seconds=1, facts={}, uses=(), done=True)
"""
READ = """
import resource, sys, time
from pathlib import Path
from selfinstruct.store import Store
from selfinstruct.store.repair import check

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

began = time.perf_counter()
with Store.open(Path(sys.argv[1])) as store:
    opened = time.perf_counter() - began
    record, = store.steps()
    spent, rows = store.spent(), store.count(0)
    ready = time.perf_counter() - began
    print(f"open {opened:.1f} s, ready to go on {ready:.1f} s, {peak():.0f} MB resident")
    read = sum(1 for _ in store.samples(0))
    print(f"all {read:,} rows read in {time.perf_counter() - began - ready:.1f} s, {peak():.0f} MB resident")
began = time.perf_counter()
print(f"check: {check(Path(sys.argv[1])) or 'whole'} in {time.perf_counter() - began:.1f} s, {peak():.0f} MB resident")
"""


def writes(step: int) -> None:
    from faulty import ordeal

    for error, once in (("ENOSPC", False), ("EROFS", False), ("EIO", True)):
        ends: Counter[str] = Counter()
        for found in ordeal(f"every {step}", error, once):
            ends[
                "clear errors"
                if found["status"] == 10
                else "unnoticed"
                if found["status"] == 0
                else "TRACEBACKS"
            ] += 1
            ends["acknowledged answers"] += found["acknowledged"]
            ends["lost"] += found["lost"]
            ends["half files"] += len(found["torn"])
            ends["different exports"] += not found["equal"]
        said = ", ".join(f"{count:,} {what}" for what, count in ends.items())
        print(f"R11 {error}{' once' if once else ''}: {said}", flush=True)


def damage(kind: str, count: int) -> None:
    import test_repair

    with tempfile.TemporaryDirectory() as name:
        sound = test_repair.filled(Path(name) / "sound")
        made = {"flips": test_repair.flips, "cuts": test_repair.cuts}[kind](sound, count, 11)
        ends = Counter(test_repair.ordeal(sound, Path(name) / f"{i}", data) for i, data in enumerate(made))
    print(f"R14 {count} {kind}: " + ", ".join(f"{n} {end}" for end, n in ends.items()), flush=True)


def million(rows: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", FILL, name, str(rows)], check=True, cwd=ROOT)
        size = sum(path.stat().st_size for path in Path(name).iterdir()) / 1e6
        print(
            f"R17 {rows:,} answers and rows written in {time.perf_counter() - began:.0f} s, {size:,.0f} MB on disk"
        )
        said = subprocess.run(
            [sys.executable, "-c", READ, name], check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        print("".join(f"R17 {line}\n" for line in said.stdout.splitlines()), end="", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ("writes", "flips", "cuts", "million")
    parser.add_argument("--only", nargs="+", choices=names, default=list(names))
    parser.add_argument("--step", type=int, default=1, help="of the writes, every so many-th")
    parser.add_argument("--count", type=int, default=200, help="flips and cuts")
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    if "writes" in options.only:
        writes(options.step)
    for kind in ("flips", "cuts"):
        if kind in options.only:
            damage(kind, options.count)
    if "million" in options.only:
        million(options.rows)
    print(f"peak of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
