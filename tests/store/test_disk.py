"""The disk fails at the k-th write: one clear error, nothing acknowledged is lost, and the same command ends well."""

from __future__ import annotations

import shutil
import sys

import pytest
from faulty import ordeal

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not (shutil.which("cc") or shutil.which("gcc")),
    reason="needs Linux and a C compiler",
)


@pytest.mark.parametrize(
    ("error", "once", "words"),
    [
        ("ENOSPC", False, "disk"),
        ("EROFS", False, "disk"),
        ("EIO", True, "disk"),  # and all is well again: what failed must not pass for written
    ],
)
def test_at_every_write_one_clear_error_and_nothing_is_lost(error: str, once: bool, words: str) -> None:
    met = 0
    for found in ordeal("every 40", error, once):
        assert found["status"] in (0, 10), found["words"]
        if found["status"]:
            met += 1
            assert words in found["words"]
            assert "Traceback" not in found["words"]
        assert found["lost"] == 0, found
        assert found["torn"] == [], found
        assert found.get("faults", []) == [], found
        assert found["equal"], found
    assert met >= 8
