"""What a run costs lies between the plan's low and its ceiling: a tenth of plan_trials.py, which has all seeds."""

from __future__ import annotations

from pathlib import Path

import pytest
from plan_trials import trial


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("seed", range(10))
def test_the_bill_lies_between_low_and_ceiling(seed: int, tmp_path: Path) -> None:
    found = trial(seed, tmp_path / "run")
    assert 0 < found.low <= found.actual <= found.ceiling, found
