"""Both ways to a server, over real HTTP on this machine: the plain post and the official SDKs."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from loopback import CANNED, WORDS, Loopback

from selfinstruct.errors import TeacherError, TransientError
from selfinstruct.sample import Message
from selfinstruct.teachers import Completion, Request, Teacher
from selfinstruct.teachers import transport as transport_module
from selfinstruct.teachers.anthropic import AnthropicTeacher
from selfinstruct.teachers.endpoint import Endpoint
from selfinstruct.teachers.offline import OfflineTeacher
from selfinstruct.teachers.openai import OpenAITeacher
from selfinstruct.teachers.transport import Official

KEY = "sk-loopback-0123456789"
ASKED = Request("m", (Message("user", "hi"),), params={"max_tokens": 50})
WAYS = ("openai", "anthropic", "openai sdk", "anthropic sdk")


def open_teacher(way: str, server: Loopback) -> Teacher:
    provider, _, sdk = way.partition(" ")
    if sdk:
        pytest.importorskip(provider)
    url = server.url if provider == "openai" else server.root
    at = Endpoint(f"{provider}/x", url, "LOOPBACK_KEY", own=True)
    if provider == "openai":
        return OpenAITeacher("x", at, transport=Official(at, provider, "AsyncOpenAI") if sdk else None)
    return AnthropicTeacher("x", at, transport=Official(at, provider, "AsyncAnthropic") if sdk else None)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


def using(teacher: Teacher, work: Callable[[], Awaitable[Completion]]) -> Completion:
    async def whole() -> Completion:
        try:
            return await work()
        finally:
            await teacher.close()

    return asyncio.run(whole())


def ask(teacher: Teacher, request: Request = ASKED) -> Completion:
    return using(teacher, lambda: teacher.complete(request))


@pytest.mark.parametrize("way", WAYS)
def test_an_answer(way: str, server: Loopback) -> None:
    done = ask(open_teacher(way, server))
    assert (done.text, done.finish_reason, done.usage, done.model) == (WORDS, "stop", CANNED.usage, "canned")
    assert len(server.paid) == 1


def test_raw_text(server: Loopback) -> None:
    assert ask(open_teacher("openai", server), Request("m", text="Once")).text == WORDS


@pytest.mark.parametrize("way", WAYS)
def test_the_request_carries_the_key_and_json(way: str, server: Loopback) -> None:
    server.script = [(400, {}, b'{"error": {"message": "stop here"}}')]
    with pytest.raises(TeacherError, match="stop here"):
        ask(open_teacher(way, server))
    (head,) = server.heads
    assert head["authorization"] == f"Bearer {KEY}"
    assert head["content-type"] == "application/json"
    assert ("anthropic-version" in head) is way.startswith("anthropic")
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "fault",
    ["429", "500", "502", "503", "529", "error200", "html", "reset", "drop", "cut", "bad_json", "no_choices"],
)
def test_one_attempt_fails_the_next_succeeds(way: str, fault: str) -> None:
    with Loopback(faults={fault: 1.0}, worst=1, retry_after="7") as server:
        teacher = open_teacher(way, server)

        async def twice() -> Completion:
            with pytest.raises(TransientError) as caught:
                await teacher.complete(ASKED)
            assert len(server.asked) == 1  # nobody retried behind our back
            assert caught.value.retry_after == (7.0 if fault in ("429", "503", "529") else None)
            assert caught.value.overloaded is (fault in ("429", "503", "529"))
            assert KEY not in str(caught.value)
            return await teacher.complete(ASKED)

        assert using(teacher, twice).text == WORDS
        assert len(server.asked) == 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", ["empty", "null"])
def test_an_empty_answer(way: str, fault: str) -> None:
    with Loopback(faults={fault: 1.0}) as server, pytest.raises(TransientError, match="empty"):
        ask(open_teacher(way, server))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("fault", "finish"), [("length", "length"), ("filter", "filtered")])
def test_answers_that_are_marked(way: str, fault: str, finish: str) -> None:
    with Loopback(faults={fault: 1.0}) as server:
        assert ask(open_teacher(way, server)).finish_reason == finish


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", ["400", "401", "404"])
def test_refusals(way: str, fault: str) -> None:
    with (
        Loopback(faults={fault: 1.0}) as server,
        pytest.raises(TeacherError, match=f"HTTP {fault}") as caught,
    ):
        ask(open_teacher(way, server))
    assert not isinstance(caught.value, TransientError)


@pytest.mark.parametrize("way", WAYS)
def test_a_key_echoed_by_the_server_goes_no_further(way: str, server: Loopback) -> None:
    server.script = [(401, {}, json.dumps({"error": {"message": f"Incorrect API key: {KEY}"}}).encode())]
    teacher = open_teacher(way, server)
    with pytest.raises(TeacherError, match=r"Incorrect API key: \[key\]") as caught:
        ask(teacher)
    assert KEY not in repr(caught.value)
    assert caught.value.__context__ is None  # an SDK's exception would hold the request, and so the key
    assert KEY not in repr(vars(teacher))


@pytest.mark.parametrize("way", WAYS)
def test_redirects_are_not_followed(way: str, server: Loopback) -> None:
    server.script = [(307, {"location": f"{server.root}/elsewhere"}, b"")]
    with pytest.raises(TeacherError, match="redirects to"):
        ask(open_teacher(way, server))
    assert len(server.asked) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", ["hang", "loris"])
def test_a_deadline_from_outside_ends_an_attempt(way: str, fault: str) -> None:
    with Loopback(faults={fault: 1.0}, worst=1) as server:
        teacher = open_teacher(way, server)

        async def in_time() -> Completion:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await teacher.complete(ASKED)
            return await teacher.complete(ASKED)  # and the teacher is still good

        assert using(teacher, in_time).text == WORDS


@pytest.mark.parametrize("way", WAYS)
def test_nobody_there(way: str, server: Loopback) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server.port, kept = unused.getsockname()[1], server.port
        teacher = open_teacher(way, server)
        server.port = kept
    with pytest.raises(TransientError, match=r"http://127\.0\.0\.1:\d+.*"):
        ask(teacher)


def test_nobody_there_is_said_plainly(server: Loopback) -> None:
    at = Endpoint("openai/x@box", "http://127.0.0.1:1/v1", own=True)
    with pytest.raises(
        TransientError, match=r"nothing answers at http://127.0.0.1:1/v1 \(connection refused\)"
    ) as caught:
        ask(OpenAITeacher("x", at))
    assert "start the server" in caught.value.hint


def test_an_endless_answer_is_cut_off(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "LARGEST_REPLY", 1000)
    with pytest.raises(TeacherError, match="one answer of over"):
        ask(open_teacher("openai", server))


def test_many_requests_share_one_session() -> None:
    with Loopback(latency=0.05) as server:
        teacher = open_teacher("openai", server)

        async def burst() -> Completion:
            asked = [Request("m", (Message("user", str(i)),)) for i in range(150)]
            answers = await asyncio.gather(*map(teacher.complete, asked))
            assert len(answers) == 150
            return answers[0]

        using(teacher, burst)
        assert server.most_in_flight == 150  # aiohttp's own limit would be 100


def test_a_closed_teacher_opens_again(server: Loopback) -> None:
    teacher = open_teacher("openai", server)
    assert ask(teacher) == ask(teacher)


def test_faults_depend_on_the_request_not_on_its_arrival() -> None:
    asked = [Request("m", (Message("user", str(i)),)) for i in range(60)]

    def failures(order: list[Request]) -> set[str]:
        with Loopback(faults={"500": 0.2, "cut": 0.1}, seed=3) as server:
            teacher = open_teacher("openai", server)
            failed = set()

            async def work() -> Completion:
                for request in order:
                    try:
                        await teacher.complete(request)
                    except TransientError as error:
                        failed.add(f"{request.messages[0].content} {error.message}")
                return CANNED

            using(teacher, work)
            return {name.replace(str(server.port), "") for name in failed}

    first = failures(asked)
    assert first == failures(asked[::-1])
    assert 5 < len(first) < 40


@pytest.mark.parametrize("way", ["openai", "anthropic"])
def test_a_teacher_behind_the_loopback(way: str) -> None:
    behind = OfflineTeacher()
    asked = Request(
        "x", (Message("system", "Be brief."), Message("user", "What is 2 + 3?")), params={"max_tokens": 50}
    )
    with Loopback(behind) as server:
        done = ask(open_teacher(way, server), asked)
    direct = asyncio.run(behind.complete(asked))
    assert (done.text, done.finish_reason, done.usage) == (direct.text, direct.finish_reason, direct.usage)


def test_the_loopback_as_a_process_logs_what_was_paid(tmp_path: Path) -> None:
    log = tmp_path / "paid.jsonl"
    script = Path(__file__).parents[1] / "loopback.py"
    command = [
        sys.executable,
        str(script),
        "--latency",
        "0.01",
        "--faults",
        "429=1",
        "--worst",
        "1",
        "--log",
        str(log),
    ]
    environment = {**os.environ, "PYTHONPATH": str(script.parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        teacher = OpenAITeacher("x", Endpoint("openai/x", process.stdout.readline().strip(), own=True))

        async def twice() -> Completion:
            with pytest.raises(TransientError):
                await teacher.complete(ASKED)
            await teacher.complete(ASKED)
            return await teacher.complete(ASKED)

        assert using(teacher, twice).text == WORDS
        process.terminate()
        assert process.wait() == 0
    paid = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["fault"] for row in paid] == ["", ""]
    assert len({row["request"] for row in paid}) == 1  # the same request, paid twice


@pytest.mark.parametrize("way", WAYS)
def test_a_key_that_a_server_repeats_goes_no_further(way: str) -> None:
    """In the answer, the model's name, the refusal, the reason it ended for, an error's words and its parameter."""
    openai = {
        "model": KEY,
        "choices": [{"finish_reason": "stop", "message": {"content": f"it is {KEY}", "refusal": None}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
    anthropic = {
        "model": KEY,
        "content": [{"type": "text", "text": f"it is {KEY}"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    good = openai if way.startswith("openai") else anthropic
    refused = json.loads(json.dumps(good))
    odd = json.loads(json.dumps(good))
    if way.startswith("openai"):
        refused["choices"][0]["message"] = {"content": None, "refusal": f"not with {KEY}"}
        odd["choices"][0]["finish_reason"] = f"bad {KEY}"
    else:
        refused |= {"stop_reason": "refusal", "stop_details": {"explanation": f"not with {KEY}"}}
        odd["stop_reason"] = f"bad {KEY}"
    error = {"error": {"message": f"no such {KEY}", "type": "invalid_request_error", "param": KEY}}
    said = []
    for status, body in ((200, good), (200, refused), (200, odd), (400, error), (200, "x" * 190 + KEY)):
        with Loopback() as server:
            server.script = [(status, {"content-type": "application/json"}, json.dumps(body).encode())]
            teacher = open_teacher(way, server)
            try:
                said.append(repr(using(teacher, lambda teacher=teacher: teacher.complete(ASKED))))  # type: ignore[misc]
            except (TeacherError, TransientError) as trouble:
                said.append(f"{trouble.message} {trouble.hint}")
    assert len(said) == 5
    assert "[key]" in said[0]
    assert not [text for text in said if KEY in text or KEY[:12] in text]
