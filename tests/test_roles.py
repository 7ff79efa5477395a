from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes import Echo

from selfinstruct.errors import ConfigError
from selfinstruct.pricing import FREE, Price
from selfinstruct.roles import role
from selfinstruct.teachers import Teacher


def test_a_name_is_enough() -> None:
    part = role("judge", "offline")
    assert (part.name, part.teacher.model) == ("judge", "offline")
    assert (part.params, part.limits.ceiling, part.deadline, part.price) == ({}, 16, 600, FREE)


def test_what_the_user_sets(play: Callable[[Teacher], str]) -> None:
    part = role(
        "teacher",
        {
            "model": play(Echo()),
            "concurrency": 3,
            "timeout": 9.5,
            "params": {"temperature": 0, "stop": None},
            "price": {"input": 0.15, "output": 0.6},
        },
    )
    assert (part.limits.ceiling, part.deadline) == (3, 9.5)
    assert part.params == {"temperature": 0, "stop": None}
    assert part.price == Price(150, 600, 150, 150)  # nano-dollars a token


def test_all_else_goes_to_the_model() -> None:
    assert (
        role("teacher", {"model": "offline", "wrong": 0.5, "concurrency": 2}).teacher.model
        == "offline/wrong=0.5"
    )


def test_a_price_nobody_knows(play: Callable[[Teacher], str]) -> None:
    assert role("teacher", play(Echo())).price is None


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (
            {"model": "offline", "concurrency": 0},
            "judge: `concurrency`: input should be greater",
            "in flight",
        ),
        (
            {"model": "offline", "timeout": "long"},
            "judge: `timeout`: input should be a valid number",
            "one attempt",
        ),
        ({"model": "offline", "rpm": -1}, "judge: `rpm`", "requests a minute"),
        (
            {"model": "offline", "concurency": 4},
            "judge: there is no option `concurency`",
            "mean `concurrency`?",
        ),
        (
            {"model": "offline", "wrung": 0.5},
            "judge: offline: unknown option `wrung`",
            "did you mean `wrong`?",
        ),
        ({"concurrency": 4}, "judge: `model`: field required", ""),
        (
            {"model": "offline", "price": {"inptu": 1, "output": 1}},
            "price: unknown entry `inptu`",
            "mean `input`?",
        ),
        ({"model": "offline", "price": {"input": 1}}, "price: `output` is missing", "dollars"),
        ("opnai/gpt-5-mini", "judge: no provider serves 'opnai/gpt-5-mini'", "did you mean `openai`?"),
        ("nosuchmodule:Mine", "judge: nosuchmodule:Mine: there is no module 'nosuchmodule'", ""),
    ],
)
def test_what_is_wrong_is_said(given: Any, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        role("judge", given)
    assert message in wrong.value.message
    assert hint in wrong.value.hint
