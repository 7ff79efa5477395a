"""Labelled rows of any columns, to be put into words by a template: `{"text": ..., "label": 2}`.

A row is no conversation yet. Its one message is the row itself as JSON, so that it can be told from others and looked
at; its columns are in `meta["row"]`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from selfinstruct.errors import DataError
from selfinstruct.sample import Message, Sample


def sample(row: Mapping[str, Any]) -> Sample:
    """Raises DataError without place."""
    if not row:
        raise DataError("has no columns", "a row of data has at least one column")
    return Sample((Message("user", json.dumps(row, ensure_ascii=False)),), meta={"row": dict(row)})
