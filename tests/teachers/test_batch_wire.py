"""The batch APIs on the wire, by the plain way and by the official SDKs, against a server on this machine."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import orjson
import pytest
from batch_server import Batches
from loopback import Loopback
from test_transport import KEY, WAYS, open_teacher

from selfinstruct.errors import TeacherError, TransientError
from selfinstruct.sample import Message
from selfinstruct.teachers import Request
from selfinstruct.teachers.batches import LARGEST, AnthropicBatches, OpenAIBatches, Progress, Wire
from selfinstruct.teachers.offline import OfflineTeacher

REQUESTS = [Request("m", (Message("user", f"question {i}"),), params={"max_tokens": 50}) for i in range(3)]

KEYS = frozenset(request.key for request in REQUESTS)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(OfflineTeacher()) as server:
        server.batches = Batches(looks=0)
        yield server


def through(way: str, server: Loopback, work: object) -> object:
    async def whole() -> object:
        teacher = open_teacher(way, server)
        try:
            return await work(teacher.batches)  # type: ignore[operator, attr-defined]
        finally:
            await teacher.close()

    return asyncio.run(whole())


@pytest.mark.parametrize("way", WAYS)
def test_handed_in_found_looked_at_and_read(server: Loopback, way: str) -> None:
    async def work(wire: Wire) -> None:
        lines = [wire.line(request.key, request) for request in REQUESTS]
        remote = await wire.submit("a-mark", lines)
        assert await wire.find("a-mark", KEYS, time.time(), frozenset()) == remote
        progress = await wire.look(remote)
        assert (progress.ended, progress.total) == (True, 3)
        rows = await wire.rows(progress)
        assert {row.key for row in rows} == {request.key for request in REQUESTS}
        for row, request in zip(
            sorted(rows, key=lambda row: row.key), sorted(REQUESTS, key=lambda r: r.key), strict=True
        ):
            assert row.reply is not None
            completion = wire.read(row.reply, request)
            assert completion.finish_reason == "stop"
            assert completion.usage.output_tokens > 0

    through(way, server, work)
    assert server.batches is not None
    assert len(server.batches.submitted) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_that_was_never_made_is_not_found(server: Loopback, way: str) -> None:
    async def work(wire: Wire) -> None:
        remote = await wire.submit("mine", [wire.line(request.key, request) for request in REQUESTS])
        if isinstance(wire, OpenAIBatches):
            assert await wire.find("another", KEYS, time.time(), frozenset()) is None
        else:  # by its size, by what is known already, by its time and by its rows
            assert await wire.find("mine", KEYS | {"one more"}, time.time(), frozenset()) is None
            assert await wire.find("mine", KEYS, time.time(), frozenset({remote})) is None
            assert await wire.find("mine", KEYS, time.time() + 10_000, frozenset()) is None
            strangers = frozenset(f"{i}" * 32 for i in range(3))
            assert await wire.find("mine", strangers, time.time(), frozenset()) is None

    through(way, server, work)


def test_what_a_line_holds() -> None:
    with Loopback() as server:
        one, two = open_teacher("openai", server), open_teacher("anthropic", server)
        line = orjson.loads(one.batches.line("key", REQUESTS[0]))  # type: ignore[attr-defined]
        assert (line["custom_id"], line["method"], line["url"]) == ("key", "POST", "/v1/chat/completions")
        assert line["body"]["messages"] == [{"role": "user", "content": "question 0"}]
        line = orjson.loads(two.batches.line("key", REQUESTS[0]))  # type: ignore[attr-defined]
        assert line["params"]["max_tokens"] == 50
        assert one.batches.most == 50_000  # type: ignore[attr-defined]
        assert two.batches.most == 100_000  # type: ignore[attr-defined]


@pytest.mark.parametrize("way", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"error": {"message": f"bad key {KEY}"}}, TeacherError),
        (
            400,
            {"error": {"message": "billing hard limit reached", "code": "billing_hard_limit_reached"}},
            TeacherError,
        ),
        (429, {"error": {"message": "slow down"}}, TransientError),
        (500, {"error": {"message": "broken"}}, TransientError),
        (200, [1], TransientError),
        (200, {"no": "id"}, TransientError),
    ],
)
def test_a_refused_batch(
    server: Loopback, way: str, status: int, body: object, error: type[Exception]
) -> None:
    server.script = [(status, {"content-type": "application/json"}, json.dumps(body).encode())]

    async def work(wire: Wire) -> None:
        await wire.submit("mark", [wire.line(REQUESTS[0].key, REQUESTS[0])])

    with pytest.raises(error) as refused:
        through(way, server, work)
    assert KEY not in str(refused.value)


def test_the_words_of_a_batch_that_failed_as_a_whole() -> None:
    with Loopback(OfflineTeacher()) as server:
        server.batches = Batches("failed", looks=0)

        async def work(wire: Wire) -> Progress:
            return await wire.look(await wire.submit("mark", [wire.line(REQUESTS[0].key, REQUESTS[0])]))

        progress = through("openai", server, work)
    assert isinstance(progress, Progress)
    assert (progress.ended, progress.said, progress.files) == (True, "enqueued token limit reached", ())


def test_an_id_leads_nowhere_else(server: Loopback) -> None:
    async def work(wire: OpenAIBatches | AnthropicBatches) -> None:
        with pytest.raises(TeacherError, match="404"):
            await wire.look("../../files/x?y=")
        assert LARGEST == 2**30

    with Loopback() as plain:
        plain.script = [(404, {}, b"{}")] * 2
        through("openai", plain, work)
        through("anthropic", plain, work)
