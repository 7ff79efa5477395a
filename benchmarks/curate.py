"""The pipeline `curate` over the 52,002 rows of Alpaca: rows a second, CPU and memory of each step.

    python benchmarks/curate.py [--data ../shared/data] [--pipeline pipelines/curate.yaml] [--profile curate.prof]

Each step's time includes reading its rows from the store and writing what it keeps and drops. Memory is the most that
the process has had by the step's end.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bystep import measure

from selfinstruct.document import load

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--pipeline", type=Path, default=ROOT / "pipelines/curate.yaml")
    parser.add_argument("--profile", type=Path, help="also profile, and write what pstats reads to this file")
    options = parser.parse_args()
    source = options.data / "noncommercial/alpaca/alpaca_data.json.gz"
    measure(load(options.pipeline, [f"read.path={source.resolve()}"]), options.profile)


if __name__ == "__main__":
    main()
