"""Does what a run costs lie between the plan's low and its ceiling? Runs of a teacher whose yield, length of answers
and empty answers (which are billed) differ from seed to seed.

    PYTHONPATH=.:tests python tests/plan_trials.py --seeds 100
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path
from typing import NamedTuple

from tenacity import wait_none

import selfinstruct.run
from selfinstruct.pipeline import Pipeline, run
from selfinstruct.plan import plan
from selfinstruct.steps import alpaca, judge, read, refusal, respond
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Request, Usage
from selfinstruct.teachers.offline import OfflineTeacher
from selfinstruct.teachers.reply import EmptyAnswerError

SEEDS = Path(__file__).parent.parent / "seeds" / "seed_tasks.jsonl"
PRICE = {"input": 0.25, "output": 2}


class Uneven:
    """The offline teacher with the bill of a model: tokens spread lognormally (sigma 0.7), never more than max_tokens;
    up to a fifth of the attempts bring nothing and are billed.
    """

    model = "uneven"
    structured = False
    raw = False

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)
        self._empty = self._rng.uniform(0.0, 0.2)
        self._inner = OfflineTeacher(
            seed=seed, faults=self._rng.uniform(0.0, 0.5), wrong=self._rng.uniform(0.0, 0.5)
        )

    async def complete(self, request: Request) -> Completion:
        done = await self._inner.complete(request)
        long = round(done.usage.output_tokens * self._rng.lognormvariate(0.0, 0.7)) + 1
        usage = Usage(done.usage.input_tokens, min(long, request.params["max_tokens"]))
        if self._rng.random() < self._empty:
            raise EmptyAnswerError("nothing", Completion("", usage=usage))
        return Completion(done.text, done.finish_reason, usage, self.model)

    async def close(self) -> None:
        await self._inner.close()


class Trial(NamedTuple):
    """In nano-dollars; `actual` is the sum of the ledger."""

    low: int
    expected: int
    ceiling: int
    actual: int

    @property
    def inside(self) -> bool:
        return self.low <= self.actual <= self.ceiling


def trial(seed: int, folder: Path) -> Trial:
    """Plan, run, and look at the bill."""
    steps = read(path=str(SEEDS)), alpaca(n=40), refusal(), respond(again=True), judge(min_score=3)
    of = Pipeline("p", steps, {"teacher": {"model": "plan_trials:Uneven", "seed": seed, "price": PRICE}})
    rows = plan(of, of.place(folder))
    low, expected, ceiling = (
        sum(value or 0 for value in column)
        for column in zip(*((row.low_nano, row.expected_nano, row.ceiling_nano) for row in rows), strict=True)
    )
    run(of, folder)
    with Store.read(folder) as store:
        return Trial(low, expected, ceiling, store.booked().nano)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    options = parser.parse_args()
    selfinstruct.run.BACK_OFF = wait_none()  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        found = [trial(seed, Path(folder) / str(seed)) for seed in range(options.seeds)]
    ratios = sorted(each.actual / each.expected for each in found)
    print(f"{sum(each.inside for each in found)} of {len(found)} between low and ceiling")  # noqa: T201
    print(  # noqa: T201
        f"actual / expected: {ratios[0]:.2f} to {ratios[-1]:.2f}, median {ratios[len(ratios) // 2]:.2f}"
    )


if __name__ == "__main__":
    main()
