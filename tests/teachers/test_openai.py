"""The OpenAI wire format: what is sent, what is read, and golden exchanges against the SDK's own models."""

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
from selfinstruct.teachers.endpoint import Endpoint
from selfinstruct.teachers.openai import OpenAITeacher, read, usage_of
from selfinstruct.teachers.reply import EmptyAnswerError, Reply

CLOUD = Endpoint("openai/gpt-4o-mini", "https://api.openai.com/v1", "TEST_KEY")
OWN = Endpoint("openai/qwen@localhost:8000", "http://localhost:8000/v1", own=True)
CHAT = Request("m", (Message("system", "Be brief."), Message("user", "hi")))
RAW = Request("m", text="Once upon")
RECORDED = Path(__file__).parents[3] / "shared/data/permissive/http/recorded_exchanges.jsonl.gz"


class Recorder:
    """A transport that keeps what it is given."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.path = ""
        self.body: dict[str, Any] = {}

    async def post(self, path: str, body: bytes, headers: Any) -> Reply:
        self.path, self.body = path, json.loads(body)
        return Reply(200, {}, json.dumps(self.answer).encode())

    async def get(
        self, path: str, *, headers: Mapping[str, str] | None = None, largest: int | None = None
    ) -> Reply:
        raise AssertionError("nothing is fetched")

    async def upload(self, path: str, fields: Mapping[str, str], name: str, content: bytes) -> Reply:
        raise AssertionError("nothing is uploaded")

    async def close(self) -> None: ...


def chat(**changes: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    return {"model": "gpt-4o-mini-2024-07-18", "choices": [choice], "usage": usage, **changes}


def choice(finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    return chat(choices=[{"finish_reason": finish, "message": {"content": "Hello.", **message}}])


def answer(value: dict[str, Any], request: Request = CHAT, at: Endpoint = CLOUD) -> Completion:
    return read(Reply(200, {}, json.dumps(value).encode()), request, at)


def body(
    request: Request, name: str = "gpt-4o-mini", at: Endpoint = CLOUD, **options: Any
) -> tuple[str, dict[str, Any]]:
    recorder = Recorder(
        chat() if request.text is None else chat(choices=[{"text": "x", "finish_reason": "stop"}])
    )
    teacher = OpenAITeacher(name, at, transport=recorder, **options)
    asyncio.run(teacher.complete(request))
    return recorder.path, recorder.body


def test_an_answer() -> None:
    assert answer(chat()) == Completion("Hello.", "stop", Usage(9, 3), "gpt-4o-mini-2024-07-18")


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "filtered"),
        ("tool_calls", "stop"),
        ("function_call", "stop"),
    ],
)
def test_finish_reasons(finish: str, expected: str) -> None:
    assert answer(choice(finish)).finish_reason == expected


@pytest.mark.parametrize("finish", [None, "error", "abort", "load", "?"])
def test_an_unknown_end_is_not_taken_for_a_good_one(finish: str | None) -> None:
    with pytest.raises(TransientError, match="no known reason"):
        answer(choice(finish))


def test_the_providers_refusal_is_kept() -> None:
    done = answer(choice(content=None, refusal="I can't help with that."))
    assert (done.text, done.finish_reason, done.refusal) == ("", "filtered", "I can't help with that.")


@pytest.mark.parametrize("content", [None, "", [], 7, {}])
def test_an_empty_answer_is_worth_another_attempt_but_was_paid(content: Any) -> None:
    with pytest.raises(EmptyAnswerError, match="empty") as caught:
        answer(choice(content=content))
    assert caught.value.completion == Completion("", "stop", Usage(9, 3), "gpt-4o-mini-2024-07-18")


def test_nothing_before_a_stop_string_is_an_answer() -> None:
    assert answer(choice(content=""), Request("m", CHAT.messages, params={"stop": ["\n"]})).text == ""


def test_thought_that_ate_the_budget_is_cut_not_empty() -> None:
    assert answer(choice("length", content=None)).finish_reason == "length"


def test_content_in_parts_is_joined() -> None:
    assert (
        answer(choice(content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, {}])).text
        == "ab"
    )


@pytest.mark.parametrize(
    "choices", [[], None, "x", [None], [{}], [{"message": None, "finish_reason": "stop"}], {"0": {}}]
)
def test_no_choice_is_no_answer(choices: Any) -> None:
    with pytest.raises(TransientError, match="holds no"):
        answer(chat(choices=choices))


def test_an_error_in_the_choice() -> None:
    failed = {
        "error": {"code": 502, "message": "upstream gone"},
        "finish_reason": "error",
        "message": {"content": ""},
    }
    with pytest.raises(TransientError, match="upstream gone"):
        answer(chat(choices=[failed]))


def test_raw_completions() -> None:
    value = chat(choices=[{"text": " a time", "finish_reason": "length"}])
    assert answer(value, RAW) == Completion(" a time", "length", Usage(9, 3), "gpt-4o-mini-2024-07-18")
    assert answer(chat(choices=[{"text": "", "finish_reason": "stop"}]), RAW).text == ""


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # OpenAI: cached and reasoning tokens are inside the totals
        (
            {
                "prompt_tokens": 2006,
                "completion_tokens": 300,
                "total_tokens": 2306,
                "prompt_tokens_details": {"cached_tokens": 1920, "cache_write_tokens": 64},
                "completion_tokens_details": {"reasoning_tokens": 128},
            },
            Usage(2006, 300, 1920, 64, 128),
        ),
        # DeepSeek names cached tokens at the top
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "prompt_cache_hit_tokens": 64,
                "total_tokens": 105,
            },
            Usage(100, 5, 64),
        ),
        # xAI counts reasoning beside the completion
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 115,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            Usage(10, 105, 0, 0, 100),
        ),
        # vLLM: details are null
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": None}, Usage(10, 5)),
        ({"prompt_tokens": 10.0, "completion_tokens": 5}, Usage(10, 5)),
        # more cached than sent can't be
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 99}},
            Usage(10, 5, 10),
        ),
        ({"prompt_tokens": -1, "completion_tokens": 5}, None),
        ({"prompt_tokens": "10", "completion_tokens": 5}, None),
        ({"total_tokens": 15}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_usage(usage: Any, expected: Usage | None) -> None:
    assert usage_of(usage) == expected


def test_missing_usage_is_not_free() -> None:
    assert answer(chat(usage=None)).usage == Usage(4, 2)  # 11 and 6 bytes at 3 a token


def test_what_is_sent_to_openai() -> None:
    params = {"temperature": 0.7, "max_tokens": 64, "seed": 5, "stop": ["\n\n"], "top_p": None}
    assert body(Request("m", CHAT.messages, params=params, draw=2)) == (
        "/chat/completions",
        {
            "model": "gpt-4o-mini",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
            "temperature": 0.7,
            "max_tokens": 64,
            "seed": 7,
            "stop": ["\n\n"],
        },
    )


def test_what_is_sent_to_a_server_of_ones_own() -> None:
    params = {"temperature": 0.7, "max_tokens": 64, "top_k": 20, "logit_bias": {"50256": -100}}
    for model in ("Qwen/Qwen3-8B", "gpt-oss-20b", "llama3.2:3b"):
        _, sent = body(Request("m", CHAT.messages, params=params), model, OWN)
        assert {name: sent[name] for name in params} == params


def test_openais_own_models_are_known_behind_a_gateway_too() -> None:
    for model in ("gpt-5-mini", "openai/gpt-5-mini"):
        _, sent = body(Request("m", CHAT.messages, params={"temperature": 0.7, "max_tokens": 64}), model, OWN)
        assert sent.keys() == {"model", "messages", "max_completion_tokens"}
    assert OpenAITeacher("gpt-5-mini", OWN).structured


def test_raw_text_is_not_cut_at_sixteen_tokens() -> None:
    path, sent = body(RAW, "qwen", OWN)
    assert (path, sent) == ("/completions", {"model": "qwen", "prompt": "Once upon", "max_tokens": 1024})
    assert body(Request("m", text="x", params={"max_tokens": 3}), "qwen", OWN)[1]["max_tokens"] == 3


def test_a_chat_model_does_not_continue_text() -> None:
    with pytest.raises(TeacherError, match="does not continue plain text"):
        body(RAW)
    assert body(RAW, "gpt-3.5-turbo-instruct")[0] == "/completions"


def test_left_out_parameters_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(chat())
    teacher = OpenAITeacher("gpt-5-mini", CLOUD, transport=recorder)
    for params in ({"temperature": 1.0, "n": 3, "max_tokens": 9}, {"temperature": 0.2}, {"stop": ["x"]}):
        with caplog.at_level(logging.WARNING, "selfinstruct"):
            asyncio.run(teacher.complete(Request("m", CHAT.messages, params=params)))
    assert set(recorder.body) == {"model", "messages"}
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "left out n, temperature," in told[0]
    assert "left out stop," in told[1]


CLOSED = {
    "title": "A verdict!",
    "type": "object",
    "properties": {"score": {"type": "integer"}},
    "required": ["score"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "additionalProperties": True}, False),
        ({"type": "array", "items": CLOSED}, True),
        ({"anyOf": [CLOSED, {"type": "object", "properties": {"x": {}}}]}, False),
    ],
)
def test_a_schema_is_strict_where_it_can_be(schema: dict[str, Any], strict: bool) -> None:
    _, sent = body(Request("m", CHAT.messages, schema=schema))
    form = sent["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"] == schema
    assert form["json_schema"]["strict"] is strict
    assert form["json_schema"]["name"] == ("A_verdict_" if "title" in schema else "answer")


def test_who_can_be_held_to_a_schema() -> None:
    assert OpenAITeacher("gpt-4o-mini", CLOUD).structured
    assert not OpenAITeacher("gpt-3.5-turbo", CLOUD).structured
    assert not OpenAITeacher("qwen", OWN).structured
    assert OpenAITeacher("qwen", OWN, structured=True).structured
    with pytest.raises(TeacherError, match="JSON schema"):
        body(Request("m", CHAT.messages, schema=CLOSED), "qwen", OWN)


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded exchanges (../shared/data) are not here")
def test_recorded_exchanges() -> None:
    """Real exchanges: 200s are read as OpenAI's own SDK reads them, the rest is refused as its status says."""
    seen = {200: 0, 400: 0, 401: 0, 404: 0}
    sdk = pytest.importorskip("openai.types.chat")
    with gzip.open(RECORDED, "rt", encoding="utf-8") as lines:
        exchanges = [json.loads(line) for line in lines]
    bodies = [
        (e["status"], e["headers"], e["response_body"]) for e in exchanges if "/chat/completions" in e["uri"]
    ]
    for e in exchanges:  # the output file of a batch holds the same bodies
        if e["uri"].endswith("/content"):
            rows = [json.loads(line)["response"] for line in e["response_body"].splitlines()]
            bodies += [(row["status_code"], {}, json.dumps(row["body"])) for row in rows]
    for status, headers, text in bodies:
        seen[status] += 1
        reply = Reply(status, headers, text.encode("utf-8", "surrogateescape"))
        if status == 200:
            done, theirs = read(reply, CHAT, CLOUD), sdk.ChatCompletion.model_validate_json(text)
            assert theirs.usage
            assert done.text == theirs.choices[0].message.content
            assert done.finish_reason == theirs.choices[0].finish_reason == "stop"
            assert done.model == theirs.model
            assert (done.usage.input_tokens, done.usage.output_tokens) == (
                theirs.usage.prompt_tokens,
                theirs.usage.completion_tokens,
            )
        elif status == 400:  # `messages` was empty
            assert read(reply, CHAT, CLOUD).finish_reason == "rejected"
        else:
            with pytest.raises(TeacherError, match=f"HTTP {status}") as caught:
                read(reply, CHAT, CLOUD)
            assert not isinstance(caught.value, TransientError)
    assert seen == {200: 10, 400: 5, 401: 2, 404: 1}
