"""Prices and costs. Expected amounts are worked by hand from the providers' price pages: dollars a million
tokens.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.errors import ConfigError
from selfinstruct.pricing import FREE, OWN, Price, aged, as_of, cost, own_table, price, price_of, worst
from selfinstruct.teachers import Request, Usage
from selfinstruct.teachers.anthropic import usage_of as anthropic_usage
from selfinstruct.teachers.connect import connect
from selfinstruct.teachers.openai import usage_of as openai_usage
from selfinstruct.teachers.reply import guessed


def listed(model: str) -> Price:
    found = price(model)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("model", "usage", "nano"),
    [
        # gpt-4o-mini 0.15 in, 0.60 out: 1000*150 + 500*600
        ("openai/gpt-4o-mini", {"prompt_tokens": 1000, "completion_tokens": 500}, 450_000),
        # gpt-4o 2.50 in, 1.25 cached, 10 out: 86*2500 + 1920*1250 + 300*10000
        (
            "openai/gpt-4o",
            {
                "prompt_tokens": 2006,
                "completion_tokens": 300,
                "prompt_tokens_details": {"cached_tokens": 1920},
            },
            5_615_000,
        ),
        # gpt-5-mini 0.25 in, 0.025 cached, 2 out, reasoning inside the output: 10*250 + 1024*25 + 700*2000
        (
            "openai/gpt-5-mini",
            {
                "prompt_tokens": 1034,
                "completion_tokens": 700,
                "prompt_tokens_details": {"cached_tokens": 1024},
                "completion_tokens_details": {"reasoning_tokens": 640},
            },
            1_428_100,
        ),
        # gpt-5-nano 0.05 in, 0.40 out, one token each: 50 + 400
        ("openai/gpt-5-nano", {"prompt_tokens": 1, "completion_tokens": 1}, 450),
        # gpt-6-luna 0.10 in, 0.01 cached, 0.125 written, 0.50 out: 100*100 + 800*10 + 100*125 + 10*500
        (
            "openai/gpt-6-luna",
            {
                "prompt_tokens": 1000,
                "completion_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 800, "cache_write_tokens": 100},
            },
            35_500,
        ),
        # gpt-5.4 2.50 in, 15 out; over 272k of input 5 and 22.50: 300000*5000 + 10*22500
        ("openai/gpt-5.4", {"prompt_tokens": 300_000, "completion_tokens": 10}, 1_500_225_000),
        # and at the threshold still the base price: 272000*2500 + 10*15000
        ("openai/gpt-5.4", {"prompt_tokens": 272_000, "completion_tokens": 10}, 680_150_000),
        # gpt-4 30 in, 60 out, no cache discount known: 10*30000 + 10*60000
        (
            "openai/gpt-4",
            {"prompt_tokens": 10, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 5}},
            900_000,
        ),
        # a fine-tune of gpt-4o-mini 0.30 in, 1.20 out
        ("openai/ft:gpt-4o-mini-2024-07-18:acme::8x", {"prompt_tokens": 10, "completion_tokens": 10}, 15_000),
        # xAI style usage (reasoning beside the completion) at a listed price: 10*150 + 105*600
        (
            "openai/gpt-4o-mini",
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 115,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            64_500,
        ),
    ],
)
def test_openai_usage_to_the_nano_dollar(model: str, usage: dict[str, Any], nano: int) -> None:
    read = openai_usage(usage)
    assert read is not None
    assert cost(read, listed(model)) == nano


@pytest.mark.parametrize(
    ("model", "usage", "nano"),
    [
        # claude-haiku-4-5 1 in, 5 out: 11*1000 + 273*5000
        ("anthropic/claude-haiku-4-5", {"input_tokens": 11, "output_tokens": 273}, 1_376_000),
        # claude-sonnet-4-5 3 in, 0.30 read, 3.75 written, 15 out; input_tokens leaves the cache out:
        # 50*3000 + 1920*300 + 248*3750 + 503*15000
        (
            "anthropic/claude-sonnet-4-5-20250929",
            {
                "input_tokens": 50,
                "cache_read_input_tokens": 1920,
                "cache_creation_input_tokens": 248,
                "output_tokens": 503,
            },
            9_201_000,
        ),
        # claude-haiku-5-5 0.10 in, 0.50 out; over 100k of input 0.50 and 2.50: 100001*500 + 2*2500
        ("anthropic/claude-haiku-5-5", {"input_tokens": 100_001, "output_tokens": 2}, 50_005_500),
    ],
)
def test_anthropic_usage_to_the_nano_dollar(model: str, usage: dict[str, Any], nano: int) -> None:
    read = anthropic_usage(usage)
    assert read is not None
    assert cost(read, listed(model)) == nano


@pytest.mark.parametrize(
    ("dollars", "usage", "nano"),
    [
        # DeepSeek names its cached tokens otherwise: 36 fresh * 270 + 64 * 70 + 20 * 1100
        (
            {"input": 0.27, "cached": 0.07, "output": 1.10},
            {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "prompt_cache_hit_tokens": 64,
                "prompt_cache_miss_tokens": 36,
            },
            36_200,
        ),
        # vLLM: details that are null: 12 * 40 + 8 * 140
        (
            {"input": 0.04, "output": 0.14},
            {"prompt_tokens": 12, "total_tokens": 20, "completion_tokens": 8, "prompt_tokens_details": None},
            1_600,
        ),
        # an explicit price of zero is a price
        ({"input": 0.0, "output": 0.0}, {"prompt_tokens": 12, "completion_tokens": 8}, 0),
    ],
)
def test_usage_at_the_users_price(dollars: dict[str, Any], usage: dict[str, Any], nano: int) -> None:
    read = openai_usage(usage)
    assert read is not None
    assert cost(read, Price.of(dollars)) == nano


def test_without_a_usage_a_token_is_guessed_for_three_bytes() -> None:
    """7 bytes sent are 3 tokens, 4 bytes back are 2; gpt-4o-mini 0.15 in, 0.60 out: 3*150 + 2*600. The names of another
    interface (Responses) are no usage of this one.
    """
    assert openai_usage({"input_tokens": 3, "output_tokens": 2}) is None
    used = guessed(Request("openai/gpt-4o-mini", text="1234567"), "four")
    assert cost(used, listed("openai/gpt-4o-mini")) == 1_650


def test_a_batch_row_costs_half_rounded_up_by_class() -> None:
    # gpt-4o-mini 0.075 in, 0.30 out: 1000*75 + 500*300
    half = listed("openai/gpt-4o-mini").half()
    used = openai_usage({"prompt_tokens": 1000, "completion_tokens": 500})
    assert used is not None
    assert cost(used, half) == 225_000
    assert half.version == "2026-11-21, half"
    # claude-haiku-4-5 0.50 in, 0.05 read, 0.625 written, 2.50 out: 11*500 + 100*50 + 10*625 + 273*2500
    row = {"input_tokens": 11, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 10}
    used = anthropic_usage(row | {"output_tokens": 273})
    assert used is not None
    assert cost(used, listed("anthropic/claude-haiku-4-5").half()) == 699_250
    # gpt-4.1-nano's cached tokens are 25 nano-dollars: 12.5 becomes 13
    assert listed("openai/gpt-4.1-nano").half().cached == 13
    # and inputs above the threshold of gpt-5.4 are half of 5 and 22.50: 300000*2500 + 10*11250
    used = openai_usage({"prompt_tokens": 300_000, "completion_tokens": 10})
    assert used is not None
    assert cost(used, listed("openai/gpt-5.4").half()) == 750_112_500


# the user's own table


def write(folder: Path, text: str) -> Path:
    (folder / OWN).write_text(text, encoding="utf-8")
    return folder


def test_the_users_table_beats_ours_and_a_role_beats_both(tmp_path: Path) -> None:
    text = """as_of = 2026-10-01
source = "my contract"
[openai]
"gpt-4o-mini" = { input = 0.1, output = 0.3, max_output = 1000 }
"x@localhost:8000" = { input = 1, output = 2, above = 10, long = { input = 3, output = 4 } }
"""
    own = own_table(write(tmp_path, text))
    mini = price_of(connect("openai/gpt-4o-mini"), None, own)
    assert mini == Price(100, 300, 100, 100, 1000)
    assert mini is not None
    assert (mini.version, mini.day) == ("prices.toml 2026-10-01", date(2026, 10, 1))
    here = connect({"model": "openai/x", "base_url": "http://localhost:8000/v1"})
    found = price_of(here, None, own)
    assert found is not None
    assert cost(Usage(11, 1), found) == 11 * 3000 + 4000
    said = price_of(connect("openai/gpt-4o-mini"), {"input": 1, "output": 2}, own)
    assert said is not None
    assert (said.input, said.version) == (1000, "user")
    other = price_of(connect("openai/gpt-4o"), None, own)
    assert other is not None
    assert other.version == str(as_of())


def test_without_a_date_the_users_table_is_known_by_its_digest(tmp_path: Path) -> None:
    row = '[openai]\n"a" = { input = 1, output = 2 }\n'
    (tmp_path / "other").mkdir()
    first = own_table(write(tmp_path, row))["openai/a"]
    second = own_table(write(tmp_path / "other", row.replace("2", "3")))["openai/a"]
    assert first.version.startswith("prices.toml ")
    assert first.version != second.version
    assert first.day is None


def test_no_table_is_no_price(tmp_path: Path) -> None:
    assert own_table(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("[openai", "is not TOML", "write"),
        ("[opneai]", "unknown entry `opneai`", "did you mean `openai`"),
        ("as_of = 'today'", "`as_of` is not a date", "2026-11-21"),
        ("source = 1", "`source` is not text", ""),
        ("openai = 3", "openai is no table", "write"),
        ('[openai]\n"a" = 3', "openai: a is no table", "write"),
        ('[openai]\n"a" = { input = 1, outptu = 2 }', "unknown entry `outptu`", "did you mean `output`"),
        ('[openai]\n"a" = { input = 1 }', "`output` is missing", ""),
        ('[openai]\n"a" = { input = "x", output = 1 }', "must be a number", ""),
        ('[openai]\n"a" = { input = 1, output = 1, above = 1.5 }', "`above` must be a number of tokens", ""),
        ('[openai]\n"a" = { input = 1, output = 1, above = 9 }', "belong together", ""),
        ('[openai]\n"a" = { input = 1, output = 1, above = 9, long = 3 }', "long is no table", ""),
    ],
)
def test_a_table_that_will_not_do(tmp_path: Path, text: str, words: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        own_table(write(tmp_path, text))
    assert str(tmp_path / OWN) in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-99",
        "openai/x@localhost:8000",
        "mistral/large",
        "offline",
        "as_of/x",
        "source/x",
        "",
        "gpt-4o",
    ],
)
def test_an_unknown_price_is_none(model: str) -> None:
    assert price(model) is None


def test_who_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    def of(spec: Any, dollars: Any = None) -> Price | None:
        return price_of(connect(spec), dollars)

    assert of("offline") == FREE
    assert of({"model": "offline", "wrong": 0.5}) == FREE
    assert of({"model": "openai/x", "base_url": "http://localhost:8000/v1"}) == FREE
    assert of({"model": "openai/x", "base_url": "http://10.0.0.7/v1", "endpoint": "box"}) == FREE
    assert (
        of({"model": "openai/gpt-4o", "base_url": "https://openrouter.ai/api/v1"}) is None
    )  # unpriced, not free
    assert of("openai/gpt-4o") == listed("openai/gpt-4o")
    assert of("openai/gpt-99") is None
    assert of("openai/gpt-4o", {"input": 1, "output": 2}) == Price(1000, 2000, 1000, 1000)
    assert of("offline", {"input": 1, "output": 2}) == Price(1000, 2000, 1000, 1000)
    assert cost(Usage(10**6, 10**6), FREE) == 0


def test_the_users_price() -> None:
    given = Price.of({"input": 0.15, "output": "0.60", "cached": 0.075, "cache_write": 0.1875})
    assert given == Price(150, 600, 75, 188)  # 187.5 is rounded up
    assert Price.of({"input": 0, "output": 0}) == FREE
    assert Price.of({"input": 0.0000001, "output": 1}).input == 1


@pytest.mark.parametrize(
    ("dollars", "words"),
    [
        ({"input": 1}, "`output` is missing"),
        ({"inptu": 1, "output": 1}, "unknown entry `inptu`"),
        ({"input": -1, "output": 1}, "must be a number"),
        ({"input": "cheap", "output": 1}, "must be a number"),
        ({"input": float("nan"), "output": 1}, "must be a number"),
        ({"input": float("inf"), "output": 1}, "must be a number"),
        ({"input": True, "output": 1}, "must be a number"),
        ({"input": None, "output": 1}, "must be a number"),
    ],
)
def test_prices_that_will_not_do(dollars: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Price.of(dollars)


def test_the_worst_case_is_never_below_the_cost() -> None:
    for model in ("openai/gpt-6-luna", "openai/gpt-4o", "anthropic/claude-haiku-5-5"):
        for read in (1000, 300_000):
            for cached, written in ((0, 0), (read, 0), (0, read), (10, 20)):
                usage = Usage(read, 700, cached, written)
                assert worst(read, 700, listed(model)) >= cost(usage, listed(model))
    assert worst(1000, 10, listed("openai/gpt-6-luna")) == 1000 * 125 + 10 * 500


def test_longest_answers_are_known() -> None:
    assert listed("openai/gpt-4o-mini").max_output == 16_384
    assert listed("anthropic/claude-haiku-4-5").max_output == 64_000


def test_the_table_ages() -> None:
    assert aged(as_of()) == ""
    assert aged(as_of() + timedelta(days=60)) == ""
    assert "61 days old" in aged(as_of() + timedelta(days=61))
    assert as_of() >= date(2026, 11, 1)
