"""A model server on this machine, for tests and benchmarks: speaks the OpenAI and Anthropic formats over real
HTTP.

Behind it stands any teacher, or one canned answer of 200 words. It can be slow, and it can fail: which
attempt at which request fails, and how, depends only on the seed and the request, not on when it arrives. It
logs every completion it was paid for, so that a test can count what was paid twice. As a process of its own:

    python tests/loopback.py --port 0 --latency 0.05 --faults 429=0.1,cut=0.05 --log paid.jsonl

prints its address on the first line. In a test: `with Loopback(teacher) as server: ... server.url`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any, Self, TextIO

import orjson
from batch_server import Batches

from selfinstruct.sample import Message
from selfinstruct.teachers import Completion, Request, Teacher, Usage

WORDS = " ".join(f"word{i % 40}" for i in range(200))
CANNED = Completion(WORDS, "stop", Usage(100, 270), "canned")

# Faults that cost the caller money: a completion was made, and is logged as paid, though it arrives unusable
# or not at all.
PAID = (
    *("cut", "bad_json", "empty", "null", "no_choices", "length", "filter", "refusal", "drop", "loris"),
    *("usage_none", "usage_negative", "usage_text", "usage_huge"),  # a whole answer with a wrong bill
)
_USAGES: dict[str, Any] = {
    "usage_none": None,
    "usage_negative": -5,
    "usage_text": "many",
    "usage_huge": 10**15,
}
# The request is refused, or never answered, before any work: nothing is paid.
UNPAID = ("400", "401", "404", "429", "500", "502", "503", "529", "error200", "html", "hang", "reset")

_OPENAI_FINISH = {"stop": "stop", "length": "length", "filtered": "content_filter", "rejected": "stop"}
_ANTHROPIC_STOP = {"stop": "end_turn", "length": "max_tokens", "filtered": "refusal", "rejected": "end_turn"}
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}


class Loopback:
    """`latency` seconds an answer takes, spread lognormally by `sigma`. `faults`: share of attempts, by kind
    (PAID and UNPAID above); one request fails at most `worst` times. `retry_after`: header sent with 429, 503
    and 529, or several to be drawn from; `date+3` becomes the HTTP date in three seconds. `storm`: seconds from the
    first request on in which all are answered 429. `serial`: one answer is made at a time, the others queue. `script`:
    status, headers and body bytes for the next replies, before all else.

    `paid` lists the digest of each request whose completion was paid for, `bills` what it used; `asked` the digest of
    each attempt that arrived, `times` when (monotonic seconds); `wishes` when it asked to wait, and for how long.
    """

    def __init__(
        self,
        teacher: Teacher | None = None,
        *,
        port: int = 0,
        latency: float = 0.0,
        sigma: float = 0.0,
        faults: Mapping[str, float] | None = None,
        worst: int = 3,
        retry_after: str | Sequence[str] = "",
        storm: float = 0.0,
        serial: bool = False,
        seed: int = 0,
        log: Path | None = None,
    ) -> None:
        unknown = set(faults or ()) - {*PAID, *UNPAID}
        assert not unknown, f"unknown faults {unknown}"
        self.teacher = teacher
        self.latency = latency
        self.sigma = sigma
        self.faults = dict(faults or {})
        self.worst = worst
        self.retry_after = [retry_after] if isinstance(retry_after, str) else list(retry_after)
        self.storm = storm
        self._one = asyncio.Lock() if serial else contextlib.nullcontext()
        self.seed = seed
        self.port = port
        self.batches: Batches | None = None  # where it has batch APIs (batch_server.py)
        self.paid: list[str] = []
        self.bills: list[Usage] = []
        self.asked: list[str] = []
        self.times: list[float] = []
        self.wishes: list[tuple[float, str]] = []
        self.bodies: list[dict[str, Any]] = []  # what was sent; not kept in canned mode
        self.heads: list[dict[str, str]] = []
        self.script: list[tuple[int, dict[str, str], bytes]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._log: TextIO | None = log.open("a", encoding="utf-8") if log else None
        self._failed: Counter[str] = Counter()
        self._tries: Counter[str] = Counter()
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._canned = {
            path: _http(200, orjson.dumps(_shape(path, CANNED, "canned")))
            for path in ("/chat/completions", "/completions", "/messages")
        }

    # -- in a test: a thread with a loop of its own

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready.set)), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    async def _serve(self, ready: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, backlog=4096
        )
        self.port = server.sockets[0].getsockname()[1]
        ready()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._open):
            connection.transport.abort()
        await server.wait_closed()
        if self._log:
            self._log.close()

    async def run(self) -> None:
        """Serves until SIGINT or SIGTERM; prints the address when ready."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, lambda: self._stop.set())
        await self._serve(lambda: print(self.url, flush=True))  # noqa: T201

    # -- one request

    def handle(self, connection: _Connection, path: str, head: bytes, body: bytes) -> None:
        digest = hashlib.blake2b(body, digest_size=16).hexdigest()
        self.asked.append(digest)
        self.times.append(time.monotonic())
        endpoint = path.removeprefix("/v1")
        if self.script:
            self._keep(head, body)
            status, headers, answer = self.script.pop(0)
            return connection.send(_http(status, answer, headers))
        if self.batches is not None and re.match(r"/(messages/)?batches|/files", endpoint):
            task = self._loop.create_task(self._batch(connection, endpoint, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return None
        if endpoint not in self._canned:
            return connection.send(_error(404, f"no such path {path}"))
        fault = ""
        if self.storm and self.times[-1] - self.times[0] < self.storm:
            return connection.send(_error(429, "a storm", self._wish(random.Random(digest))))
        if self.faults or self.sigma:
            self._tries[digest] += 1
            connection.rng = random.Random(f"{self.seed}:{digest}:{self._tries[digest]}")
            fault = self._fault(connection.rng, digest)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if fault or self.teacher:
            self._keep(head, body)
            task = self._loop.create_task(self._answer(connection, endpoint, body, digest, fault))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        elif self.latency:
            self._loop.call_later(self._delay(connection), self._send_canned, connection, endpoint, digest)
        else:
            self._send_canned(connection, endpoint, digest)
        return None

    async def _batch(self, connection: _Connection, path: str, body: bytes) -> None:
        async def answer(endpoint: str, asked: dict[str, Any]) -> Completion:
            return await self.teacher.complete(_request(endpoint, asked)) if self.teacher else CANNED

        assert self.batches is not None
        reply = await self.batches.handle(answer, _shape, path, body)
        if reply is None:
            return connection.transport.abort()
        return connection.send(_http(*reply))

    def _keep(self, head: bytes, body: bytes) -> None:
        self.heads.append(_headers(head))
        self.bodies.append(orjson.loads(body or b"{}"))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.in_flight -= 1
        self._tasks.discard(task)

    def _send_canned(self, connection: _Connection, endpoint: str, digest: str) -> None:
        self.in_flight -= 1
        self._pay(digest, "")
        connection.send(self._canned[endpoint])

    def _delay(self, connection: _Connection) -> float:
        return self.latency * (connection.rng.lognormvariate(0.0, self.sigma) if self.sigma else 1.0)

    def _fault(self, rng: random.Random, digest: str) -> str:
        point = rng.random()
        for kind, share in sorted(self.faults.items()):
            point -= share
            if point < 0 and self._failed[digest] < self.worst:
                self._failed[digest] += 1
                return kind
        return ""

    def _pay(self, digest: str, fault: str) -> None:
        self.paid.append(digest)
        if self._log:
            self._log.write(json.dumps({"request": digest, "fault": fault}) + "\n")
            self._log.flush()  # the caller may be killed at any moment, and so may we

    async def _answer(
        self, connection: _Connection, endpoint: str, body: bytes, digest: str, fault: str
    ) -> None:
        if self.latency:
            async with self._one:
                await asyncio.sleep(self._delay(connection))
        if fault in UNPAID:
            return await self._refuse(connection, fault)
        asked = orjson.loads(body)
        completion = await self.teacher.complete(_request(endpoint, asked)) if self.teacher else CANNED
        self._pay(digest, fault)
        self.bills.append(completion.usage)
        value = _shape(endpoint, completion, str(asked.get("model")))
        if fault in ("empty", "null", "no_choices", "length", "filter", "refusal"):
            _spoil(value, endpoint, fault)
        if fault in _USAGES:
            value["usage"] = _USAGES[fault] and dict.fromkeys(value["usage"], _USAGES[fault])
        answer = orjson.dumps(value)
        if fault == "bad_json":
            answer = answer.replace(b":", b";", 1)
        whole = _http(200, answer)
        if fault == "drop":
            return connection.transport.abort()
        if fault == "cut":
            connection.transport.write(whole[: len(whole) - len(answer) // 2])
            return connection.transport.close()
        if fault == "loris":
            for i in range(len(whole)):
                connection.send(whole[i : i + 1])
                await asyncio.sleep(0.2)
            return None
        return connection.send(whole)

    async def _refuse(self, connection: _Connection, fault: str) -> None:
        if fault == "hang":
            await asyncio.sleep(3600)
        elif fault == "reset":
            connection.transport.abort()
        elif fault == "html":
            connection.send(
                _http(200, b"<html><body>Bad gateway</body></html>", {"content-type": "text/html"})
            )
        elif fault == "error200":
            connection.send(_error(200, "the model is busy"))
        else:
            wait = self._wish(connection.rng) if fault in ("429", "503", "529") else {}
            connection.send(_error(int(fault), f"injected {fault}", wait))

    def _wish(self, rng: random.Random) -> dict[str, str]:
        """The header that asks to wait, if any."""
        text = rng.choice(self.retry_after)
        self.wishes.append((time.monotonic(), text))
        if text.startswith("date"):
            text = formatdate(time.time() + float(text[4:]), usegmt=True)
        return {"retry-after": text} if text else {}


class _Connection(asyncio.Protocol):
    """One keep-alive connection; requests on it come one after the other."""

    transport: asyncio.Transport
    rng: random.Random

    def __init__(self, server: Loopback) -> None:
        self.server = server
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server._open.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        self.server._open.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end]
        lower = head.lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
        self.server.handle(self, head.split(b" ", 2)[1].decode("latin-1"), head, body)

    def send(self, reply: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(reply)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _http(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    lines = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}\r\n{head}\r\n".encode("latin-1") + body


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> bytes:
    body = {
        "type": "error",
        "error": {"message": message, "type": "server_error", "code": None, "param": None},
    }
    return _http(status, orjson.dumps(body), headers)


def _request(endpoint: str, body: Mapping[str, Any]) -> Request:
    """What the body asks, for the teacher behind. A seed takes the place of `draw`, which does not travel."""
    params = {
        k: v
        for k, v in body.items()
        if k not in ("model", "messages", "prompt", "system", "response_format", "output_config")
    }
    for theirs, ours in (("max_completion_tokens", "max_tokens"), ("stop_sequences", "stop")):
        if theirs in params:
            params[ours] = params.pop(theirs)
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    schema = schema or (body.get("output_config") or {}).get("format", {}).get("schema")
    messages = [Message(m["role"], m["content"]) for m in body.get("messages", ())]
    if body.get("system"):
        messages.insert(0, Message("system", body["system"]))
    text = body.get("prompt") if endpoint == "/completions" else None
    draw = int(params.pop("seed", 0))
    return Request(str(body.get("model")), tuple(messages), text, params, schema, draw)


def _shape(endpoint: str, done: Completion, model: str) -> dict[str, Any]:
    """The completion in the words of the endpoint's format."""
    used = done.usage
    if endpoint == "/messages":
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": done.text}],
            "stop_reason": _ANTHROPIC_STOP[done.finish_reason],
            "usage": {"input_tokens": used.input_tokens, "output_tokens": used.output_tokens},
        }
    choice: dict[str, Any] = {"index": 0, "finish_reason": _OPENAI_FINISH[done.finish_reason]}
    if endpoint == "/completions":
        choice["text"] = done.text
    else:
        choice["message"] = {"role": "assistant", "content": done.text, "refusal": done.refusal}
    return {
        "id": "1",
        "object": "text_completion" if endpoint == "/completions" else "chat.completion",
        "model": model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": used.input_tokens,
            "completion_tokens": used.output_tokens,
            "total_tokens": used.input_tokens + used.output_tokens,
        },
    }


def _spoil(value: dict[str, Any], endpoint: str, fault: str) -> None:
    if endpoint == "/messages":
        if fault == "length":
            value["stop_reason"] = "max_tokens"
        elif fault in ("filter", "refusal"):
            value |= {"stop_reason": "refusal", "content": []}
        else:
            value["content"] = None if fault == "no_choices" else []
        return
    choice = value["choices"][0]
    if fault == "no_choices":
        value["choices"] = []
    elif fault == "refusal" and endpoint != "/completions":
        choice["message"] |= {"content": None, "refusal": "I can't help with that."}
    elif fault in ("length", "filter", "refusal"):
        choice["finish_reason"] = {"length": "length"}.get(fault, "content_filter")
    else:
        holder, key = (choice, "text") if endpoint == "/completions" else (choice["message"], "content")
        holder[key] = "" if fault == "empty" else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds an answer takes")
    parser.add_argument("--sigma", type=float, default=0.0, help="lognormal spread of the latency")
    parser.add_argument("--faults", default="", help="kind=share,...")
    parser.add_argument("--worst", type=int, default=3, help="failures of one request at most")
    parser.add_argument("--retry-after", default="", help="header of 429, 503 and 529")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=None, help="JSONL of what was paid for")
    parser.add_argument(
        "--teacher", default="", help="who answers (as in a pipeline); without it one canned answer"
    )
    args = parser.parse_args()
    faults = {
        kind: float(share) for kind, _, share in (f.partition("=") for f in args.faults.split(",") if f)
    }
    teacher = None
    if args.teacher:
        from selfinstruct.teachers.connect import connect

        teacher = connect(args.teacher)
    server = Loopback(
        teacher,
        port=args.port,
        latency=args.latency,
        sigma=args.sigma,
        faults=faults,
        worst=args.worst,
        retry_after=args.retry_after,
        seed=args.seed,
        log=args.log,
    )
    asyncio.run(server.run())


if __name__ == "__main__":
    main()
