"""The pipeline `curate` over the 52,002 rows of Alpaca: rows a second, CPU and memory of each step.

    python benchmarks/curate.py [--data ../shared/data] [--pipeline pipelines/curate.yaml] [--profile curate.prof]

Each step's time includes reading its rows from the store and writing what it keeps and drops. Memory is the highest
that the process has had by the step's end.
"""

from __future__ import annotations

import argparse
import cProfile
import resource
import tempfile
import time
from pathlib import Path

from selfinstruct.document import load
from selfinstruct.pipeline import run
from selfinstruct.run import Tally

ROOT = Path(__file__).parents[1]
HEADS = ("step", "came", "made", "kept", "wall s", "CPU s", "rows/s", "peak MB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--pipeline", type=Path, default=ROOT / "pipelines/curate.yaml")
    parser.add_argument("--profile", type=Path, help="also profile, and write what pstats reads to this file")
    options = parser.parse_args()
    source = options.data / "noncommercial/alpaca/alpaca_data.json.gz"
    loaded = load(options.pipeline, [f"read.path={source.resolve()}"])
    begun = started = (time.perf_counter(), time.process_time())

    def show(*cells: object) -> None:
        print(f"{cells[0]:<11}" + "".join(f"{cell:>10}" for cell in cells[1:]), flush=True)

    def since(mark: tuple[float, float]) -> tuple[float, float]:
        return time.perf_counter() - mark[0], time.process_time() - mark[1]

    def peak() -> str:
        return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f}"

    def watch(event: str, tally: Tally) -> None:
        nonlocal begun
        if event == "begin":
            begun = (time.perf_counter(), time.process_time())
        elif event == "end":
            wall, cpu = since(begun)
            rate = f"{(tally.came + tally.made) / wall:,.0f}"
            rows = (f"{count:,}" for count in (tally.came, tally.made, tally.kept))
            show(tally.name, *rows, f"{wall:.1f}", f"{cpu:.1f}", rate, peak())

    profile = cProfile.Profile(time.thread_time) if options.profile else None
    show(*HEADS)
    with tempfile.TemporaryDirectory() as folder:
        if profile:
            profile.enable()
        run(loaded, Path(folder) / "run", watch=watch)
        if profile:
            profile.disable()
            profile.dump_stats(options.profile)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6
    wall, cpu = since(started)
    show("all", "", "", "", f"{wall:.1f}", f"{cpu:.1f}", "", peak())
    print(f"the run's folder: {size:,.0f} MB")


if __name__ == "__main__":
    main()
