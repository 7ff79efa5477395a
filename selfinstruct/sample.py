"""Message and Sample, the one row that flows through every step, and the digest that names things."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, cast

from selfinstruct.errors import DataError

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant")
_GAP = "\n\n"  # between instruction and input inside one user message


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces and ASCII escapes: equal values give equal text, lone surrogates included."""
    return _CANONICAL.encode(value)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """128 bits of SHA-256 over the canonical JSON of `value`, as 32 hex digits."""
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise DataError(f"unknown role {self.role!r}", f"roles are {', '.join(ROLES)}")
        if not isinstance(self.content, str):
            raise DataError(f"the content of a message must be text, not {type(self.content).__name__}")


@dataclass(frozen=True, slots=True)
class Sample:
    """One row: a conversation, complete or still waiting for its answer.

    `rejected` is a losing last answer, so that one row serves SFT and preference training. `parents` are the ids
    of the rows it was made from. `id` is a digest of the content (messages, rejected), not of scores or meta.
    """

    messages: tuple[Message, ...]
    rejected: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    parents: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        instruction: str,
        input: str = "",
        output: str | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        parents: Iterable[str] = (),
    ) -> Self:
        """A one-turn sample from Alpaca's three fields; `output=None` leaves it waiting for an answer."""
        meta = {key: value for key, value in (meta or {}).items() if key != "input"}
        prompt = instruction
        if input:
            prompt += _GAP + input
            meta["input"] = input
        messages: tuple[Message, ...] = (Message("user", prompt),)
        if output is not None:
            messages += (Message("assistant", output),)
        return cls(messages, meta=meta, parents=tuple(parents))

    @property
    def id(self) -> str:
        return digest([[[m.role, m.content] for m in self.messages], self.rejected])

    @property
    def answered(self) -> bool:
        return bool(self.messages) and self.messages[-1].role == "assistant"

    @property
    def prompt(self) -> tuple[Message, ...]:
        """The conversation up to, not including, the last answer."""
        return self.messages[:-1] if self.answered else self.messages

    @property
    def output(self) -> str:
        """The last answer; empty while the sample waits for one."""
        return self.messages[-1].content if self.answered else ""

    @property
    def input(self) -> str:
        """Alpaca's input: kept in `meta`, and only true while the first user message still ends with it."""
        text = self.meta.get("input", "")
        return text if text and isinstance(text, str) and self._asked.endswith(_GAP + text) else ""

    @property
    def instruction(self) -> str:
        text = self.input
        return self._asked[: -len(_GAP + text)] if text else self._asked

    @property
    def _asked(self) -> str:
        return next((m.content for m in self.messages if m.role == "user"), "")

    def replace(self, **changes: Any) -> Self:
        return dataclasses.replace(self, **changes)

    def answer(self, text: str) -> Self:
        """The same conversation with `text` as its last answer; an earlier last answer is replaced."""
        return self.replace(messages=(*self.prompt, Message("assistant", text)))

    def score(self, **scores: float) -> Self:
        return self.replace(scores={**self.scores, **scores})

    def note(self, **meta: Any) -> Self:
        return self.replace(meta={**self.meta, **meta})

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values; `from_row` is its exact inverse."""
        return {
            "messages": [{"role": m.role, "content": m.content} for m in self.messages],
            "rejected": self.rejected,
            "scores": dict(self.scores),
            "meta": dict(self.meta),
            "parents": list(self.parents),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            messages=tuple(Message(cast(Role, m["role"]), m["content"]) for m in row["messages"]),
            rejected=row.get("rejected"),
            scores=row.get("scores") or {},
            meta=row.get("meta") or {},
            parents=tuple(row.get("parents") or ()),
        )


def transcript(messages: Iterable[Message]) -> str:
    """A conversation as one text, for a prompt that shows it."""
    return "\n\n".join(f"{message.role}: {message.content}" for message in messages)


def question(row: Sample, per: str | None = None) -> str:
    """Equal for rows that answer the same prompt; with `per`, for those with the same value under that key of `meta`
    (a row without one is like no other).
    """
    if per is None:
        return digest([[message.role, message.content] for message in row.prompt])
    return digest([row.meta[per]]) if per in row.meta else row.id


def rivals(rows: Iterable[Sample], per: str | None = None) -> list[list[Sample]]:
    """The rows of one `question` together, in the order in which they came."""
    found: dict[str, list[Sample]] = {}
    for row in rows:
        found.setdefault(question(row, per), []).append(row)
    return list(found.values())
