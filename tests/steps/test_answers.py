"""The answers step: several independent answers to each prompt, each a row."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import Echo
from given import given

from selfinstruct.errors import ConfigError
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.sample import Message, Sample
from selfinstruct.steps.answers import PRINCIPLES, answers
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Request, Teacher

Play = Callable[[Teacher], str]
ZH = Path(__file__).parents[3] / "shared" / "data" / "noncommercial" / "alpaca" / "alpaca_zh_200.jsonl.gz"


class Writer(Echo):
    """Says what `say` makes of the request."""

    def __init__(self, say: Callable[[Request], str | Completion], model: str = "writer") -> None:
        super().__init__(model=model)
        self.say = say

    async def complete(self, request: Request) -> Completion:
        await super().complete(request)
        said = self.say(request)
        return said if isinstance(said, Completion) else Completion(said)


def numbered(request: Request) -> str:
    return f"{request.messages[-1].content} #{request.draw}"


def answering(
    folder: Path, rows: Sequence[Sample], models: dict[str, Any], name: str = "run", **options: Any
) -> Outcome:
    return execute([given(rows), answers(**options)], out=folder / name, **models)


def drops(folder: Path) -> list[str]:
    with Store.read(folder / "run") as store:
        return [drop.reason for drop in store.drops(1)]


def test_each_answer_is_a_row_with_its_model_and_its_request(tmp_path: Path, play: Play) -> None:
    one, two = play(Writer(numbered, "one")), play(Writer(lambda request: f"{numbered(request)}!", "two"))
    rows = [
        Sample.of("Name a fish.", meta={"source": "x"}),
        Sample.of("Name a bird.", "", "Owl").score(accuracy=5),
    ]
    outcome = answering(tmp_path, rows, {"teacher": one, "student": two}, k=3, by=("teacher", "student"))
    assert [row.output for row in outcome.samples] == [
        *("Name a fish. #0", "Name a fish. #1!", "Name a fish. #2"),
        *("Name a bird. #0", "Name a bird. #1!", "Name a bird. #2"),
    ]
    assert [row.meta["answered_by"] for row in outcome.samples[:3]] == ["one", "two", "one"]
    assert outcome.samples[0].meta["source"] == "x"
    assert all(not row.scores for row in outcome.samples)  # the score was of another answer
    with Store.read(tmp_path / "run") as store:
        for row in outcome.samples:
            assert store.request(row.meta["requests"]["answers"])
    step = outcome.funnel.steps[1]
    assert (step.came, step.made, step.kept, step.calls) == (2, 4, 6, 6)


def test_rows_with_the_same_prompt_get_independent_answers(tmp_path: Path, play: Play) -> None:
    teacher = Writer(numbered)
    outcome = answering(tmp_path, [Sample.of("Name a fish.")] * 2, {"teacher": play(teacher)}, k=2)
    assert [row.output[-2:] for row in outcome.samples] == ["#0", "#1", "#2", "#3"]
    assert len({request.key for request in teacher.asked}) == 4


def test_what_says_the_same_again_is_dropped(tmp_path: Path, play: Play) -> None:
    teacher = Writer(lambda request: ("Trout", "Trout ", "Carp")[request.draw])
    outcome = answering(tmp_path, [Sample.of("Name a fish.")], {"teacher": play(teacher)}, k=3)
    assert [row.output for row in outcome.samples] == ["Trout", "Carp"]
    assert drops(tmp_path) == ["same_answer"]


def test_an_answer_that_came_is_kept_where_that_is_wanted(tmp_path: Path, play: Play) -> None:
    rows = [Sample.of("Name a fish.", "", "Pike").score(accuracy=4), Sample.of("Name a bird.")]
    outcome = answering(tmp_path, rows, {"teacher": play(Writer(numbered))}, k=1, keep=True)
    assert [row.output for row in outcome.samples] == ["Pike", "Name a fish. #0", "Name a bird. #0"]
    assert outcome.samples[0] == rows[0]
    assert outcome.funnel.steps[1].made == 1


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "empty_output"),
        (Completion("Trout is", "length"), "truncated"),
        (Completion("", "filtered", refusal="policy"), "filtered"),
        (Completion("", "rejected", refusal="too long"), "rejected"),
    ],
)
def test_a_failed_answer_costs_itself_and_no_other(
    tmp_path: Path, play: Play, said: str | Completion, reason: str
) -> None:
    teacher = Writer(lambda request: said if request.draw == 1 else numbered(request))
    outcome = answering(tmp_path, [Sample.of("Name a fish.")], {"teacher": play(teacher)}, k=3)
    assert [row.output[-1] for row in outcome.samples] == ["0", "2"]
    assert drops(tmp_path) == [reason]


def test_a_principle_is_said_to_the_teacher_and_is_no_part_of_the_row(tmp_path: Path, play: Play) -> None:
    teacher = Writer(numbered)
    talk = (
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("user", "  indented\n"),
    )
    rows = [Sample(talk), *(Sample.of(f"Name {n} fish.") for n in range(20))]
    outcome = answering(tmp_path, rows, {"teacher": play(teacher)}, principles=True)
    assert {row.meta["principle"] for row in outcome.samples} == set(PRINCIPLES)
    assert all(row.prompt in {each.prompt for each in rows} for row in outcome.samples)
    first = next(request for request in teacher.asked if len(request.messages) == 4)
    assert first.messages[0].content.startswith("Be brief.\n\n")
    assert first.messages[1:] == talk[1:]
    for request in teacher.asked:
        assert [message.role for message in request.messages].count("system") == 1


def test_a_row_in_which_nobody_asks_costs_no_other_row(tmp_path: Path, play: Play) -> None:
    """Its principle stands alone, or behind its system message, which is made no user's."""
    teacher = Writer(lambda request: "said")
    rows = [
        Sample((Message("assistant", "Hello."),)),
        Sample((Message("system", "Be brief."), Message("assistant", "Hello."))),
        Sample.of("   "),
        Sample.of("Name a fish."),
    ]
    outcome = answering(tmp_path, rows, {"teacher": play(teacher)}, k=1, principles=True)
    assert [row.prompt for row in outcome.samples] == [row.prompt for row in rows]
    assert [[each.role for each in request.messages] for request in teacher.asked] == [
        *(["system"], ["system"]),
        *(["system", "user"], ["system", "user"]),
    ]
    assert teacher.asked[1].messages[0].content.startswith("Be brief.\n\n")


def test_the_principles_are_those_of_the_paper() -> None:
    """Cui et al. 2023, section 2: helpfulness, truthfulness, honesty, verbalised calibration."""
    assert set(PRINCIPLES) == {"helpfulness", "truthfulness", "honesty", "calibration"}


def test_the_same_run_draws_the_same_principles_and_another_seed_others(tmp_path: Path, play: Play) -> None:
    teacher = {"teacher": play(Writer(numbered))}
    rows = [Sample.of(f"Name {n} fish.") for n in range(8)]
    one, two = (answering(tmp_path, rows, teacher, name, principles=True) for name in ("a", "b"))
    other = answering(tmp_path, rows, {**teacher, "seed": 1}, "c", principles=True)
    drawn = [[row.meta["principle"] for row in each.samples] for each in (one, two, other)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_replay_asks_nothing(tmp_path: Path, play: Play) -> None:
    teacher = Writer(numbered)
    models = {"teacher": play(teacher)}
    rows = [Sample.of("Name a fish."), Sample.of("Name a bird.")]
    before = answering(tmp_path, rows, models, k=3, principles=True)
    asked = len(teacher.asked)
    again = answering(tmp_path, rows, models, k=3, principles=True, window=1)
    assert again.samples == before.samples
    assert len(teacher.asked) == asked == 6


@pytest.mark.skipif(not ZH.is_file(), reason="the rows lie beside the repository, not in it")
def test_rows_of_any_language_pass_undamaged(tmp_path: Path, play: Play) -> None:
    """199 Chinese rows, and Arabic, French and code: prompts and answers as they were."""
    texts = [json.loads(line)["instruction"] for line in gzip.decompress(ZH.read_bytes()).splitlines()]
    texts += ["اكتب قصيدة عن البحر.", "Écris « bonjour » à l’élève.", "def f():\n\treturn '{{ x }}'  # \\n"]
    teacher = Writer(lambda request: request.messages[-1].content[::-1])
    outcome = answering(
        tmp_path, [Sample.of(text) for text in texts], {"teacher": play(teacher)}, k=1, principles=True
    )
    assert [(row.instruction, row.output) for row in outcome.samples] == [
        (text, text[::-1].strip()) for text in texts
    ]


def test_no_role_is_an_error_before_anything_is_asked(tmp_path: Path, play: Play) -> None:
    with pytest.raises(ConfigError, match="names no role"):
        answering(tmp_path, [Sample.of("Hi")], {"teacher": play(Writer(numbered))}, by=())
