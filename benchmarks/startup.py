"""How long `selfinstruct --help` takes, and what it imports.

    python benchmarks/startup.py [--times 10] [--top 15]

Wall and CPU seconds of the whole command, best and median; the modules that take longest to import, with what they
import in turn; and which packages that have no business there were loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMAND = ("-m", "selfinstruct", "--help")
HEAVY = (
    *("torch", "transformers", "trl", "peft", "accelerate", "datasets", "vllm", "openai", "anthropic"),
    *("pandas", "pyarrow", "numpy", "rapidfuzz", "aiohttp", "pydantic", "jinja2", "yaml", "sqlite3"),
)
# Runs the command as `python -m` does, then names what it loaded.
LOADED = """
import atexit, json, runpy, sys
sys.argv = ["selfinstruct", "--help"]
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
runpy.run_module("selfinstruct", run_name="__main__")
"""


def python(*arguments: str) -> str:
    """What our interpreter says on stderr."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=True
    )
    return done.stderr


def times(count: int) -> tuple[list[float], list[float]]:
    walls, cpus = [], []
    for _ in range(count):
        wall, before = time.perf_counter(), os.times()
        python(*COMMAND)
        after = os.times()
        walls.append(time.perf_counter() - wall)
        cpus.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    return walls, cpus


def slowest(count: int) -> list[tuple[float, float, str]]:
    """(ms with what it imports, ms alone, module), slowest first."""
    found = []
    for line in python("-X", "importtime", *COMMAND).splitlines():
        alone, total, module = line.removeprefix("import time:").split("|")
        if alone.strip().isdigit():
            found.append((int(total) / 1000, int(alone) / 1000, module.strip()))
    return sorted(found, reverse=True)[:count]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--top", type=int, default=15, help="modules listed")
    options = parser.parse_args()
    for name, seconds in zip(("wall", "CPU"), times(options.times), strict=True):
        print(f"{name:<5} best {min(seconds):.3f} s   median {statistics.median(seconds):.3f} s")
    loaded = set(json.loads(python("-c", LOADED).splitlines()[-1]))
    print(f"{len(loaded)} modules; of the heavy ones: {', '.join(sorted(loaded & set(HEAVY))) or 'none'}")
    print(f"\n{'with imports, ms':>16}  {'alone, ms':>9}")
    for total, alone, module in slowest(options.top):
        print(f"{total:>16.1f}  {alone:>9.1f}  {module}")


if __name__ == "__main__":
    main()
