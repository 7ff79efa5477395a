"""The tally of a step at work: what it has taken in, made, kept, dropped and used so far."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """How far a step is, for whoever watches. `asked` counts calls of this process, `calls` all that the step used;
    `coming` is how many rows the step before it left.
    """

    n: int
    name: str
    came: int = 0
    made: int = 0
    kept: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    asked: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano: int = 0
    done: int = 0
    total: int | None = None
    text: str = ""
    coming: int = 0
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        return self.came + self.made - self.kept - self.drops.total()

    @property
    def share(self) -> float | None:
        """How much of the step is done, from 0 to 1, as far as that is known."""
        done, total = (self.done, self.total) if self.total else (self.kept + self.drops.total(), self.coming)
        return min(1.0, done / total) if total else None

    @property
    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.started
