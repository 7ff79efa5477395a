"""The boundary in general: failures, waits, refusals, secrets. The wire formats have files of their own."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import TeacherError, TransientError
from selfinstruct.sample import Message
from selfinstruct.teachers import Completion, Request, Usage
from selfinstruct.teachers.anthropic import read as read_anthropic
from selfinstruct.teachers.endpoint import Endpoint
from selfinstruct.teachers.headers import wait_of
from selfinstruct.teachers.openai import read
from selfinstruct.teachers.reply import Reply, clean, count, encode, guessed, payload, refusal

CLOUD = Endpoint("openai/gpt-4o-mini", "https://api.openai.com/v1", "TEST_KEY")
OWN = Endpoint("openai/qwen@localhost:8000", "http://localhost:8000/v1", own=True)
ASKED = Request("openai/gpt-4o-mini", (Message("user", "hi"),), params={"max_tokens": 500})


def reply(status: int, body: Any, **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def complaint(message: str = "no", **more: Any) -> dict[str, Any]:
    return {
        "error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}
    }


@pytest.mark.parametrize(
    ("status", "overloaded"),
    [
        (408, False),
        (409, False),
        (429, True),
        (500, False),
        (502, False),
        (503, True),
        (504, False),
        (529, True),
    ],
)
def test_worth_another_attempt(status: int, overloaded: bool) -> None:
    with pytest.raises(TransientError, match=f"HTTP {status}: busy") as caught:
        refusal(reply(status, complaint("busy", type="server_error")), ASKED, CLOUD)
    assert caught.value.overloaded is overloaded


def test_anthropics_overload_is_known_by_its_name() -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(TransientError) as caught:
        refusal(reply(500, body), ASKED, CLOUD)
    assert caught.value.overloaded


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (401, complaint("Incorrect API key provided"), "check the key in TEST_KEY"),
        (403, complaint("Country not supported"), "check the key in TEST_KEY"),
        (
            404,
            complaint("The model `gpt-9` does not exist", code="model_not_found"),
            "check the model's name",
        ),
        (
            400,
            complaint("Unsupported value: 'temperature'", param="temperature"),
            "leave it out: `params: {temperature: null}`",
        ),
        (501, complaint("not implemented"), "every request of this kind"),
        (405, b"Method Not Allowed", "every request of this kind"),
    ],
)
def test_refused_for_good(status: int, body: Any, hint: str) -> None:
    with pytest.raises(TeacherError) as caught:
        refusal(reply(status, body), ASKED, CLOUD)
    assert not isinstance(caught.value, TransientError)
    assert hint in caught.value.hint
    assert f"HTTP {status}" in caught.value.message


def test_a_key_may_be_needed_on_ones_own_server() -> None:
    with pytest.raises(TeacherError) as caught:
        refusal(reply(401, complaint()), ASKED, OWN)
    assert "key_env" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, {"type": "insufficient_quota", "code": "insufficient_quota"}),
        (429, {"code": "billing_hard_limit_reached"}),
        (402, {}),
        (400, {"message": "Your credit balance is too low to access the Anthropic API."}),
    ],
)
def test_no_money_is_not_a_rate_limit(status: int, error: dict[str, Any]) -> None:
    with pytest.raises(TeacherError, match=f"HTTP {status}") as caught:
        refusal(reply(status, complaint(**error)), ASKED, CLOUD)
    assert not isinstance(caught.value, TransientError)
    assert "no credit" in caught.value.hint


def test_a_rate_limit_that_speaks_of_billing_is_a_rate_limit() -> None:
    words = "Rate limit reached. Add a payment method at https://platform.openai.com/account/billing."
    with pytest.raises(TransientError) as caught:
        refusal(reply(429, complaint(words, code="rate_limit_exceeded"), retry_after="7"), ASKED, CLOUD)
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize(
    "body",
    [
        complaint("This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 > 200000"},
        },
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, you requested",
        },
        {"error": "the input exceeds the available context size"},
        complaint("Invalid 'messages[0].content': string too long", code="string_above_max_length"),
        complaint("Invalid 'messages': empty array.", param="messages", code="empty_array"),
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "messages: text must be non-empty"},
        },
    ],
)
def test_a_request_that_can_never_be_served_is_an_answer(body: dict[str, Any]) -> None:
    done = refusal(reply(400, body), ASKED, CLOUD)
    assert (done.text, done.finish_reason) == ("", "rejected")
    assert done.refusal
    assert done.usage == Usage()


def test_too_large_is_rejected() -> None:
    assert refusal(reply(413, b"<html>Payload Too Large</html>"), ASKED, CLOUD).finish_reason == "rejected"


@pytest.mark.parametrize(
    "body",
    [
        complaint("rejected by our safety system", code="content_policy_violation"),
        complaint(
            "The response was filtered due to Azure's content management policy.", code="content_filter"
        ),
        complaint("Invalid prompt: flagged as potentially violating our usage policy", code="invalid_prompt"),
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "Output blocked by content filtering"},
        },
    ],
)
def test_a_filter_is_an_answer(body: dict[str, Any]) -> None:
    done = refusal(reply(400, body), ASKED, CLOUD)
    assert (done.text, done.finish_reason) == ("", "filtered")
    assert done.refusal


def test_max_tokens_beyond_the_context_is_a_mistake_in_the_recipe() -> None:
    words = "max_tokens is too large: 500. This model's maximum context length is 500 tokens"
    with pytest.raises(TeacherError) as caught:
        refusal(reply(400, complaint(words)), ASKED, CLOUD)
    assert "max_tokens: 500" in caught.value.hint


def test_a_parameter_in_messages_is_still_a_parameter() -> None:
    words = "Unsupported value: 'messages[0].role' does not support 'system' with this model."
    with pytest.raises(TeacherError, match="system"):
        refusal(
            reply(400, complaint(words, param="messages[0].role", code="unsupported_value")), ASKED, CLOUD
        )


@pytest.mark.parametrize("status", [301, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with pytest.raises(TeacherError, match=r"redirects to https://elsewhere\.example"):
        refusal(reply(status, b"", location="https://elsewhere.example/v1"), ASKED, OWN)


def test_fastapi_detail_is_read() -> None:
    with pytest.raises(TeacherError, match="field required"):
        refusal(reply(422, {"detail": [{"loc": ["body", "x"], "msg": "field required"}]}), ASKED, OWN)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"", "not JSON"),
        (b'{"choices": [{"message": {"content": "hal', "not JSON"),
        (b"[1, 2]", "not JSON"),
        (b"null", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_200_that_is_no_answer(body: bytes, words: str) -> None:
    with pytest.raises(TransientError, match=words):
        payload(reply(200, body), ASKED, OWN)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "boom"}}, TransientError),
        ({"error": {"message": "boom", "code": 502}}, TransientError),
        ({"error": {"message": "boom", "code": 401}}, TeacherError),
        ({"error": {"message": "boom", "type": "authentication_error"}}, TeacherError),
        ({"error": "boom"}, TransientError),
        ({"object": "error", "message": "boom", "type": "InternalServerError", "code": 500}, TransientError),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "boom"}}, TransientError),
    ],
)
def test_an_error_inside_a_200(error: dict[str, Any], kind: type[TeacherError]) -> None:
    with pytest.raises(kind, match="boom") as caught:
        payload(reply(200, error), ASKED, CLOUD)
    assert type(caught.value) is kind


def test_a_null_error_is_none() -> None:
    assert payload(reply(200, {"error": None, "x": 1}), ASKED, CLOUD) == {"error": None, "x": 1}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "20"}, 20.0),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after": "3600"}, 3600.0),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "1e999"}, None),
        ({"retry_after": "9" * 5000}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": ""}, None),
        ({"retry_after_ms": "250"}, 0.25),
        ({"retry_after_ms": "250", "retry_after": "1"}, 0.25),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry_after": "Wed, 21 Oct 2026 07:27:00 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
        ({"retry_after": "Wed, 21 Oct 2020 07:28:00 GMT"}, 0.0),
        ({"retry_after": "Wed, 99 Oct 2026 07:28:00 GMT"}, None),
        ({"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "39.801s"}, 39.801),
        ({"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "6m0s"}, 360.0),
        ({"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "4ms"}, 0.004),
        ({"x_ratelimit_remaining_requests": "9995", "x_ratelimit_reset_requests": "39.801s"}, None),
        ({"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "?"}, None),
        (
            {"retry_after": "2", "x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "1h"},
            2.0,
        ),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_of(reply(429, {}, **headers).headers) == pytest.approx(seconds)


def test_the_key_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "plainly-secret-value-1234"
    monkeypatch.setenv("TEST_KEY", key)
    echo = f"Incorrect API key provided: {key}. Sent: Bearer {key}, again {key[:3]}\x1b[31m\n{'x' * 390}{key}"
    for status in (400, 401, 403, 404, 429, 500):
        with pytest.raises(TeacherError) as caught:
            refusal(reply(status, complaint(echo)), ASKED, CLOUD)
        assert key not in str(caught.value) + caught.value.hint
        assert key[:12] not in caught.value.message  # not cut in the middle of it either
        assert "\x1b" not in caught.value.message
    done = refusal(reply(400, complaint(f"{key} is too long", code="context_length_exceeded")), ASKED, CLOUD)
    assert key not in repr(done)
    assert key not in repr(CLOUD)


@pytest.mark.parametrize(
    "key", ["sk-proj-abcdefghijklmnop", "sk-ant-api03-abcdefgh_ijkl", "Bearer abc.def.ghi"]
)
def test_other_keys_are_hidden_by_their_shape(key: str) -> None:
    assert key.removeprefix("Bearer ") not in CLOUD.quote(f"you sent {key} to us")


KEYS = st.sampled_from(
    ["choices", "message", "content", "error", "usage", "finish_reason", "code", "type", "x"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(
    st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode()),
    st.sampled_from([200, 400, 404, 429]),
)
def test_no_bytes_break_the_boundary(body: bytes, status: int) -> None:
    try:
        done = read(Reply(status, {}, body), ASKED, CLOUD)
    except TeacherError:
        return
    assert isinstance(done, Completion)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        (3.0, 3),
        (0, 0),
        (-1, None),
        (2.5, None),
        (True, None),
        ("3", None),
        (None, None),
        (float("inf"), None),
        (10**30, None),
    ],
)
def test_count(value: Any, number: int | None) -> None:
    assert count(value) == number


def test_usage_that_was_not_sent_is_guessed_high() -> None:
    asked = Request("m", (Message("user", "a" * 31),))
    assert guessed(asked, "b" * 6) == Usage(11, 2)
    assert guessed(Request("m", text="漢字"), "") == Usage(2, 0)


def test_lone_surrogates_travel_and_are_replaced() -> None:
    assert json.loads(encode({"x": "a\ud800"})) == {"x": "a\ud800"}
    assert encode({"x": "é"}) == orjson.dumps({"x": "é"})
    assert clean("a\ud800b😀") == "a\ufffdb😀"


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, v in inner for place in places(v, (*path, name)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


GOOD: dict[str, dict[str, Any]] = {
    "openai": {
        "model": "m",
        "choices": [{"finish_reason": "stop", "message": {"content": "Hello.", "refusal": None}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
    },
    "anthropic": {
        "model": "m",
        "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 9, "output_tokens": 3, "output_tokens_details": {"thinking_tokens": 1}},
    },
}


@given(st.data(), st.sampled_from(sorted(GOOD)))
def test_one_wrong_value_never_makes_a_wrong_answer(data: st.DataObject, wire: str) -> None:
    """A good answer with any part of it replaced: still that answer, or text that was really sent, or an
    error.
    """
    good = GOOD[wire]
    place = data.draw(st.sampled_from(places(good)))
    new = data.draw(JSON | st.sampled_from(["length", "max_tokens", "content_filter", -1, 1e999, "\ud800"]))
    raw = json.dumps(replaced(good, place, new)).encode()
    try:
        done = (read if wire == "openai" else read_anthropic)(Reply(200, {}, raw), ASKED, CLOUD)
    except TeacherError:
        return
    f"{done.text}{done.model}{done.refusal}".encode()  # can be stored
    sent = json.dumps(new)
    assert (
        done.text == "Hello." or json.dumps(done.text)[1:-1] in sent or "\ufffd" in done.text or not done.text
    )
    if not done.text:
        assert done.finish_reason != "stop"
    numbers = dataclasses.astuple(done.usage)
    assert all(isinstance(n, int) and n >= 0 for n in numbers)
    assert done.usage.input_tokens >= done.usage.cached_tokens + done.usage.cache_write_tokens


@pytest.mark.parametrize(
    ("message", "param", "hint"),
    [
        ("temperature: Extra inputs are not permitted", "", "leave it out: `params: {temperature: null}`"),
        ("Unsupported parameter", "max_completion_tokens", "leave it out: `params: {max_tokens: null}`"),
        ("stop_sequences: not supported", "", "leave it out: `params: {stop: null}`"),
        ("Invalid parameter: response_format of type json_schema", "", "`structured: false`"),
        ("something else is wrong", "", "the provider will say the same"),
    ],
)
def test_a_refused_parameter_is_named_as_the_user_writes_it(message: str, param: str, hint: str) -> None:
    asked = Request("m", params={"temperature": 1, "max_tokens": 5, "stop": ["x"]}, schema={"type": "object"})
    body = {"error": {"message": message, "param": param, "type": "invalid_request_error"}}
    with pytest.raises(TeacherError) as refused:
        refusal(reply(400, body), asked, CLOUD)
    assert hint in refused.value.hint
