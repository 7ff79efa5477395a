"""What steps came to in earlier runs, kept in the user's state folder for the next plan: figures, never a text.

The file is `selfinstruct/priors.json` in $XDG_STATE_HOME, by default ~/.local/state. A step's figures are found again
by a digest of its name, its options, its model with its parameters, and the prompts. Without the file, or with one
that can't be read, plans rest on assumptions.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

from selfinstruct.formats.files import atomic
from selfinstruct.outlook import Measured
from selfinstruct.run import Place
from selfinstruct.sample import digest
from selfinstruct.step import Step

FORMAT = 1
_SIZE = ("n", "limit", "window", "patience", "max_unscored")  # options that change how much, not what
_FIGURES = ("calls", "came", "made", "kept", "input_tokens", "output_tokens")
_log = logging.getLogger("selfinstruct")


def file() -> Path:
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state else Path.home() / ".local" / "state") / "selfinstruct" / "priors.json"


def key(step: Step, place: Place, role: str) -> str:
    """What a step's figures are kept under."""
    options = {name: value for name, value in step.values.items() if name not in _SIZE}
    part = place.role(role)
    model = [part.teacher.model, dict(part.params), part.teacher.structured]
    return digest([step.name, step.type.code, options, model, place.prompts.digest])


def load() -> dict[str, Measured]:
    """All that is kept. A file that can't be read, or holds something else, is left alone, with one warning."""
    path = file()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']!r}, this version knows {FORMAT}")
        return {name: _measured(figures) for name, figures in found["steps"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        _log.warning("%s: left alone, for it can't be used (%s); plans rest on assumptions", path, error)
        return {}


def _measured(figures: Any) -> Measured:
    counts = {name: figures[name] for name in _FIGURES}
    if any(type(count) is not int or count < 0 for count in counts.values()):
        raise ValueError("a count is no count")
    day = date.fromisoformat(figures["day"])
    source = f"measured in an earlier run ({day}): {counts['calls']:,} calls for {counts['kept']:,} rows"
    return Measured(source, **counts, seconds=max(0.0, float(figures["seconds"])))


def keep(found: Mapping[str, Measured], today: date) -> None:
    """Add what was measured; the newest figures of a step stay. Where that can't be written, a warning says so."""
    path = file()
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
        steps = {name: asdict(_measured(row)) | {"day": row["day"]} for name, row in steps.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        steps = {}
    for name, measured in found.items():
        steps[name] = asdict(measured) | {"day": today.isoformat()}
    for row in steps.values():
        row.pop("source", None)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic(path) as opened:
            os.fchmod(opened.fileno(), 0o600)
            opened.write(json.dumps({"format": FORMAT, "steps": steps}).encode("utf-8"))
    except OSError as error:
        _log.warning("%s: can't be written (%s); the next plan won't know this run", path, error.strerror)


def apply(measured: Measured, input_tokens: int) -> Measured:
    """For a step that asks about rows: their length is known better from the rows that come now."""
    return replace(measured, input_tokens=input_tokens)
