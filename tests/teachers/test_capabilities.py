"""Which model takes what. Expected values are the providers' statements: see the sources in the module."""

from __future__ import annotations

from typing import Any

import pytest

from selfinstruct.teachers.capabilities import ANTHROPIC, OPENAI, capabilities

ASKED: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "stop": ["x"], "seed": 1, "logit_bias": {"1": 1}}


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("gpt-4o-mini", set()),
        ("gpt-4.1-2025-04-14", set()),
        ("gpt-3.5-turbo", set()),
        ("gpt-5-chat-latest", set()),
        ("ft:gpt-4o-2024-08-06:me::1", set()),
        ("some-new-name", set()),
        ("gpt-oss-120b", set()),
        ("router/gpt-5-nano", {"temperature", "top_p", "logit_bias", "stop"}),
        ("o1", {"temperature", "top_p", "logit_bias"}),
        ("o3-mini", {"temperature", "top_p", "logit_bias"}),
        ("o3", {"temperature", "top_p", "logit_bias", "stop"}),
        ("o4-mini-2025-04-16", {"temperature", "top_p", "logit_bias", "stop"}),
        ("gpt-5", {"temperature", "top_p", "logit_bias", "stop"}),
        ("gpt-5-mini-2025-08-07", {"temperature", "top_p", "logit_bias", "stop"}),
        ("gpt-5.6-luna", {"temperature", "top_p", "logit_bias", "stop"}),
        ("gpt-6.1-sol", {"temperature", "top_p", "logit_bias", "stop"}),
        ("gpt-5.1", {"logit_bias", "stop"}),  # does not reason unless asked to
        ("gpt-5.4-mini-2026-03-17", {"logit_bias", "stop"}),
        ("gpt-5.1-chat-latest", {"temperature", "top_p", "logit_bias", "stop"}),
        ("gpt-4o-search-preview", {"temperature", "top_p", "logit_bias", "stop", "seed"}),
    ],
)
def test_openai(name: str, left_out: set[str]) -> None:
    params, out = capabilities(OPENAI, name).split(ASKED)
    assert out == left_out
    assert params.keys() == ASKED.keys() - left_out


def test_sampling_depends_on_whether_the_model_reasons() -> None:
    def left_out(name: str, effort: str) -> set[str]:
        return capabilities(OPENAI, name).split({"temperature": 0.5, "reasoning_effort": effort})[1]

    assert left_out("gpt-5.6-luna", "none") == set()
    assert left_out("gpt-5.6-luna", "low") == {"temperature"}
    assert left_out("gpt-5.1", "high") == {"temperature"}


@pytest.mark.parametrize(
    ("name", "structured", "raw"),
    [
        ("gpt-4o-mini", True, False),
        ("gpt-4o-2024-05-13", False, False),
        ("gpt-4-turbo", False, False),
        ("gpt-4.1", True, False),
        ("gpt-4", False, False),
        ("gpt-3.5-turbo-0125", False, False),
        ("gpt-3.5-turbo-instruct", False, True),
        ("davinci-002", False, True),
        ("gpt-6-luna", True, False),
    ],
)
def test_what_openais_models_can_do(name: str, structured: bool, raw: bool) -> None:
    row = capabilities(OPENAI, name)
    assert (row.structured, row.raw) == (structured, raw)


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("claude-haiku-4-5", {"top_p", "seed", "logit_bias"}),
        ("claude-sonnet-4-6", {"top_p", "seed", "logit_bias"}),
        ("claude-opus-4-6-20260205", {"top_p", "seed", "logit_bias"}),
        ("claude-3-5-haiku-20241022", {"top_p", "seed", "logit_bias"}),
        ("claude-opus-4-1-20250805", {"top_p", "seed", "logit_bias"}),
        ("claude-opus-4-20250514", {"top_p", "seed", "logit_bias"}),
        ("claude-opus-4-7", {"temperature", "top_p", "seed", "logit_bias"}),
        ("claude-sonnet-5", {"temperature", "top_p", "seed", "logit_bias"}),
        ("claude-haiku-5-5", {"temperature", "top_p", "seed", "logit_bias"}),
        ("claude-fable-5-2", {"temperature", "top_p", "seed", "logit_bias"}),
        ("qwen", {"seed", "logit_bias"}),
    ],
)
def test_anthropic(name: str, left_out: set[str]) -> None:
    assert capabilities(ANTHROPIC, name).split(ASKED)[1] == left_out


def test_top_p_alone_is_sent() -> None:
    assert capabilities(ANTHROPIC, "claude-haiku-4-5").split({"top_p": 0.9}) == ({"top_p": 0.9}, set())


def test_none_is_not_given() -> None:
    assert capabilities(OPENAI, "gpt-5").split({"temperature": None}) == ({}, set())
