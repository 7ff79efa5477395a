"""Labelled rows put into words: seconds for rows with one template each, with exemplars, and with all templates.

python benchmarks/templates.py [--rows 20000]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from selfinstruct.pipeline import execute
from selfinstruct.steps import read, template

SAMPLE = Path(__file__).parents[1] / "data/sample/tickets.jsonl"
CHOICES = ("delivery", "payment", "product", "account")
WAYS: dict[str, dict[str, Any]] = {
    "one template a row": {},
    "none or three exemplars": {"shots": (0, 3)},
    "all templates": {"use": "all"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    count = parser.parse_args().rows
    known = [json.loads(line) for line in SAMPLE.read_text("utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            {**known[n % len(known)], "text": f"{known[n % len(known)]['text']} ({n})"} for n in range(count)
        ]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        print(f"{'':<26}{'rows out':>10}{'s':>8}")
        for way, options in WAYS.items():
            steps = [
                read(path=str(folder / "rows.jsonl"), format="rows"),
                template(templates="classification", choices=CHOICES, **options),
            ]
            done = execute(steps, out=folder / way).funnel.steps[1]
            print(f"{way:<26}{done.kept:>10,}{done.seconds:>8.1f}")


if __name__ == "__main__":
    main()
