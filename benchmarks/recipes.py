"""What a kept row takes in each shipped pipeline, with the offline teacher: calls and tokens, in and out.

    python benchmarks/recipes.py [--limit 200] [NAME...]

Steps that train are left out. Tokens are the offline teacher's estimate, one for four characters: compare
recipes with one another, not with a price list.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from selfinstruct.document import load
from selfinstruct.pipeline import run

PIPELINES = Path(__file__).parents[1] / "pipelines"
TRAINING = ("sft", "dpo", "evaluate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="pipelines; all by default")
    parser.add_argument("--limit", type=int, default=200, help="rows to make or read")
    given = parser.parse_args()
    names = given.names or sorted(path.stem for path in PIPELINES.glob("*.yaml"))
    print(
        f"{'pipeline':<20}{'rows':>6}{'calls':>7}{'calls/row':>11}{'tokens in/row':>15}{'tokens out/row':>16}{'s':>7}"
    )
    for name in names:
        pipeline = load(PIPELINES / f"{name}.yaml", limit=given.limit)
        pipeline = replace(pipeline, steps=[step for step in pipeline.steps if step.name not in TRAINING])
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            outcome = run(pipeline, Path(folder))
            seconds = time.perf_counter() - began
        steps = outcome.funnel.steps
        rows, calls = steps[-1].kept, sum(step.calls for step in steps)
        read, written = (sum(getattr(step, f"{way}_tokens") for step in steps) for way in ("input", "output"))
        print(
            f"{name:<20}{rows:>6,}{calls:>7,}{calls / rows:>11.2f}{read / rows:>15,.0f}{written / rows:>16,.0f}"
            f"{seconds:>7.1f}"
        )


if __name__ == "__main__":
    main()
