"""Plan against actual: the plan that a run started with, kept in its file, and what its steps came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfinstruct.funnel import Funnel

FACT = "plan"


@dataclass(frozen=True)
class Compared:
    """One step that asks: its figures as planned and as they came, by name. A cost of None was unpriced."""

    name: str
    planned: Mapping[str, int | None]
    actual: Mapping[str, int | None]
    done: bool


def compare(planned: Any, found: Funnel) -> list[Compared]:
    """The steps that asked, or were expected to, beside what was planned for them."""
    rows = []
    for plan, step in zip(planned or (), found.steps, strict=False):
        if plan["name"] == step.name and (plan["calls"] or step.calls):
            actual = {
                "rows": step.kept,
                "calls": step.calls,
                "tokens": step.input_tokens + step.output_tokens,
                "cost": step.cost_nano if step.calls else 0,
            }
            rows.append(Compared(step.name, {name: plan[name] for name in actual}, actual, step.done))
    return rows
