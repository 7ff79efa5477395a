"""The OpenAI wire format: api.openai.com, and every server that speaks it (vLLM, Ollama, llama.cpp...)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from selfinstruct.errors import TeacherError, TransientError
from selfinstruct.teachers import Completion, FinishReason, Request, Usage
from selfinstruct.teachers.batches import OpenAIBatches
from selfinstruct.teachers.capabilities import OPENAI, UNKNOWN, Dropped, capabilities
from selfinstruct.teachers.endpoint import Endpoint
from selfinstruct.teachers.headers import Heard, rooms_of
from selfinstruct.teachers.reply import (
    EmptyAnswerError,
    Reply,
    clean,
    complaint_of,
    count,
    encode,
    guessed,
    payload,
)
from selfinstruct.teachers.transport import Direct, Official, Transport

URL = "https://api.openai.com/v1"
KEY_ENV = "OPENAI_API_KEY"
_RAW_TOKENS = 1024  # /completions stops after 16 tokens unless told otherwise
_OURS = frozenset({"n", "stream"})  # one answer, whole: independent answers differ in `draw`

FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
    "max_tokens": "length",
    "repetition": "length",
    "content_filter": "filtered",
}


class OpenAITeacher:
    """One model behind `/chat/completions` (`Request.messages`) or `/completions` (`Request.text`).

    `at.own` picks the way: a plain post to an address of one's own, the official SDK to OpenAI's. Of a model
    that is not one of OpenAI's nothing is known: every parameter goes through, and whether its server can do
    `structured` and `raw` is what the user says.
    """

    def __init__(
        self,
        name: str,
        at: Endpoint,
        *,
        structured: bool | None = None,
        raw: bool | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.name = name
        self.at = at
        self.model = at.identity
        known = capabilities(OPENAI, name, UNKNOWN) if at.own else capabilities(OPENAI, name)
        self._known = known
        self.structured = known.structured if structured is None else structured
        self.raw = known.raw if raw is None else raw
        self.package = "" if at.own else "openai"
        self.heard: Heard = lambda room: None  # told how much room the provider's limits leave
        self._dropped = Dropped(self.model)
        self.transport = transport or (
            Direct(at, _bearer) if at.own else Official(at, "openai", "AsyncOpenAI")
        )

    async def complete(self, request: Request) -> Completion:
        body = self.body(request)
        path = "/chat/completions" if request.text is None else "/completions"
        reply = await self.transport.post(path, encode(body), {})
        for room in rooms_of(reply.headers):
            self.heard(room)
        return read(reply, request, self.at)

    def read(self, reply: Reply, request: Request) -> Completion:
        """A reply that came another way: as a row of a batch."""
        return read(reply, request, self.at)

    @property
    def batches(self) -> OpenAIBatches:
        return OpenAIBatches(self)

    async def close(self) -> None:
        await self.transport.close()

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent for a request, on its own or in a batch."""
        params, left_out = self._known.split(request.params)
        left_out |= _OURS & params.keys()
        self._dropped.tell(left_out)
        body = {name: value for name, value in params.items() if name not in _OURS}
        body["model"] = self.name
        if request.text is not None:
            if not self.raw:
                raise TeacherError(f"{self.model} does not continue plain text", "it answers messages only")
            body["prompt"] = request.text
            body.setdefault("max_tokens", _RAW_TOKENS)
        else:
            body["messages"] = [{"role": m.role, "content": m.content} for m in request.messages]
            if "max_tokens" in body:
                body[self._known.tokens] = body.pop("max_tokens")
        if isinstance(body.get("seed"), int):  # one seed for all draws would give one answer for all draws
            body["seed"] += request.draw
        if request.schema is not None:
            if not self.structured:
                raise TeacherError(
                    f"{self.model} is not known to hold to a JSON schema",
                    "if this server can, say so: structured: true",
                )
            body["response_format"] = _response_format(request.schema)
        return body


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", str(schema.get("title", "answer")))[:64]
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "schema": schema, "strict": _closed(schema)},
    }


def _closed(schema: Any) -> bool:
    """Whether every object in the schema is closed and has only required properties, as strict mode asks."""
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict) and (
        schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(properties)
    ):
        return False
    return all(map(_closed, schema.values()))


def read(reply: Reply, request: Request, at: Endpoint) -> Completion:
    """A Completion from a reply of `/chat/completions` or `/completions`; raises TransientError or
    TeacherError.
    """
    value = payload(reply, request, at)
    if isinstance(value, Completion):
        return value
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise _useless(value, f"{at.identity}: the answer holds no choice")
    if choice.get("error"):  # OpenRouter: the provider behind it failed after the 200 was sent
        said = at.quote(complaint_of(choice).message)
        raise _useless(value, f"{at.identity}: failed while answering: {said}")
    message = choice if request.text is not None else choice.get("message")
    if not isinstance(message, dict):
        raise _useless(value, f"{at.identity}: the answer holds no message")
    text = clean(_joined(message.get("text" if request.text is not None else "content")))
    finish = FINISH.get(str(choice.get("finish_reason")))
    if finish is None:
        raise _useless(
            value, f"{at.identity}: the answer ended for no known reason ({choice.get('finish_reason')!r})"
        )
    refused = message.get("refusal")
    if isinstance(refused, str) and refused:
        finish = "filtered"
    completion = Completion(
        text,
        finish,
        usage_of(value.get("usage")) or guessed(request, text),
        clean(str(value.get("model") or "")),
        clean(refused) if isinstance(refused, str) and refused else None,
    )
    if not text and finish == "stop" and request.text is None and not request.params.get("stop"):
        raise EmptyAnswerError(f"{at.identity}: the answer is empty", completion)
    return completion


def _useless(value: Mapping[str, Any], message: str) -> TransientError:
    """An answer that can't be used, and was made: it is billed as it says, or nobody knows."""
    used = usage_of(value.get("usage"))
    return TransientError(message, billed=used, in_doubt=used is None)


def _joined(content: Any) -> str:
    """Text, or the texts of a list of parts."""
    if isinstance(content, list):
        return "".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return content if isinstance(content, str) else ""


def usage_of(value: Any) -> Usage | None:
    """OpenAI's `usage` and its relatives; None if the two totals are not there.

    `prompt_tokens` includes cached tokens (DeepSeek names those `prompt_cache_hit_tokens`).
    `completion_tokens` includes reasoning, but for servers (xAI) that count it only in `total_tokens`.
    """
    if not isinstance(value, dict):
        return None
    sent, got = count(value.get("prompt_tokens")), count(value.get("completion_tokens"))
    if sent is None or got is None:
        return None
    prompt, completion = (
        details if isinstance(details := value.get(f"{side}_tokens_details"), dict) else {}
        for side in ("prompt", "completion")
    )
    reasoning = count(completion.get("reasoning_tokens")) or 0
    if reasoning and count(value.get("total_tokens")) == sent + got + reasoning:
        got += reasoning
    cached = count(prompt.get("cached_tokens")) or count(value.get("prompt_cache_hit_tokens")) or 0
    written = count(prompt.get("cache_write_tokens")) or 0
    cached = min(cached, sent)
    return Usage(sent, got, cached, min(written, sent - cached), min(reasoning, got))
