"""The providers' batch APIs on the wire: many requests handed in at once, answered within a day, at half the price.

OpenAI: https://platform.openai.com/docs/guides/batch; Anthropic: https://docs.anthropic.com/en/docs/build-with-claude/
batch-processing. A batch is handed in, looked at until it ends, and its rows are read in whatever state it ended; each
row is judged by the same rules as a reply of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import orjson

from selfinstruct.errors import TeacherError, TransientError
from selfinstruct.teachers import Completion, Request
from selfinstruct.teachers.endpoint import Endpoint
from selfinstruct.teachers.reply import Reply, complaint_of, encode, refusal
from selfinstruct.teachers.transport import Transport

LARGEST = 2**30  # bytes of one file of results
PAGE = 100  # batches in one listing
NEAR = 900.0  # seconds that a provider's clock may differ from ours, and a hand-over may take
_MARK = "selfinstruct"  # the metadata under which OpenAI keeps our mark


@dataclass(frozen=True)
class Progress:
    """How far a batch is. `said` are the provider's words about a batch that failed as a whole."""

    ended: bool
    done: int = 0
    total: int = 0
    said: str = ""
    files: tuple[str, ...] = ()  # where its rows are


@dataclass(frozen=True)
class Row:
    """The end of one request: a reply to be read, or the reason why there is none."""

    key: str
    reply: Reply | None
    why: str = ""


class Wire(Protocol):
    """One provider's batch API. `most` requests and `largest` bytes make a batch."""

    at: Endpoint
    most: int
    largest: int

    def line(self, key: str, request: Request) -> bytes: ...

    async def submit(self, mark: str, lines: Sequence[bytes]) -> str: ...

    async def find(self, mark: str, keys: frozenset[str], since: float, known: frozenset[str]) -> str | None:
        """The batch of these keys that was handed in at about `since`, if it arrived; none of those in `known`."""
        ...

    async def look(self, remote: str) -> Progress: ...

    async def rows(self, progress: Progress) -> list[Row]: ...

    def read(self, reply: Reply, request: Request) -> Completion: ...


class Asked(Protocol):
    """What a wire needs of its teacher."""

    at: Endpoint
    transport: Transport

    def body(self, request: Request) -> dict[str, Any]: ...

    def read(self, reply: Reply, request: Request) -> Completion: ...


@dataclass
class OpenAIBatches:
    """A file of requests, a batch that names it, a file of answers and one of errors."""

    teacher: Asked
    most: int = 50_000
    largest: int = 190 * 2**20
    at: Endpoint = field(init=False)

    def __post_init__(self) -> None:
        self.at = self.teacher.at

    def line(self, key: str, request: Request) -> bytes:
        url = "/v1/chat/completions" if request.text is None else "/v1/completions"
        body = self.teacher.body(request)
        return encode({"custom_id": key, "method": "POST", "url": url, "body": body}) + b"\n"

    async def submit(self, mark: str, lines: Sequence[bytes]) -> str:
        url = orjson.loads(lines[0])["url"]
        file = await self._upload(b"".join(lines), mark)
        order = {
            "input_file_id": file,
            "endpoint": url,
            "completion_window": "24h",
            "metadata": {_MARK: mark},
        }
        made = _object(await self.teacher.transport.post("/batches", encode(order), {}), self.at)
        return _text(made, "id", self.at)

    async def _upload(self, content: bytes, mark: str) -> str:
        reply = await self.teacher.transport.upload("/files", {"purpose": "batch"}, f"{mark}.jsonl", content)
        return _text(_object(reply, self.at), "id", self.at)

    async def find(self, mark: str, keys: frozenset[str], since: float, known: frozenset[str]) -> str | None:
        """The batch that bears the mark, if it was ever made."""
        after = ""
        while True:
            listing = _object(await self.teacher.transport.get(f"/batches?limit={PAGE}{after}"), self.at)
            found = _list(listing, "data")
            for batch in found:
                if (batch.get("metadata") or {}).get(_MARK) == mark:
                    return _text(batch, "id", self.at)
            if not found or not listing.get("has_more") or (found[-1].get("created_at") or 0) < since - 3_600:
                return None
            after = f"&after={_text(found[-1], 'id', self.at)}"

    async def look(self, remote: str) -> Progress:
        batch = _object(await self.teacher.transport.get(f"/batches/{_slug(remote)}"), self.at)
        counts = batch.get("request_counts") or {}
        errors = [str(each.get("message")) for each in _list(batch.get("errors") or {}, "data")]
        files = (batch.get("output_file_id"), batch.get("error_file_id"))
        return Progress(
            batch.get("status") in ("completed", "failed", "expired", "cancelled"),
            int(counts.get("completed") or 0) + int(counts.get("failed") or 0),
            int(counts.get("total") or 0),
            self.at.quote("; ".join(errors)),
            tuple(f"/files/{_slug(file)}/content" for file in files if isinstance(file, str) and file),
        )

    async def rows(self, progress: Progress) -> list[Row]:
        """All rows of both files, in every state that a batch can end in."""
        return [
            row for path in progress.files for line in await _lines(self, path) for row in self._row(line)
        ]

    def _row(self, line: Mapping[str, Any]) -> Iterator[Row]:
        key, response, error = line.get("custom_id"), line.get("response"), line.get("error")
        if not isinstance(key, str):
            return
        status = response.get("status_code") if isinstance(response, dict) else None
        if (
            isinstance(response, dict)
            and isinstance(status, int)
            and status
            and response.get("body") is not None
        ):
            yield Row(key, Reply(status, {}, orjson.dumps(response["body"])))
        else:
            said = complaint_of(error if isinstance(error, dict) else {}).message if error else ""
            code = str((error or {}).get("code") or "") if isinstance(error, dict) else ""
            yield Row(
                key, None, self.at.quote(" ".join(word for word in (code, said) if word)) or "no answer"
            )

    def read(self, reply: Reply, request: Request) -> Completion:
        return self.teacher.read(reply, request)


@dataclass
class AnthropicBatches:
    """A batch is one request that holds them all. It bears no mark: one whose answer was lost is known by its time,
    its size and, once it has ended, its ids.
    """

    teacher: Asked
    most: int = 100_000
    largest: int = 240 * 2**20
    at: Endpoint = field(init=False)

    def __post_init__(self) -> None:
        self.at = self.teacher.at
        self._path = (
            "/messages/batches" if self.at.url.rstrip("/").endswith("/v1") else "/v1/messages/batches"
        )

    def line(self, key: str, request: Request) -> bytes:
        return encode({"custom_id": key, "params": self.teacher.body(request)})

    async def submit(self, mark: str, lines: Sequence[bytes]) -> str:
        body = b'{"requests":[' + b",".join(lines) + b"]}"
        return _text(
            _object(await self.teacher.transport.post(self._path, body, _HEADERS), self.at), "id", self.at
        )

    async def find(self, mark: str, keys: frozenset[str], since: float, known: frozenset[str]) -> str | None:
        """By time and size; by the ids of its rows where it has ended. Raises TransientError when several at work could
        be the one.
        """
        working, after = [], ""
        while True:
            listing = _object(await self._get(f"{self._path}?limit={PAGE}{after}"), self.at)
            found = _list(listing, "data")
            for batch in found:
                total = sum(int(n or 0) for n in (batch.get("request_counts") or {}).values())
                remote = _text(batch, "id", self.at)
                near = abs(_moment(batch.get("created_at")) - since) <= NEAR
                if remote in known or total != len(keys) or not near:
                    continue
                progress = await self.look(remote)
                if not progress.ended:
                    working.append(remote)
                elif {row.key for row in await self.rows(progress)} & keys:
                    return remote
            if (
                not found
                or not listing.get("has_more")
                or _moment(found[-1].get("created_at")) < since - NEAR
            ):
                break
            after = f"&after_id={_text(found[-1], 'id', self.at)}"
        if len(working) > 1:
            raise TransientError(
                f"{self.at.identity}: {len(working)} batches at work could be the one that was handed in",
                "wait until they have ended: then they are told apart by their rows",
            )
        return working[0] if working else None

    async def look(self, remote: str) -> Progress:
        batch = _object(await self._get(f"{self._path}/{_slug(remote)}"), self.at)
        counts = {name: int(n or 0) for name, n in (batch.get("request_counts") or {}).items()}
        ended = batch.get("processing_status") == "ended"
        total = sum(counts.values())
        files = (f"{self._path}/{_slug(remote)}/results",) if ended else ()
        return Progress(ended, total - counts.get("processing", 0), total, "", files)

    async def rows(self, progress: Progress) -> list[Row]:
        return [
            row for path in progress.files for line in await _lines(self, path) for row in self._row(line)
        ]

    def _row(self, line: Mapping[str, Any]) -> Iterator[Row]:
        key, result = line.get("custom_id"), line.get("result")
        if not isinstance(key, str):
            return
        result = result if isinstance(result, dict) else {}
        kind = str(result.get("type"))
        if kind == "succeeded" and isinstance(result.get("message"), dict):
            yield Row(key, Reply(200, {}, orjson.dumps(result["message"])))
        elif kind == "errored":
            error = result.get("error")
            inner = error.get("error", error) if isinstance(error, dict) else {}
            status = _STATUS.get(str(inner.get("type")), 500) if isinstance(inner, dict) else 500
            yield Row(key, Reply(status, {}, orjson.dumps({"error": inner})))
        else:
            yield Row(key, None, kind)

    async def _get(self, path: str) -> Reply:
        return await self.teacher.transport.get(path, headers=_HEADERS)

    def read(self, reply: Reply, request: Request) -> Completion:
        return self.teacher.read(reply, request)


_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "overloaded_error": 529,
}
_HEADERS = {"anthropic-version": "2023-06-01"}


def _object(reply: Reply, at: Endpoint) -> dict[str, Any]:
    """The JSON object of a good reply. Raises TransientError or TeacherError, by the rules of any reply."""
    if not 200 <= reply.status < 300:
        refused = refusal(reply, Request(at.identity), at)
        raise TeacherError(
            f"{at.identity}: the batch is refused: {refused.refusal}", "the provider will say so again"
        )
    try:
        value = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise TransientError(f"{at.identity}: what came back about a batch is not JSON", in_doubt=True)
    return value


async def _lines(wire: OpenAIBatches | AnthropicBatches, path: str) -> list[dict[str, Any]]:
    """The JSON objects of a file of results; a line that is none is passed over, and its request is asked again."""
    headers = _HEADERS if isinstance(wire, AnthropicBatches) else {}
    reply = await wire.teacher.transport.get(path, headers=headers, largest=LARGEST)
    if not 200 <= reply.status < 300:
        refusal(reply, Request(wire.at.identity), wire.at)
        raise TransientError(f"{wire.at.identity}: the results of a batch can't be had (HTTP {reply.status})")
    found = []
    for line in reply.body.splitlines():
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _list(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = value.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _text(value: Mapping[str, Any], name: str, at: Endpoint) -> str:
    found = value.get(name)
    if not isinstance(found, str) or not found:
        raise TransientError(f"{at.identity}: what came back about a batch has no {name}", in_doubt=True)
    return found


def _slug(remote: str) -> str:
    """An id as a part of an address: nothing in it leads elsewhere."""
    return re.sub(r"[^\w-]", "_", remote)


def _moment(text: Any) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0
