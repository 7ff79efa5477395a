"""Killed and interrupted at random points, small; `benchmarks/reliability.py` does it at full size."""

from __future__ import annotations

from pathlib import Path

import trials


def test_r1_killed_at_random_points(tmp_path: Path) -> None:
    found = trials.kills(tmp_path, 8, 120, seed=5)
    assert found.kills == 8
    assert (found.repaid, found.rows_missing, found.different) == (0, 0, 0)
    assert found.most_lost <= trials.IN_FLIGHT


def test_r3_interrupted_at_random_points(tmp_path: Path) -> None:
    found = trials.interrupts(tmp_path, 2, 120, seed=6)
    assert found.lost == 0
    assert found.latest < 1
    assert found.codes == {130}
