"""What steps took in earlier runs, for the plan of the next one: figures only, no text of anybody's.

They lie in the user's state folder ($XDG_STATE_HOME, else ~/.local/state), one entry for each step, model and set of
options. A file that is missing or damaged is as good as an empty one.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from selfinstruct.formats.files import atomic
from selfinstruct.funnel import Funnel
from selfinstruct.sample import digest

FORMAT = 1
_SIZES = ("n", "k", "limit", "window", "patience")  # options that say how much, not what


class Prior(NamedTuple):
    """What a step did once: rows and totals over its calls, and the day of that run."""

    came: int
    made: int
    kept: int
    calls: int
    input_tokens: int
    output_tokens: int
    day: str


def path() -> Path:
    home = os.environ.get("XDG_STATE_HOME", "").strip() or "~/.local/state"
    return Path(home).expanduser() / "selfinstruct" / "priors.json"


def name(step: str, model: str, options: Mapping[str, Any]) -> str:
    return digest([step, model, {option: value for option, value in options.items() if option not in _SIZES}])


def known() -> dict[str, Prior]:
    """All that is on file."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        found = json.loads(path().read_text("utf-8"))
        if found["format"] == FORMAT:
            return {key: Prior(*values) for key, values in found["steps"].items()}
    return {}


def learn(funnel: Funnel, roles: Mapping[int, str]) -> None:
    """Keep what the steps of a finished run took; `roles` says which role each of them asked."""
    models = funnel.teachers
    new = {
        name(row.name, models.get(roles[row.n]) or models["teacher"], row.options): Prior(
            row.came,
            row.made,
            row.kept,
            row.calls,
            row.input_tokens,
            row.output_tokens,
            date.today().isoformat(),
        )
        for row in funnel.steps
        if row.done and row.calls and row.kept and row.n in roles
    }
    if not new:
        return
    with contextlib.suppress(OSError):  # a help for the next plan; no run fails for it
        path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic(path()) as file:
            file.write(json.dumps({"format": FORMAT, "steps": {**known(), **new}}, indent=1).encode())
        path().chmod(0o600)
