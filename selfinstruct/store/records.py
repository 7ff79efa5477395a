"""What lies in a run's file, as values."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from selfinstruct.sample import Sample
from selfinstruct.teachers import Completion, Request, Usage

Way = Literal["realtime", "batch"]
Outcome = Literal["answered", "empty", "failed", "doubt"]


class Filed(NamedTuple):
    """A completion as it lies in the store; `cost_nano` is what it took, failed attempts included, and None when its
    price was unknown.
    """

    completion: Completion
    cost_nano: int | None
    seconds: float


class Attempt(NamedTuple):
    """A request about to be sent: the intent, on disk before the first byte leaves. `sent` is in seconds since 1970,
    `reserved_nano` the most that it can cost (None: no known price), `price` names the price table.
    """

    key: str
    step: str
    role: str
    model: str
    sent: float
    reserved_nano: int | None
    reserved_tokens: int
    price: str
    way: Way = "realtime"


class Settled(NamedTuple):
    """How an attempt ended. `answered`: its answer is on file. `empty`: billed, and nothing usable came. `failed`: not
    billed. `doubt`: it may have been billed, nobody knows; so it counts with what was reserved.
    """

    outcome: Outcome
    seconds: float
    usage: Usage = Usage()
    cost_nano: int | None = 0
    detail: str = ""


class Drop(NamedTuple):
    reason: str
    detail: dict[str, Any]
    sample: Sample | str


class Batch(NamedTuple):
    """A batch at a provider, as the journal has it. `mark` is our name for it, `remote` the provider's, once known;
    `state`: `intent` (about to be handed in), `sent`, `read` (all that it brought is on file), `void` (there is none).
    """

    n: int
    model: str
    mark: str
    requests: tuple[Request, ...]
    remote: str
    state: str
    sent: float


class Station(NamedTuple):
    """A row as step `n` kept it, or dropped it (`drop`)."""

    n: int
    pos: int
    id: str
    sample: Sample
    drop: Drop | None


class StepRecord(NamedTuple):
    n: int
    name: str
    options: dict[str, Any]
    fingerprint: str
    came: int
    made: int
    seconds: float
    facts: dict[str, Any]
    done: bool


class Spent(NamedTuple):
    """What a set of completions used. `priced_nano` is the cost of those that had a known price; `doubt_nano` is the
    part of it that nobody knows to be billed: the reservations of attempts whose answer never arrived.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    priced_nano: int
    unpriced: int
    doubt_nano: int = 0

    @property
    def cost_nano(self) -> int | None:
        """The cost, or None when one of them had no known price."""
        return None if self.unpriced else self.priced_nano


class Booked(NamedTuple):
    """What the ledger says was spent: attempts in doubt, and those whose process died, count with what was reserved."""

    nano: int
    tokens: int
