from __future__ import annotations

import linecache
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from fakes import own_steps
from pydantic import Field

from selfinstruct.errors import ConfigError
from selfinstruct.outlook import NONE, Outlook, Range, Rows
from selfinstruct.prompts import Prompts
from selfinstruct.run import Place, Run
from selfinstruct.sample import Sample
from selfinstruct.step import REGISTRY, Samples, filter, step

with own_steps():

    @step
    async def thing(
        run: Run,
        samples: Samples,
        *,
        size: int,
        share: Annotated[float, Field(ge=0, le=1)] = 0.5,
        how: Literal["fast", "well"] = "fast",
        names: tuple[str, ...] = (),
        file: Path | None = None,
    ) -> Samples:
        """Make things of rows.

        In two sentences. And more.

        Args:
            size: how large
            share: how much of it,
                counted from the left
            how: fast: without care

        Raises:
            nothing
        """
        async for sample in samples:
            yield sample

    @filter
    def short(sample: Sample, *, most: int = 3) -> str | None:
        """Drop what is long."""
        return "too_long" if len(sample.instruction) > most else None

    THING, SHORT = REGISTRY["thing"], REGISTRY["short"]


def test_the_options_of_a_step_are_its_keyword_parameters() -> None:
    made = thing(size=3, names=("a", "b"), file=Path("x"))
    assert made.name == "thing"
    assert made.values == {"size": 3, "share": 0.5, "how": "fast", "names": ["a", "b"], "file": "x"}
    assert short().values == {"most": 3}


def test_the_docstring_is_the_help() -> None:
    assert THING.summary == "Make things of rows."
    assert THING.help.endswith("In two sentences. And more.")
    described = {name: field.description for name, field in THING.options.model_fields.items()}
    assert described == {
        "size": "how large",
        "share": "how much of it, counted from the left",
        "how": "fast: without care",
        "names": None,
        "file": None,
    }
    schema = THING.options.model_json_schema()
    assert schema["required"] == ["size"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["how"]["enum"] == ["fast", "well"]


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"size": 1, "shore": 0.1}, "step `thing` has no option `shore`", "did you mean `share`?"),
        ({"size": 1, "qqq": 0.1}, "step `thing` has no option `qqq`", "known: file, how, names, share, size"),
        ({}, "step `thing` needs the option `size`", "size: how large"),
        ({"size": "big"}, "step `thing`, option `size`: input should be a valid integer", "how large"),
        ({"size": "big"}, "got 'big'", ""),
        ({"size": 1, "share": 1.5}, "option `share`: input should be less than or equal to 1, got 1.5", ""),
        ({"size": 1, "how": "ill"}, "option `how`: input should be 'fast' or 'well', got 'ill'", ""),
    ],
)
def test_a_wrong_option_is_named_with_the_mend(options: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        THING.make(**options)
    assert message in wrong.value.message
    assert hint in wrong.value.hint


def place(folder: Path) -> Place:
    return Place(folder, folder, {}, Prompts())


def test_a_fingerprint_follows_the_options_and_what_came_before(tmp_path: Path) -> None:
    marks = {
        thing(size=1).fingerprint("", place(tmp_path)),
        thing(size=2).fingerprint("", place(tmp_path)),
        thing(size=1, share=0.6).fingerprint("", place(tmp_path)),
        thing(size=1).fingerprint("other", place(tmp_path)),
        short(most=1).fingerprint("", place(tmp_path)),
    }
    assert len(marks) == 5
    assert (
        thing(size=1, share=0.5).fingerprint("", place(tmp_path)) in marks
    )  # a default written out is no change


@pytest.mark.parametrize("in_a_file", [True, False], ids=["in a file", "in a notebook"])
def test_the_code_of_ones_own_step_is_part_of_its_fingerprint(tmp_path: Path, in_a_file: bool) -> None:
    def marked(body: str) -> str:
        text = f"async def mine(run, samples):\n    async for sample in samples:\n        {body}\n"
        path = tmp_path / "mine.py"
        if in_a_file:
            path.write_text(text)
        else:  # as a notebook does it
            linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
        names: dict[str, Any] = {"__name__": "mine"}
        exec(compile(text, str(path), "exec"), names)
        with own_steps():
            made: str = step(names["mine"])().fingerprint("", place(tmp_path))
        return made

    assert marked("yield sample") == marked("yield sample")
    assert marked("yield sample") != marked("yield sample.note(x=1)")


def test_a_name_is_taken_once() -> None:
    async def judge(run: Run, samples: Samples) -> Samples:
        async for sample in samples:
            yield sample

    import selfinstruct.steps  # noqa: F401

    with pytest.raises(
        ConfigError, match=r"already a step named `judge` in selfinstruct\.steps\.judge"
    ) as taken:
        step(judge)
    assert taken.value.hint == "rename yours"


def test_what_can_be_no_step() -> None:
    async def positional(run: Run, samples: Samples, size: int) -> Samples:
        async for sample in samples:
            yield sample

    async def untyped(run: Run, samples: Samples, *, size=3) -> Samples:  # type: ignore[no-untyped-def]
        async for sample in samples:
            yield sample

    async def unyielding(run: Run, samples: Samples) -> list[Sample]:
        return [sample async for sample in samples]

    with own_steps():
        with pytest.raises(
            ConfigError, match="step `positional`: the option `size` must be keyword-only"
        ) as wrong:
            step(positional)
        assert "bare *" in wrong.value.hint
        with pytest.raises(ConfigError, match="step `untyped`: the option `size` has no type"):
            step(untyped)
        with pytest.raises(ConfigError, match="step `unyielding` never yields"):
            step(unyielding)  # type: ignore[arg-type]
        assert not {"positional", "untyped", "unyielding"} & set(REGISTRY)


def test_the_hooks_get_the_options(tmp_path: Path) -> None:
    called: list[Any] = []

    def check(place: Place, *, size: int) -> None:
        called.append(("check", place.dir, size))

    def sees(place: Place, *, size: int) -> int:
        return size // 10

    def intact(place: Place, facts: Any, *, size: int) -> bool:
        return bool(facts["size"] == size)

    with own_steps():

        @step(check=check, sees=sees, intact=intact)
        async def hooked(run: Run, samples: Samples, *, size: int) -> Samples:
            async for sample in samples:
                yield sample

        made = hooked(size=12)
    made.check(place(tmp_path))
    assert called == [("check", tmp_path, 12)]
    assert made.intact(place(tmp_path), {"size": 12})
    assert not made.intact(place(tmp_path), {"size": 13})
    assert thing(size=1).intact(place(tmp_path), {})
    seen = {
        hooked(size=12).fingerprint("", place(tmp_path)),
        hooked(size=25).fingerprint("", place(tmp_path)),
    }
    assert len(seen) == 2


def test_a_step_without_a_forecast_passes_the_rows_on(tmp_path: Path) -> None:
    estimate = thing(size=1).forecast(Outlook(place(tmp_path), Rows(Range.exactly(7))))
    assert (estimate.rows.count.low, estimate.rows.count.expected, estimate.calls) == (7, 7, NONE)
    assert estimate.rows.count.ceiling is None  # it may make rows, for all that is known
    assert "its calls are not counted" in estimate.source
