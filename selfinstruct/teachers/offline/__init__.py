"""The offline teacher: procedural, embedded, deterministic; no key, no network, no GPU.

It is not a language model. It knows families of verifiable tasks, each in several wordings, and computes the answers.
It writes such tasks in the formats that the recipes ask for, answers them, and judges answers by recomputing them. It
errs and writes malformed material at set rates, so that filters and judges have work. It is good for trying out, for
tests and for verifiable data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

from selfinstruct.errors import ConfigError
from selfinstruct.teachers import Completion, FinishReason, Request, Usage
from selfinstruct.teachers.offline import (
    alpaca,
    backtranslate,
    cot_self_instruct,
    dialogue,
    evol,
    ground,
    judge,
    magpie,
    openings,
    orca,
    persona,
    preference,
    reasoning,
    self_instruct,
    translate,
)
from selfinstruct.teachers.offline.catalog import FAMILIES, SETS, check, choose, solve, tasks
from selfinstruct.teachers.offline.family import Family, Task
from selfinstruct.teachers.offline.part import Asked, Part, Writer
from selfinstruct.teachers.offline.respond import respond

__all__ = ["FAMILIES", "SETS", "Family", "OfflineTeacher", "Task", "check", "solve", "tasks"]

_TOKEN = 4  # characters a token, the usual rule of thumb for English
# Asked in this order; what is none of theirs is a task to be answered.
_PARTS: tuple[Part, ...] = (
    evol.compared,
    evol.improved,
    evol.evolved,
    alpaca.continued,
    judge.graded,
    magpie.continued,
    magpie.tagged,
    backtranslate.found,
    backtranslate.rated,
    persona.written,
    persona.imagined,
    translate.turned,
    preference.rated,
    preference.compared,
    preference.ranked,
    self_instruct.classified,
    self_instruct.instances,
    self_instruct.instructions,
    alpaca.as_json,
    ground.pairs,
    cot_self_instruct.planned,
    reasoning.reasoned,
    openings.listed,
    dialogue.transcript,
    dialogue.user,
    orca.explained,
)


class OfflineTeacher:
    """A teacher that computes instead of predicting.

    Args:
        families: which tasks it writes: `all`, `drills`, a family's name, or several. It solves and judges all.
        wrong: share of wrong answers, 0 to 1; as a judge it exchanges right and wrong at a quarter of this rate.
        faults: share of malformed tasks and verdicts, 0 to 1; whole completions are damaged at a quarter of it.
        latency: seconds that each answer takes.
        structured: it follows a JSON schema; otherwise it is only asked to.
        seed: another seed, other answers.

    Everything random derives from `seed` and the request's key; there is no state between requests. Usage is an
    estimate of one token for four characters, and `max_tokens` is held by the same measure.

    Raises:
        ConfigError: an unknown family, a rate outside 0 to 1, a negative latency.
    """

    about = (
        "The offline teacher is a procedural generator of verifiable tasks that computes their answers, "
        "with wrong and malformed ones mixed in at a set rate; it is not a language model."
    )
    raw = True

    def __init__(
        self,
        *,
        families: str | Sequence[str] = "all",
        wrong: float = 0.08,
        faults: float = 0.08,
        latency: float = 0.0,
        structured: bool = False,
        seed: int = 0,
    ) -> None:
        for name, rate in (("wrong", wrong), ("faults", faults)):
            if not 0 <= rate <= 1:
                raise ConfigError(f"offline teacher: {name} is {rate}", f"{name} is a share between 0 and 1")
        if latency < 0:
            raise ConfigError(f"offline teacher: latency is {latency}", "latency is in seconds, 0 or more")
        self.structured = structured
        self.latency = latency
        self.seed = seed
        self._writer = Writer(choose(families), wrong, faults)
        named = families if isinstance(families, str) else "+".join(families)
        options: dict[str, tuple[Any, Any]] = {
            "families": (named, "all"),
            "wrong": (wrong, 0.08),
            "faults": (faults, 0.08),
            "structured": (structured, False),
            "seed": (seed, 0),
        }
        changed = ",".join(f"{name}={value}" for name, (value, usual) in options.items() if value != usual)
        self.model = f"offline/{changed}" if changed else "offline"

    async def complete(self, request: Request) -> Completion:
        """The answer to `request`; never raises, whatever the prompt holds."""
        if self.latency:
            await asyncio.sleep(self.latency)
        asked = request.text if request.text is not None else "\n\n".join(m.content for m in request.messages)
        text, cut = self._answer(request, asked, Random(f"{self.seed}:{request.key}"))
        text, cut = _limited(text, cut, request)
        return Completion(
            text=text,
            finish_reason=_finish(cut),
            usage=Usage(input_tokens=_tokens(asked), output_tokens=_tokens(text)),
            model=self.model,
        )

    async def close(self) -> None:
        """Nothing to close."""

    def _answer(self, request: Request, asked: str, rng: Random) -> tuple[str, bool]:
        """The text, and whether it was cut in the middle. The prompt's output contract tells the part."""
        held = self.structured and request.schema is not None
        question = Asked(request, asked, rng, self._writer, held)
        for part in _PARTS:
            answer = part(question)
            if answer is not None:
                return answer
        return respond(question), False


def _tokens(text: str) -> int:
    return (len(text) + _TOKEN - 1) // _TOKEN


def _finish(cut: bool) -> FinishReason:
    return "length" if cut else "stop"


def _limited(text: str, cut: bool, request: Request) -> tuple[str, bool]:
    """`text` ended where a real endpoint would end it: at the first stop string, or at `max_tokens`."""
    stops = request.params.get("stop") or ()
    found = [text.find(stop) for stop in ([stops] if isinstance(stops, str) else stops) if stop in text]
    if found:
        text, cut = text[: min(found)], False
    limit = request.params.get("max_tokens") or request.params.get("max_completion_tokens")
    if limit and _tokens(text) > limit:
        text, cut = text[: int(limit) * _TOKEN], True
    return text, cut
