"""The Anthropic wire format: what is sent, what is read, and golden exchanges against the SDK's own models."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.errors import TeacherError, TransientError
from selfinstruct.sample import Message
from selfinstruct.teachers import Completion, Request, Usage
from selfinstruct.teachers.anthropic import AnthropicTeacher, read, usage_of
from selfinstruct.teachers.endpoint import Endpoint
from selfinstruct.teachers.reply import EmptyAnswerError, Reply

CLOUD = Endpoint("anthropic/claude-haiku-4-5", "https://api.anthropic.com", "TEST_KEY")
OWN = Endpoint("anthropic/qwen@localhost:8000", "http://localhost:8000", own=True)
CHAT = Request("m", (Message("system", "Be brief."), Message("user", "hi")))
RECORDED = Path(__file__).parents[3] / "shared/data/permissive/http/recorded_exchanges.jsonl.gz"


class Recorder:
    """A transport that keeps what it is given."""

    path = ""

    def __init__(self) -> None:
        self.body: dict[str, Any] = {}
        self.headers: dict[str, str] = {}

    async def post(self, path: str, body: bytes, headers: Any) -> Reply:
        self.path, self.body, self.headers = path, json.loads(body), dict(headers)
        return Reply(200, {}, json.dumps(message()).encode())

    async def get(
        self, path: str, *, headers: Mapping[str, str] | None = None, largest: int | None = None
    ) -> Reply:
        raise AssertionError("nothing is fetched")

    async def upload(self, path: str, fields: Mapping[str, str], name: str, content: bytes) -> Reply:
        raise AssertionError("nothing is uploaded")

    async def close(self) -> None: ...


def message(**changes: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 9, "output_tokens": 3},
        **changes,
    }


def answer(value: dict[str, Any], request: Request = CHAT) -> Completion:
    return read(Reply(200, {}, json.dumps(value).encode()), request, CLOUD)


def sent(params: dict[str, Any], name: str = "claude-haiku-4-5", **more: Any) -> Recorder:
    recorder = Recorder()
    teacher = AnthropicTeacher(name, CLOUD, transport=recorder)
    asyncio.run(teacher.complete(Request("m", more.pop("messages", CHAT.messages), params=params, **more)))
    return recorder


def test_an_answer() -> None:
    assert answer(message()) == Completion("Hello.", "stop", Usage(9, 3), "claude-haiku-4-5-20251001")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "filtered"),
    ],
)
def test_stop_reasons(reason: str, expected: str) -> None:
    assert answer(message(stop_reason=reason)).finish_reason == expected


@pytest.mark.parametrize("reason", [None, "abort", "?"])
def test_an_unknown_end_is_not_taken_for_a_good_one(reason: str | None) -> None:
    with pytest.raises(TransientError, match="no known reason"):
        answer(message(stop_reason=reason))


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "May enable harm."}
    done = answer(message(stop_reason="refusal", content=[], stop_details=details))
    assert (done.text, done.finish_reason, done.refusal) == ("", "filtered", "May enable harm.")
    assert answer(message(stop_reason="refusal", stop_details={"category": "bio"})).refusal == "bio"
    assert answer(message(stop_reason="refusal")).refusal == "refused"


def test_thinking_is_not_text() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    assert answer(message(content=blocks)).text == "ab"


@pytest.mark.parametrize("blocks", [[], [{"type": "text", "text": ""}], [{"type": "text"}], [None]])
def test_an_empty_answer_is_worth_another_attempt_but_was_paid(blocks: Any) -> None:
    with pytest.raises(EmptyAnswerError) as caught:
        answer(message(content=blocks))
    assert caught.value.completion.usage == Usage(9, 3)


def test_nothing_before_a_stop_sequence_is_an_answer() -> None:
    assert answer(message(content=[], stop_reason="stop_sequence")).text == ""


@pytest.mark.parametrize("content", [None, "text", {"type": "text"}])
def test_no_content_is_no_answer(content: Any) -> None:
    with pytest.raises(TransientError, match="holds no content"):
        answer(message(content=content))


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # input_tokens leaves out what was read from or written to the cache
        (
            {
                "input_tokens": 50,
                "cache_read_input_tokens": 1920,
                "cache_creation_input_tokens": 248,
                "output_tokens": 503,
                "output_tokens_details": {"thinking_tokens": 400},
            },
            Usage(2218, 503, 1920, 248, 400),
        ),
        ({"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": None}, Usage(5, 1)),
        ({"input_tokens": 5}, None),
        ({"input_tokens": -5, "output_tokens": 1}, None),
        (None, None),
    ],
)
def test_usage(usage: Any, expected: Usage | None) -> None:
    assert usage_of(usage) == expected


def test_what_is_sent() -> None:
    post = sent({"temperature": 0.7, "max_tokens": 64, "stop": "\n\n"})
    assert post.path == "/v1/messages"
    assert post.headers == {"anthropic-version": "2023-06-01"}
    assert post.body == {
        "model": "claude-haiku-4-5",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 64,
        "temperature": 0.7,
        "stop_sequences": ["\n\n"],
    }


def test_newer_models_take_no_sampling_parameters(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "selfinstruct"):
        post = sent({"temperature": 0.7, "top_p": 0.9, "top_k": 5, "max_tokens": 64}, "claude-opus-5-5")
    assert set(post.body) == {"model", "system", "messages", "max_tokens"}
    assert post.headers == {"anthropic-version": "2026-10-21"}
    assert [r.getMessage() for r in caplog.records] == [
        "anthropic/claude-haiku-4-5: left out temperature, top_k, top_p, which this model does not take"
    ]


def test_of_temperature_and_top_p_only_one_is_sent() -> None:
    post = sent({"temperature": 0.7, "top_p": 0.9})
    assert "temperature" in post.body
    assert "top_p" not in post.body


def test_what_the_api_never_had_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "selfinstruct"):
        post = sent(
            {"seed": 1, "presence_penalty": 1, "logit_bias": {"1": 2}, "temperature": 1.5, "made_up": 1}
        )
    assert post.body["temperature"] == 1.0
    assert set(post.body) == {"model", "system", "messages", "max_tokens", "temperature"}
    told = " ".join(r.getMessage() for r in caplog.records)
    assert all(
        name in told for name in ("seed", "presence_penalty", "logit_bias", "temperature above 1", "made_up")
    )


def test_max_tokens_is_always_sent() -> None:
    assert sent({}).body["max_tokens"] == 4096
    assert sent({}, "claude-sonnet-5-5").body["max_tokens"] == 16384


def test_effort_and_schema_share_the_output_config() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    post = sent({"reasoning_effort": "low"}, "claude-sonnet-5-5", schema=schema)
    assert post.body["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": schema},
    }
    assert "output_config" not in sent({"reasoning_effort": "minimal"}, "claude-sonnet-5-5").body
    assert "output_config" not in sent({"reasoning_effort": "low"}, "claude-haiku-4-5").body


def test_what_it_can_do() -> None:
    assert AnthropicTeacher("claude-haiku-5-5", CLOUD).structured
    assert not AnthropicTeacher("claude-3-haiku-20240307", CLOUD).structured
    assert not AnthropicTeacher("qwen", OWN).structured
    assert AnthropicTeacher("qwen", OWN, structured=True).structured
    teacher = AnthropicTeacher("qwen", OWN)
    for request, words in (
        (Request("m", text="x"), "plain text"),
        (Request("m", CHAT.messages, schema={}), "schema"),
    ):
        with pytest.raises(TeacherError, match=words):
            asyncio.run(teacher.complete(request))


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded exchanges (../shared/data) are not here")
def test_recorded_exchanges() -> None:
    """The messages of a real batch, read as Anthropic's own SDK reads them."""
    sdk = pytest.importorskip("anthropic.types")
    with gzip.open(RECORDED, "rt", encoding="utf-8") as lines:
        exchanges = [json.loads(line) for line in lines]
    results = [e["response_body"] for e in exchanges if e["uri"].endswith("/results")]
    messages = [json.loads(line)["result"]["message"] for text in results for line in text.splitlines()]
    for value in messages:
        done, theirs = answer(value), sdk.Message.model_validate(value)
        assert done.text == "".join(block.text for block in theirs.content if block.type == "text")
        assert done.finish_reason == "stop"
        assert (theirs.stop_reason, done.model) == ("end_turn", theirs.model)
        assert (done.usage.input_tokens, done.usage.output_tokens) == (
            theirs.usage.input_tokens,
            theirs.usage.output_tokens,
        )
    assert len(messages) == 3
