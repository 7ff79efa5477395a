"""The Anthropic wire format: api.anthropic.com, and servers that speak it (vLLM has `/v1/messages`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfinstruct.errors import TeacherError, TransientError
from selfinstruct.teachers import Completion, FinishReason, Request, Usage
from selfinstruct.teachers.batches import AnthropicBatches
from selfinstruct.teachers.capabilities import ANTHROPIC, Dropped, capabilities
from selfinstruct.teachers.endpoint import Endpoint
from selfinstruct.teachers.headers import Heard, rooms_of
from selfinstruct.teachers.reply import EmptyAnswerError, Reply, clean, count, encode, guessed, payload
from selfinstruct.teachers.transport import Direct, Official, Transport

URL = "https://api.anthropic.com"
KEY_ENV = "ANTHROPIC_API_KEY"
# 2026-10-21 took the sampling parameters out of the API: models that still have them are asked in the version
# before.
_VERSION = "2026-10-21"
_VERSION_WITH_SAMPLING = "2023-06-01"
_MAX_TOKENS = 4096  # the API insists on a number; room for a long answer
_MAX_TOKENS_THINKING = 16384  # newer models think, and the thinking counts
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_SENT_AS_IS = ("temperature", "top_p", "top_k", "thinking", "service_tier", "metadata")

FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "refusal": "filtered",
}


class AnthropicTeacher:
    """One model behind `/v1/messages`. `at.own` picks the way, as for OpenAITeacher."""

    raw = False

    def __init__(
        self, name: str, at: Endpoint, *, structured: bool | None = None, transport: Transport | None = None
    ) -> None:
        self.name = name
        self.at = at
        self.model = at.identity
        self._known = capabilities(ANTHROPIC, name)
        self.structured = self._known.structured if structured is None else structured
        self.package = "" if at.own else "anthropic"
        self.heard: Heard = lambda room: None  # told how much room the provider's limits leave
        self._dropped = Dropped(self.model)
        self._path = "/messages" if at.url.rstrip("/").endswith("/v1") else "/v1/messages"
        sampling = "temperature" not in self._known.refused
        self._headers = {"anthropic-version": _VERSION_WITH_SAMPLING if sampling else _VERSION}
        self._max_tokens = _MAX_TOKENS if sampling else _MAX_TOKENS_THINKING
        self.transport = transport or (
            Direct(at, _keys) if at.own else Official(at, "anthropic", "AsyncAnthropic")
        )

    async def complete(self, request: Request) -> Completion:
        reply = await self.transport.post(self._path, encode(self.body(request)), self._headers)
        for room in rooms_of(reply.headers):
            self.heard(room)
        return read(reply, request, self.at)

    def read(self, reply: Reply, request: Request) -> Completion:
        """A reply that came another way: as a row of a batch."""
        return read(reply, request, self.at)

    @property
    def batches(self) -> AnthropicBatches:
        return AnthropicBatches(self)

    async def close(self) -> None:
        await self.transport.close()

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent for a request, on its own or in a batch."""
        if request.text is not None:
            raise TeacherError(f"{self.model} does not continue plain text", "it answers messages only")
        params, left_out = self._known.split(request.params)
        self._dropped.tell(left_out)
        body: dict[str, Any] = {
            "model": self.name,
            "max_tokens": params.pop("max_tokens", self._max_tokens),
            "messages": [
                {"role": m.role, "content": m.content} for m in request.messages if m.role != "system"
            ],
        }
        system = "\n\n".join(m.content for m in request.messages if m.role == "system")
        if system:
            body["system"] = system
        stop = params.pop("stop", None)
        if stop:
            body["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
        output: dict[str, Any] = {}
        effort = params.pop("reasoning_effort", None)
        if effort in _EFFORTS:
            output["effort"] = effort
        elif effort is not None:
            self._dropped.tell(["reasoning_effort"], f"takes {', '.join(_EFFORTS)} here")
        if request.schema is not None:
            if not self.structured:
                raise TeacherError(
                    f"{self.model} is not known to hold to a JSON schema",
                    "if this server can, say so: structured: true",
                )
            output["format"] = {"type": "json_schema", "schema": request.schema}
        if output:
            body["output_config"] = output
        body |= {name: params.pop(name) for name in _SENT_AS_IS if name in params}
        if body.get("temperature", 0) > 1:
            body["temperature"] = 1.0  # the top of this API's range, half of OpenAI's
            self._dropped.tell(["temperature above 1"], "is this API's highest")
        self._dropped.tell(params, "this API does not have")
        return body


def _keys(key: str) -> dict[str, str]:
    """Both spellings: the API's first, which gateways look for, and the one its SDKs send since 2026."""
    return {"x-api-key": key, "authorization": f"Bearer {key}"} if key else {}


def read(reply: Reply, request: Request, at: Endpoint) -> Completion:
    """A Completion from a reply of `/v1/messages`; raises TransientError or TeacherError."""
    value = payload(reply, request, at)
    if isinstance(value, Completion):
        return value
    blocks = value.get("content")
    if not isinstance(blocks, list):
        raise _useless(value, f"{at.identity}: the answer holds no content")
    text = clean(
        "".join(
            b["text"]
            for b in blocks
            if isinstance(b, dict) and b.get("type") == "text" and isinstance(b.get("text"), str)
        )
    )
    reason = value.get("stop_reason")
    finish = FINISH.get(str(reason))
    if finish is None:
        raise _useless(value, f"{at.identity}: the answer ended for no known reason ({reason!r})")
    completion = Completion(
        text,
        finish,
        usage_of(value.get("usage")) or guessed(request, text),
        clean(str(value.get("model") or "")),
        _why(value.get("stop_details")) if finish == "filtered" else None,
    )
    if not text and finish == "stop" and reason != "stop_sequence":
        raise EmptyAnswerError(f"{at.identity}: the answer is empty", completion)
    return completion


def _useless(value: Mapping[str, Any], message: str) -> TransientError:
    """An answer that can't be used, and was made: it is billed as it says, or nobody knows."""
    used = usage_of(value.get("usage"))
    return TransientError(message, billed=used, in_doubt=used is None)


def _why(details: Any) -> str:
    details = details if isinstance(details, dict) else {}
    return clean(str(details.get("explanation") or details.get("category") or "refused"))


def usage_of(value: Any) -> Usage | None:
    """Anthropic's `usage`; None if the two totals are not there. Its `input_tokens` are the fresh ones only:
    what was read from and written to the cache is added.
    """
    if not isinstance(value, dict):
        return None
    fresh, got = count(value.get("input_tokens")), count(value.get("output_tokens"))
    if fresh is None or got is None:
        return None
    cached = count(value.get("cache_read_input_tokens")) or 0
    written = count(value.get("cache_creation_input_tokens")) or 0
    details = value.get("output_tokens_details")
    thought = count(details.get("thinking_tokens")) if isinstance(details, dict) else None
    return Usage(fresh + cached + written, got, cached, written, min(thought or 0, got))
