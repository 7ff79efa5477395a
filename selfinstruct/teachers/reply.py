"""What came back over HTTP, before it is believed. Both wire formats and both transports pass through here.

A provider's answer is a status, headers and bytes; nothing else of an SDK gets past. Here are told apart: an
answer to be read further, a failure that another attempt may mend (TransientError), a request that this
provider refuses for good (a Completion `rejected` or `filtered`, filed like any answer), and a mistake in
setup (TeacherError).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from selfinstruct.errors import TeacherError, TransientError
from selfinstruct.teachers import Completion, Request, Usage
from selfinstruct.teachers.endpoint import Endpoint
from selfinstruct.teachers.headers import wait_of


@dataclass(frozen=True, slots=True)
class Reply:
    """`headers` is case-insensitive, or has lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class EmptyAnswerError(TransientError):
    """The provider answered, and billed, nothing. `completion` is what to file if every attempt ends so."""

    def __init__(self, message: str, completion: Completion) -> None:
        super().__init__(message, "the provider sent no text; another attempt may bring one")
        self.completion = completion


@dataclass(frozen=True, slots=True)
class Complaint:
    """The provider's own words about a failure, from the shapes they come in."""

    message: str
    kind: str = ""  # OpenAI `type`, Anthropic `error.type`
    code: str = ""
    param: str = ""


_MOST_TOKENS = 10**9  # in one answer; beyond it a number is no count

# A 429 is judged by its code alone: the words of a plain rate limit speak of quota and billing pages too.
_QUOTA = re.compile(r"insufficient_quota|billing_(?:hard_limit|not_active)|access_terminated")
_NO_MONEY = re.compile(
    r"billing|credit balance|insufficient (?:credits|funds|balance)|payment required", re.I
)
_TOO_LONG = re.compile(
    r"context_length_exceeded|string_above_max_length|request_too_large|maximum (?:context|model) length"
    r"|context (?:length|window|size)|prompt is too long|too many (?:input )?tokens|input (?:is )?too long"
    r"|maximum prompt length|max_model_len|reduce the length",
    re.I,
)
_NO_ROOM = re.compile(r"(?:context|model) length (?:is|of) (\d+)", re.I)
_CONTENT = re.compile(
    r"content_policy_violation|content_filter|policy_violation|invalid_prompt|content management policy"
    r"|content filter|usage polic|safety system|violat\w{1,9} .{0,40}polic|was flagged",
    re.I,
)
_THIS_REQUEST = re.compile(r"^(?:messages|prompt)(?:$|[.\[:])", re.I)
_WRONG_PARAMETER = re.compile(
    r"unsupported|unknown_parameter|unrecognized|extra inputs|does not support", re.I
)


def encode(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # a lone surrogate: legal in Python and JSON, not in UTF-8
        return json.dumps(body).encode("ascii")


def payload(reply: Reply, request: Request, at: Endpoint) -> dict[str, Any] | Completion:
    """The JSON object of a good answer, or what a refusal of this very request is filed as.

    Raises TransientError or TeacherError for all else.
    """
    if not 200 <= reply.status < 300:
        return refusal(reply, request, at)
    value = _decoded(reply.body)
    if not isinstance(value, dict):
        head = reply.body[:200].lstrip()
        if head.startswith(b"<"):
            raise TransientError(
                f"{at.identity}: a web page came back instead of an answer ({at.shown})",
                "if it stays so, base_url is wrong: it usually ends in /v1",
                in_doubt=True,
            )
        said = at.quote(_text(head))
        raise TransientError(f"{at.identity}: the answer is not JSON, or was cut: {said!r}", in_doubt=True)
    if value.get("error") or value.get("object") == "error" or value.get("type") == "error":
        complaint = complaint_of(value)
        status = int(complaint.code) if re.fullmatch(r"[45]\d\d", complaint.code) else _status_of(complaint)
        return refusal(Reply(status, reply.headers, reply.body), request, at)
    return value


def refusal(reply: Reply, request: Request, at: Endpoint) -> Completion:
    """What a reply with an error status means; returns only for a refusal of this very request."""
    value = _decoded(reply.body)
    if isinstance(value, dict):
        complaint = complaint_of(value)
    else:
        complaint = Complaint("" if reply.body[:200].lstrip().startswith(b"<") else _text(reply.body[:2000]))
    words = f"{complaint.kind} {complaint.code} {complaint.message}"
    said = clean(at.quote(complaint.message)) or "no explanation"
    where = f"{at.identity}: HTTP {reply.status}"
    status = reply.status
    broke = _QUOTA.search(f"{complaint.kind} {complaint.code}") if status == 429 else _NO_MONEY.search(words)
    if status == 402 or (broke and status in (400, 403, 429)):
        raise TeacherError(
            f"{where}: {said}", "the account has no credit left: add some, or take another provider"
        )
    if status in (408, 409, 425, 429) or (status >= 500 and status not in (501, 505)):
        raise TransientError(
            f"{where}: {said}",
            retry_after=wait_of(reply.headers),
            overloaded=status in (429, 503, 529) or "overloaded" in complaint.kind,
        )
    if 300 <= status < 400:
        target = at.quote(reply.headers.get("location", "elsewhere"))
        raise TeacherError(
            f"{where}: {at.shown} redirects to {target}", "write the final address as base_url"
        )
    if status in (400, 403, 413, 422):
        answer = _about_this_request(status, complaint, words, said, request, where)
        if answer is not None:
            return answer
    raise TeacherError(f"{where}: {said}", _mend(status, complaint, at, request))


def _about_this_request(
    status: int, complaint: Complaint, words: str, said: str, request: Request, where: str
) -> Completion | None:
    if _CONTENT.search(words):
        return Completion("", "filtered", refusal=said)
    if status == 413 or _TOO_LONG.search(words):
        limit, asked = _NO_ROOM.search(words), request.params.get("max_tokens")
        if limit and isinstance(asked, int) and asked >= int(limit[1]):
            raise TeacherError(
                f"{where}: {said}", f"max_tokens: {asked} leaves no room for a prompt; lower it"
            )
        return Completion("", "rejected", refusal=said)
    about = complaint.param or complaint.message
    if status != 403 and _THIS_REQUEST.match(about) and not _WRONG_PARAMETER.search(words):
        return Completion("", "rejected", refusal=said)
    return None


_OURS = {"max_completion_tokens": "max_tokens", "max_output_tokens": "max_tokens", "stop_sequences": "stop"}
_SCHEMA = re.compile(r"response_format|json_schema|output_config|output_format")


def _mend(status: int, complaint: Complaint, at: Endpoint, request: Request) -> str:
    if status in (401, 403):
        return at.key_hint
    if status == 404:
        address = f" and the address (base_url: {at.shown})" if at.own else ""
        return f"check the model's name{address}"
    words = f"{complaint.param} {complaint.message}"
    if request.schema is not None and _SCHEMA.search(words):
        return "it can't be held to a JSON schema: `structured: false`"
    named = [_OURS.get(word, word) for word in re.findall(r"[a-z_]{3,40}", words)]
    if wrong := next((word for word in named if word in request.params), complaint.param):
        return f"leave it out: `params: {{{wrong}: null}}`"
    return "the provider will say the same to every request of this kind"


def complaint_of(value: Mapping[str, Any]) -> Complaint:
    """From the shapes of OpenAI, Anthropic, vLLM (flat), Ollama (a string) and FastAPI (`detail`)."""
    error = value.get("error") or value
    if isinstance(error, str):
        return Complaint(error)
    if not isinstance(error, dict):
        return Complaint(str(error))
    message = error.get("message") or error.get("detail") or ""
    return Complaint(
        message if isinstance(message, str) else json.dumps(message),
        *(str(error.get(name) or "") for name in ("type", "code", "param")),
    )


def _status_of(complaint: Complaint) -> int:
    """An error inside a 200 has lost its status: some are known by their type, the rest may pass."""
    words = f"{complaint.kind} {complaint.code}"
    for name, status in (
        ("authentication", 401),
        ("invalid_api_key", 401),
        ("permission", 403),
        ("not_found", 404),
        ("invalid_request", 400),
        ("insufficient_quota", 429),
        ("rate_limit", 429),
        ("overloaded", 529),
    ):
        if name in words:
            return status
    return 500


def count(value: Any) -> int | None:
    """A number of tokens, or None if it is no such thing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if 0 <= value < _MOST_TOKENS and value == int(value) else None


def guessed(request: Request, text: str) -> Usage:
    """For a provider that sends no usage: a token for three bytes, which is on the high side for every
    script, so that no budget is outrun by what went unreported.
    """
    sent = request.text or "".join(m.content for m in request.messages)
    return Usage(_tokens(sent), _tokens(text))


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // 3)


def clean(text: str) -> str:
    """Lone surrogates (legal in JSON, not in UTF-8) become the replacement character."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:  # orjson is stricter than JSON about surrogates
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
