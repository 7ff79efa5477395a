"""Why a row was kept or dropped, told from a run whose every row is known."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import Echo, own_steps
from rich.console import Console

from selfinstruct.errors import ConfigError
from selfinstruct.pipeline import execute
from selfinstruct.run import Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, filter, step
from selfinstruct.steps import instances, novelty, respond
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Teacher
from selfinstruct.why import story

SEED = Sample.of("Name a colour.", "", "Red", meta={"source": "mine.jsonl"})
CHILD = Sample.of("Name three warm colours of autumn leaves", parents=[SEED.id])
TWIN = Sample.of("Name three warm colours of autumn leaves please", parents=[SEED.id])
SHORT = Sample.of("Hi", parents=[SEED.id])

with own_steps():

    @step
    async def grown(run: Run, samples: Samples) -> Samples:
        """A seed and three rows made from it, one of which is a text only."""
        async for sample in samples:
            yield sample
        run.made(5)
        yield SEED
        for sample in (CHILD, TWIN, SHORT):
            yield sample
        run.drop("no row", "bad_block", detail="labels")

    @filter
    def long_enough(sample: Sample, *, low: int = 2) -> str | None:
        """Drop rows of few words."""
        return "too_short" if len(sample.instruction.split()) < low else None


@pytest.fixture
def store(tmp_path: Path, play: Callable[[Teacher], str]) -> Store:
    steps = [grown(), long_enough(low=2), novelty(threshold=0.7), respond()]
    execute(steps, out=tmp_path / "run", teacher=play(Echo()))
    return Store.read(tmp_path / "run")


def told(store: Store, id: str) -> str:
    console = Console(width=200, force_terminal=False)
    with console.capture() as capture:
        console.print(story(store, id))
    return capture.get()


def test_a_row_that_was_dropped(store: Store) -> None:
    said = told(store, SHORT.id[:8])
    assert said.splitlines()[0] == f"{SHORT.id}  Hi"
    assert "dropped by long_enough (step 2 of 4): too_short (rule long_enough, low 2)" in said
    assert "1 grown        made" in said
    assert "2 long_enough  dropped: too_short" in said
    assert f"{SEED.id[:8]}  Name a colour." in said


def test_a_row_that_resembles_another(store: Store) -> None:
    said = told(store, TWIN.id)
    # 7 and 8 words, 7 in common: 2 * 7 / 15
    assert "not_novel (rule rouge_l, value 0.933333, threshold 0.7)" in said
    assert f"it resembles {CHILD.id[:8]}: {CHILD.instruction}" in said


def test_a_row_that_was_answered_goes_on_under_another_id(store: Store) -> None:
    answered = CHILD.answer(CHILD.instruction)
    before = told(store, CHILD.id)
    assert f"changed by respond: it goes on as {answered.id[:8]}" in before
    after = told(store, answered.id)
    assert "kept: one of the 2 rows of the last step (respond)" in after
    assert f"it was {CHILD.id[:8]}, without this answer" in after
    assert "4 respond      answered: by request" in after
    assert "of echo" in after


def test_a_seed_and_what_was_made_from_it(store: Store) -> None:
    said = told(store, SEED.id)
    assert "came in from mine.jsonl" in said
    assert "made from it: 4 rows, 2 of them dropped" in said
    assert "(dropped by long_enough: too_short)" in said


@pytest.mark.parametrize(
    ("id", "message", "hint"),
    [
        ("abc", "'abc' is no id of a row", "32 hex digits"),
        ("xyzw", "'xyzw' is no id of a row", "4 or more"),
        ("0000000000", "no row of this run has an id that begins with 0000000000", "show --drops all"),
    ],
)
def test_what_is_no_row(store: Store, id: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        told(store, id)
    assert wrong.value.message == message
    assert hint in wrong.value.hint


def test_the_key_of_a_request_is_told_from_an_id(store: Store) -> None:
    (key,) = {
        row.meta["requests"]["respond"] for row in store.samples(3) if row.instruction == CHILD.instruction
    }
    with pytest.raises(ConfigError) as wrong:
        told(store, key)
    assert "it is the key of a request" in wrong.value.hint


def test_the_beginning_of_several_ids(tmp_path: Path) -> None:
    with own_steps():

        @step
        async def many(run: Run, samples: Samples) -> Samples:
            """Rows until two ids begin alike."""
            async for sample in samples:
                yield sample
            run.made(2_000)
            for i in range(2_000):
                yield Sample.of(f"row {i}")

        execute([many()], out=tmp_path / "run")
    rows = sorted(Sample.of(f"row {i}").id for i in range(2_000))
    first, second = next((a, b) for a, b in itertools.pairwise(rows) if a[:4] == b[:4])
    with Store.read(tmp_path / "run") as store:
        with pytest.raises(ConfigError, match=f"{first[:4]} begins the ids of") as wrong:
            told(store, first[:4])
        assert first[:8] in wrong.value.hint
        assert second in told(store, second)


def test_a_row_that_others_were_made_of_is_used_up(tmp_path: Path, play: Callable[[Teacher], str]) -> None:
    task = Sample.of("Name a colour.", meta={"is_classification": False})
    child = Sample.of("Name another colour.", meta={"is_classification": False}, parents=[task.id])
    with own_steps():

        @step
        async def tasks(run: Run, samples: Samples) -> Samples:
            """A task, and one that was made from it in the same step."""
            run.made(2)
            yield task
            yield child

        first = tasks()
    echo = Echo(Completion("Output: Red\nOutput: Blue"), Completion("Red"))
    execute([first, instances(window=1)], out=tmp_path / "run", teacher=play(echo))
    store = Store.read(tmp_path / "run")
    assert "used up by instances: it became 2 rows" in told(store, task.id)
    assert "made from it: 3 rows" in told(store, task.id)
    assert "dropped by instances (step 2 of 2): no_instance" in told(store, child.id)
