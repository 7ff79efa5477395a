"""The pipeline `quickstart`, from seed tasks to a trained and measured student: wall and CPU of each step.

    python benchmarks/quickstart.py [--limit 500] [--profile quickstart.prof]

Runs in a folder of its own, which is deleted in the end.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bystep import measure

from selfinstruct.document import load

PIPELINE = Path(__file__).parents[1] / "pipelines/quickstart.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, help="a smaller trial: at most so many rows are made")
    parser.add_argument("--profile", type=Path, help="also profile, and write what pstats reads to this file")
    options = parser.parse_args()
    outcome = measure(load(PIPELINE, (), options.limit), options.profile)
    for row in outcome.funnel.steps:
        if "headline" in row.facts:
            print(f"{row.name}: {row.facts['headline']}")


if __name__ == "__main__":
    main()
