"""LIMA rows (Zhou et al. 2023): `{"conversations": ["question", "answer", ...], "source": ...}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfinstruct.formats import chat
from selfinstruct.sample import Sample


def knows(row: Mapping[str, Any]) -> bool:
    texts = row.get("conversations")
    return isinstance(texts, list) and bool(texts) and isinstance(texts[0], str)


def sample(row: Mapping[str, Any]) -> Sample:
    """A conversation of texts that take turns; other columns go to `meta`. Raises DataError without place."""
    return Sample(
        chat.in_turn(row.get("conversations"), "conversations"), meta=chat.rest(row, "conversations")
    )
