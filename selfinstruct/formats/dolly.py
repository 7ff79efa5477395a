"""Dolly rows (Databricks 2023): `instruction`, `context`, `response`, `category`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfinstruct.errors import DataError
from selfinstruct.formats import alpaca
from selfinstruct.sample import Sample

_NAMES = {"context": "input", "response": "output"}


def knows(row: Mapping[str, Any]) -> bool:
    return "instruction" in row and "response" in row and "output" not in row


def sample(row: Mapping[str, Any]) -> Sample:
    """`context` is Alpaca's input and `response` its output; `category` and other columns go to `meta`.

    Raises DataError without place.
    """
    for theirs, ours in _NAMES.items():
        if ours in row:
            raise DataError(
                f"has a column `{ours}` beside `{theirs}`", "rename it: `columns: {other: " + ours + "}`"
            )
        if not isinstance(row.get(theirs), str | None):
            raise DataError(f"`{theirs}` is {alpaca.shown(row[theirs])}", f"`{theirs}` must be text")
    return alpaca.sample({_NAMES.get(key, key): value for key, value in row.items()})
