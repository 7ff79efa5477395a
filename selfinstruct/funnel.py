"""The funnel: what each step of a run took in, made, kept, dropped and cost. For people, and for the card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from selfinstruct.store import Store


@dataclass(frozen=True)
class StepRow:
    """One step. came + made = kept + dropped + pending; `cost_nano` is None when a price was unknown."""

    n: int
    name: str
    options: Mapping[str, Any]
    came: int
    made: int
    kept: int
    drops: Mapping[str, int]
    pending: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost_nano: int | None
    seconds: float
    facts: Mapping[str, Any]
    done: bool

    @property
    def dropped(self) -> int:
        return sum(self.drops.values())


@dataclass(frozen=True)
class Funnel:
    """All steps of a run so far. `teachers` maps each role to the model that plays it, `about` a model to what it says
    of itself, where it has something to say; `models` is what the pipeline says of each role, without addresses
    and what only the machine needs.
    """

    pipeline: str
    version: str
    teachers: Mapping[str, str]
    about: Mapping[str, str]
    steps: tuple[StepRow, ...]
    models: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    @classmethod
    def of(cls, store: Store) -> Self:
        rows = []
        for record in store.steps():
            drops = store.reasons(record.n)
            kept = store.count(record.n)
            spent = store.spent(record.n)
            rows.append(
                StepRow(
                    n=record.n,
                    name=record.name,
                    options=record.options,
                    came=record.came,
                    made=record.made,
                    kept=kept,
                    drops=drops,
                    pending=record.came + record.made - kept - sum(drops.values()),
                    calls=spent.calls,
                    input_tokens=spent.input_tokens,
                    output_tokens=spent.output_tokens,
                    cost_nano=spent.cost_nano,
                    seconds=record.seconds,
                    facts=record.facts,
                    done=record.done,
                )
            )
        about = store.fact("pipeline") or {}
        return cls(
            pipeline=about.get("name", ""),
            version=about.get("version", ""),
            teachers=about.get("teachers", {}),
            about=about.get("about", {}),
            steps=tuple(rows),
            models=about.get("models", {}),
            seed=about.get("seed", 0),
        )
