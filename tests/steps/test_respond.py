"""The respond step: every waiting row gets a whole answer, or a reason."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Echo
from given import given

from selfinstruct.errors import ConfigError
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.sample import Message, Sample
from selfinstruct.steps.respond import respond
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Request, Teacher

Play = Callable[[Teacher], str]
WAITING = [Sample.of("Repeat the input.", f"word {n}") for n in range(5)]


def responded(folder: Path, rows: list[Sample], *, name: str = "run", **options: Any) -> Outcome:
    models = {role: options.pop(role) for role in ("teacher", "judge", "student") if role in options}
    return execute([given(rows), respond(**options)], out=folder / name, **models)


def test_waiting_rows_are_answered_and_answered_ones_left_alone(tmp_path: Path, play: Play) -> None:
    teacher = Echo()
    done = Sample.of("Name a colour.", "", "Red")
    rows = [WAITING[0], done, WAITING[1]]
    outcome = responded(tmp_path, rows, teacher=play(teacher))
    assert [row.output for row in outcome.samples] == [
        "Repeat the input.\n\nword 0",
        "Red",
        "Repeat the input.\n\nword 1",
    ]
    assert outcome.samples[1] == done
    assert [row.input for row in outcome.samples] == ["word 0", "", "word 1"]
    assert len(teacher.asked) == 2
    assert teacher.asked[0].messages == WAITING[0].messages
    assert dict(teacher.asked[0].params) == {"temperature": 0.7, "max_tokens": 2048}
    with Store.read(tmp_path / "run") as store:
        filed = store.get(outcome.samples[0].meta["requests"]["respond"])
    assert filed is not None
    assert filed.completion.text == outcome.samples[0].output


def test_again_replaces_the_last_answer(tmp_path: Path, play: Play) -> None:
    talk = (
        Message("user", "One?"),
        Message("assistant", "1"),
        Message("user", "Two?"),
        Message("assistant", "3"),
    )
    teacher = Echo()
    (row,) = responded(tmp_path, [Sample(talk)], teacher=play(teacher), again=True).samples
    assert row.messages == (*talk[:3], Message("assistant", "Two?"))
    assert teacher.asked[0].messages == talk[:3]


def test_a_system_message_becomes_part_of_the_row_and_replaces_another(tmp_path: Path, play: Play) -> None:
    talk = (Message("system", "Old."), Message("user", "Hi"))
    rows = [Sample(talk), WAITING[0], Sample.of("Left alone.", "", "Yes")]
    outcome = responded(tmp_path, rows, teacher=play(Echo()), system="Be brief.")
    assert outcome.samples[0].messages == (
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Hi"),
    )
    assert outcome.samples[1].messages[0] == Message("system", "Be brief.")
    assert (outcome.samples[1].instruction, outcome.samples[1].input) == ("Repeat the input.", "word 0")
    assert outcome.samples[2] == rows[2]


def test_an_answer_that_is_none_is_dropped_with_its_reason(tmp_path: Path, play: Play) -> None:
    answers = {
        "word 0": Completion("half an ans", "length"),
        "word 1": Completion("", "filtered", refusal="policy"),
        "word 2": Completion("", "rejected", refusal="too long"),
        "word 3": Completion(" \n "),
        "word 4": Completion("  whole \n"),
    }

    class Faulty(Echo):
        async def complete(self, request: Request) -> Completion:
            await super().complete(request)
            return answers[request.messages[-1].content[-6:]]

    teacher = Faulty()
    outcome = responded(tmp_path, WAITING, teacher=play(teacher))
    assert [row.output for row in outcome.samples] == ["whole"]
    with Store.read(tmp_path / "run") as store:
        drops = [(drop.reason, drop.detail, drop.sample) for drop in store.drops(1)]
        paid = store.spent().calls
    assert drops == [
        ("truncated", {"detail": ""}, WAITING[0]),
        ("filtered", {"detail": "policy"}, WAITING[1]),
        ("rejected", {"detail": "too long"}, WAITING[2]),
        ("empty_output", {"detail": ""}, WAITING[3]),
    ]
    assert paid == 2 + 2 + 1 + 2 + 1  # two draws of what may come better; all of them stay in the store
    assert [
        (request.draw, request.params["max_tokens"])
        for request in teacher.asked
        if request.messages[-1].content.endswith("word 0")
    ] == [(0, 2048), (1, 4096)]


def test_a_second_draw_may_be_whole(tmp_path: Path, play: Play) -> None:
    teacher = Echo(Completion("half", "length"), Completion("", "filtered"), Completion("", "stop"))
    outcome = responded(tmp_path, WAITING[:1], teacher=play(teacher), draws=4)
    assert [row.output for row in outcome.samples] == ["Repeat the input.\n\nword 0"]
    assert [request.draw for request in teacher.asked] == [0, 1, 2, 3]
    (row,) = outcome.samples
    with Store.read(tmp_path / "run") as store:
        assert store.request(row.meta["requests"]["respond"])["draw"] == 3  # type: ignore[index]


def test_rows_come_out_in_order_whatever_the_latency(tmp_path: Path, play: Play) -> None:
    rows = [Sample.of(f"Say {n}.") for n in range(80)]
    outcomes = []
    for concurrency, window in ((1, 1), (64, 32)):
        teacher = Echo(latency=lambda _: random.random() / 200 if concurrency > 1 else 0)  # noqa: B023
        spec = {"model": play(teacher), "concurrency": concurrency}
        outcomes.append(responded(tmp_path, rows, name=f"run{window}", teacher=spec, window=window).samples)
        assert teacher.most <= window
    assert outcomes[0] == outcomes[1]
    assert [row.output for row in outcomes[0]] == [f"Say {n}." for n in range(80)]


def test_equal_rows_share_one_call(tmp_path: Path, play: Play) -> None:
    teacher = Echo()
    outcome = responded(tmp_path, [WAITING[0]] * 20, teacher=play(teacher))
    assert len(outcome.samples) == 20
    assert len(teacher.asked) == 1


def test_the_role_that_answers_and_its_parameters(tmp_path: Path, play: Play) -> None:
    teacher, student = Echo(model="big"), Echo(model="small")
    spec = {"model": play(student), "params": {"temperature": None, "max_tokens": 9}}
    responded(tmp_path, WAITING[:1], teacher=play(teacher), student=spec, by="student", temperature=0.1)
    assert teacher.asked == []
    assert dict(student.asked[0].params) == {"max_tokens": 9}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "tutor"}, "option `by`"),
        ({"window": 0}, "option `window`"),
        ({"max_tokens": 0}, "option `max_tokens`"),
        ({"draws": 0}, "option `draws`"),
        ({"sistem": "x"}, "has no option `sistem`"),
    ],
)
def test_wrong_options(tmp_path: Path, play: Play, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        responded(tmp_path, WAITING, teacher=play(Echo()), **options)


def test_without_a_model_nothing_begins(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"step 2 \(respond\): no model is named for the role `teacher`"):
        responded(tmp_path, WAITING)
