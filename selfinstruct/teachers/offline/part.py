"""A part that the offline teacher plays: it looks at what is asked, and answers when the output contract is its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from selfinstruct.teachers import Request
from selfinstruct.teachers.offline import faults
from selfinstruct.teachers.offline.family import Family
from selfinstruct.teachers.offline.faults import Draft


class Writer:
    """Makes the drafts of one completion from `families`, with wrong and malformed ones at the set rates."""

    def __init__(self, families: Sequence[Family], wrong: float, malformed: float) -> None:
        self.families = tuple(families)
        self.wrong = wrong
        self.malformed = malformed

    def drafts(self, n: int, rng: Random) -> list[Draft]:
        """`n` drafts, no family twice while there are others."""
        drafts: list[Draft] = []
        while len(drafts) < n:
            for family in rng.sample(self.families, min(n - len(drafts), len(self.families))):
                task = family.make(rng)
                draft = Draft.of(task)
                if rng.random() < self.wrong:
                    draft = replace(draft, output=faults.mistake(task, rng, family.labels))
                if rng.random() < self.malformed:
                    draft = faults.spoil(draft, drafts, rng)
                drafts.append(draft)
        return drafts

    def damaged(self, rng: Random) -> bool:
        """Whether the completion as a whole is damaged: a quarter as often as a task is."""
        return rng.random() < self.malformed / 4


@dataclass(frozen=True, slots=True)
class Asked:
    """What the teacher is asked. `text` is the whole prompt; `rng` derives from the request's key; `held` says that the
    answer is held to `request.schema`, so that only its values go wrong, never its shape.
    """

    request: Request
    text: str
    rng: Random
    writer: Writer
    held: bool

    @property
    def last(self) -> str:
        """The last message of the user; the whole prompt where there are no messages."""
        said = [message.content for message in self.request.messages if message.role == "user"]
        return said[-1] if said else self.text


class Answer(NamedTuple):
    """The text, and whether it was cut in the middle."""

    text: str
    cut: bool = False


Part = Callable[[Asked], Answer | None]  # None: this is not asked of me
