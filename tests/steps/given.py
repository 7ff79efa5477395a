"""Rows of a test as the first step of a pipeline."""

from __future__ import annotations

from collections.abc import Sequence

from fakes import own_steps

from selfinstruct.run import Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, Step, step


def given(rows: Sequence[Sample]) -> Step:
    with own_steps():

        @step
        async def given_rows(run: Run, samples: Samples) -> Samples:
            """The rows of a test."""
            run.made(len(rows))
            for row in rows:
                yield row

        return given_rows()
