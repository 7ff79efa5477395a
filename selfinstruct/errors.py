"""The error family. Every error says where, what is wrong, and (in `hint`) what to do.

    SelfInstructError
    ├── ConfigError      a pipeline, an option or the environment is wrong        exit 2
    ├── DataError        a file's content is wrong                                exit 2
    ├── StoreError       the run directory can't be used                          exit 2
    ├── TeacherError     the provider refuses for good (key, model, parameter)    exit 3
    │   └── TransientError   worth another attempt; never leaves `run.generate`
    ├── BudgetReached    the cap would be exceeded; the run is resumable          exit 4
    └── Paused           stopped before the end, resumable                        exit 75

`ParseError` stands apart: it is a fact about one completion, counted and turned into a drop, never shown as a failure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class SelfInstructError(Exception):
    """Base of all errors meant for the user: one sentence and one hint, no traceback."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class ConfigError(SelfInstructError):
    exit_code = 2


class DataError(SelfInstructError):
    exit_code = 2


class StoreError(SelfInstructError):
    exit_code = 2


class TeacherError(SelfInstructError):
    exit_code = 3


class TransientError(TeacherError):
    """One attempt failed in a way that another attempt may mend.

    `retry_after` is the provider's own wish in seconds, when it gave one; `overloaded` says that the provider
    asked for less (429, 503, 529), so that the concurrency is lowered. `billed` is what the provider says that the
    attempt used (a `Usage`), though nothing usable came; `in_doubt` says that it may have been billed, nobody knows.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        retry_after: float | None = None,
        overloaded: bool = False,
        billed: Any = None,
        in_doubt: bool = False,
    ) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after
        self.overloaded = overloaded
        self.billed = billed
        self.in_doubt = in_doubt


class BudgetReached(SelfInstructError):
    exit_code = 4


class Paused(SelfInstructError):
    exit_code = 75


class ParseError(ValueError):
    """A completion does not hold what was asked for. `reason` is the slug that the drop is counted under, `text` the
    part of the completion that it is about, where it is only a part.
    """

    def __init__(self, reason: str, detail: str = "", text: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.text = text


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint naming the known word closest to `word`, and all known words."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    listing = f"known: {', '.join(names)}" if names else "it takes none"
    return f"did you mean `{close[0]}`? ({listing})" if close else listing
