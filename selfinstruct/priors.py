"""What steps came to in earlier runs, kept in the user's state folder for the next plan: figures, never a text.

The file is `selfinstruct/priors.json` in $XDG_STATE_HOME, by default ~/.local/state. A step's figures are found again
by a digest of its name, its options, its model with its parameters, and the prompts. Without the file, or with one
that can't be read, plans do without it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from selfinstruct.formats.files import atomic
from selfinstruct.outlook import Measured
from selfinstruct.run import Place
from selfinstruct.sample import digest
from selfinstruct.step import Step

FORMAT = 1
_SIZE = ("n", "limit", "window", "patience", "max_unscored")  # options that change how much, not what
_FIGURES = ("calls", "came", "made", "kept", "input_tokens", "output_tokens")
_DAMAGE = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
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
    """All that is kept. A file that can't be read, or holds something else, counts for nothing, with one warning."""
    path = file()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']!r}, this version knows {FORMAT}")
        return {name: _measured(figures) for name, figures in found["steps"].items()}
    except FileNotFoundError:
        return {}
    except _DAMAGE as error:
        _log.warning("%s: can't be used (%s); the plan does without it", path, error)
        return {}


def _measured(figures: Any) -> Measured:
    counts = {name: figures[name] for name in _FIGURES}
    if any(type(count) is not int or count < 0 for count in counts.values()):
        raise ValueError("a count is no count")
    day = date.fromisoformat(figures["day"])
    source = f"measured in an earlier run ({day}): {counts['calls']:,} calls for {counts['kept']:,} rows"
    return Measured(source, **counts, seconds=max(0.0, float(figures["seconds"])))


def keep(found: Mapping[str, Measured], today: date) -> None:
    """Add what was measured; the newest figures of a step stay. A damaged file is replaced, one of a newer version left
    alone. Where nothing can be written, a warning says so.
    """
    path = file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(path.with_name("lock"), timeout=5):
            steps = _rows(path)
            if steps is None:
                return
            for name, measured in found.items():
                row = asdict(measured) | {"day": today.isoformat()}
                del row["source"]
                steps[name] = row
            with atomic(path) as opened:
                os.chmod(opened.fileno(), 0o600)  # noqa: PTH101 (it has no name yet)
                opened.write(json.dumps({"format": FORMAT, "steps": steps}).encode("utf-8"))
    except (OSError, Timeout) as error:
        _log.warning("%s: can't be written (%s); the next plan won't know this run", path, error)


def _rows(path: Path) -> dict[str, Any] | None:
    """The sound rows of the file as they stand there; None where a newer version wrote it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found["format"], int) and found["format"] > FORMAT:
            return None
        for row in found["steps"].values():
            _measured(row)
        return dict(found["steps"])
    except FileNotFoundError:
        return {}
    except OSError:
        raise
    except _DAMAGE:
        return {}
