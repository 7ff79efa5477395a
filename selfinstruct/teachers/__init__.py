"""What a teacher is asked (`Request`), what it answers (`Completion`), and how one is opened (`connect`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self, runtime_checkable

from selfinstruct.sample import Message, digest

FinishReason = Literal["stop", "length", "filtered", "rejected"]


@dataclass(frozen=True, slots=True)
class Request:
    """One question, rendered. Its digest is the key that its completion is filed under.

    `model` names model and endpoint. Either `messages` (chat) or `text` (raw completion) is set. `params` are sampling
    parameters in the OpenAI spelling (temperature, top_p, max_tokens, stop, seed...). `schema` is a JSON schema that
    the answer must follow. `draw` tells independent answers to one question apart.
    """

    model: str
    messages: tuple[Message, ...] = ()
    text: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    draw: int = 0

    @property
    def key(self) -> str:
        return digest(self.to_row())

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        messages = tuple(Message(role, content) for role, content in row["messages"])
        return cls(row["model"], messages, row["text"], row["params"], row["schema"], row["draw"])

    def to_row(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": [[m.role, m.content] for m in self.messages],
            "text": self.text,
            "params": dict(self.params),
            "schema": self.schema,
            "draw": self.draw,
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens billed. `input_tokens` includes cached ones; `output_tokens` includes hidden reasoning."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. `finish_reason`: stop (ended by itself), length (cut at max_tokens), filtered (the provider's
    filter), rejected (the provider refuses this very request for good, e.g. too long; `refusal` says why).
    `refusal` is the provider's own refusal text, where it has such a field. `model` is what the provider says answered,
    `key` the request that it answers, set once it is filed.
    """

    text: str
    finish_reason: FinishReason = "stop"
    usage: Usage = Usage()
    model: str = ""
    refusal: str | None = None
    key: str = ""


@runtime_checkable
class Teacher(Protocol):
    """A model that answers. It never retries, caches or parses: `run.generate` does the first two, steps the third.

    `model` is the identity that enters the request key: provider, name and, for a server of one's own, the endpoint.
    `structured`: it can be held to a JSON schema. `raw`: it continues plain text (`Request.text`).
    """

    model: str
    structured: bool
    raw: bool

    async def complete(self, request: Request) -> Completion:
        """One attempt. Raises TransientError (worth another attempt) or TeacherError (not)."""
        ...

    async def close(self) -> None: ...
