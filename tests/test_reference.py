"""The reference of steps, made from the code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from fakes import own_steps
from pydantic import Field

import selfinstruct.steps  # noqa: F401  (fills the registry)
from selfinstruct import reference
from selfinstruct.run import Run
from selfinstruct.step import REGISTRY, Samples, step


@pytest.fixture
def sample_step() -> Iterator[str]:
    with own_steps():

        @step
        async def ferry(
            run: Run,
            samples: Samples,
            *,
            n: Annotated[int, Field(ge=1)],
            share: Annotated[float, Field(gt=0, lt=1)] | None = None,
            kind: Literal["a", "b"] = "a",
            files: tuple[str, ...] = ("x",),
            extra: dict[str, Any] | None = None,
            exact: bool = True,
        ) -> Samples:
            """Carry rows <over>, such as `<this>`.

            More words.

            Args:
                n: how many | at least
                kind: which of the two
            """
            async for sample in samples:
                yield sample

        yield "ferry"


def test_options_with_type_default_and_meaning(sample_step: str) -> None:
    assert reference.options(REGISTRY[sample_step]) == [
        ("n", "whole number ≥ 1", "", "how many | at least"),
        ("share", "number > 0 and < 1 | null", "null", ""),
        ("kind", "a | b", '"a"', "which of the two"),
        ("files", "list of text", '["x"]', ""),
        ("extra", "mapping | null", "null", ""),
        ("exact", "true | false", "true", ""),
    ]


def test_the_text_for_a_terminal(sample_step: str) -> None:
    text = reference.step(REGISTRY[sample_step])
    assert text.startswith("ferry\n\nCarry rows <over>, such as `<this>`.\n\nMore words.\n\noptions:\n")
    assert "  n: whole number ≥ 1, must be given\n      how many | at least\n" in text
    assert '  files: list of text, default ["x"]' in text


def test_the_page_is_markdown_that_shows_what_it_says(sample_step: str) -> None:
    page = reference.page()
    assert "| [ferry](#ferry) | Carry rows &lt;over>, such as `<this>`. |" in page
    assert "## ferry\n\nCarry rows &lt;over>, such as `<this>`.\n\nMore words.\n\n| option | type |" in page
    assert "| `n` | whole number ≥ 1 | must be given | how many \\| at least |" in page
    assert "| `share` | number > 0 and &lt; 1 \\| null | `null` |  |" in page


def test_a_step_without_options_says_so() -> None:
    assert reference.step(REGISTRY["echo"]).endswith("no options")
    assert "No options." in reference.page()


def test_every_option_of_every_step_says_what_it_means() -> None:
    silent = [
        f"{name}.{option}"
        for name, found in REGISTRY.items()
        for option, _, _, meaning in reference.options(found)
        if not meaning
    ]
    assert silent == []
    assert [name for name, found in REGISTRY.items() if not found.summary.endswith(".")] == []


def test_every_step_stands_under_one_heading() -> None:
    names = [name for group in reference.GROUPS.values() for name in group.split()]
    ours = [name for name, found in REGISTRY.items() if found.module.startswith("selfinstruct.")]
    assert sorted(names) == sorted(ours)


def test_steps_of_users_stand_under_their_own() -> None:
    with own_steps():

        @step
        async def mine(run: Run, samples: Samples) -> Samples:
            """Mine."""
            async for sample in samples:
                yield sample

        assert [each.name for each in reference.groups()[-1][1]] == ["mine"]
    assert reference.groups()[-1][0] == "train, measure"
