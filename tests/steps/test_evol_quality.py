"""The evol_quality step: responses improve step by step, and what a run of variants is good for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import Echo
from given import given

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.outlook import Outlook, Range, Rows
from selfinstruct.pipeline import Outcome, Pipeline, execute, run
from selfinstruct.sample import Message, Sample
from selfinstruct.steps import evol_quality
from selfinstruct.steps.evol_quality import ALL
from selfinstruct.teachers import Completion, Request, Teacher
from selfinstruct.teachers.offline import OfflineTeacher
from selfinstruct.teachers.offline.catalog import tasks

Play = Callable[[Teacher], str]
MARKED = re.compile(r"<([0-9a-f]{16}) (prompt|response)>\n(.*?)\n</\1 \2>", re.DOTALL)
ROW = Sample.of("Name a fish.", output="Trout")


class Scripted(Echo):
    """Improves a response by `rewrite(response, draw)`."""

    def __init__(
        self,
        rewrite: Callable[[str, int], str | Completion] = lambda text, draw: f"{text} more",
        **options: Any,
    ) -> None:
        super().__init__(model="scripted", **options)
        self.rewrite = rewrite

    async def complete(self, request: Request) -> Completion:
        await super().complete(request)
        parts = {name: text for _, name, text in MARKED.findall(request.messages[-1].content)}
        reply = self.rewrite(parts["response"], request.draw)
        return reply if isinstance(reply, Completion) else Completion(reply)


def improve(folder: Path, teacher: str, rows: Sequence[Sample] = (ROW,), **options: Any) -> Outcome:
    return execute([given(rows), evol_quality(**options)], out=folder / "run", teacher=teacher)


def reasons(outcome: Outcome) -> dict[str, int]:
    step = outcome.funnel.steps[1]
    assert step.came + step.made == step.kept + step.dropped
    return dict(step.drops)


def test_the_last_variant_takes_the_place_of_the_response(tmp_path: Path, play: Play) -> None:
    row = ROW.note(source="mine").score(accuracy=2)
    outcome = improve(tmp_path, play(Scripted()), [row], generations=3)
    (sample,) = outcome.samples
    assert (sample.instruction, sample.output) == ("Name a fish.", "Trout more more more")
    assert sample.scores == {}
    assert {key: sample.meta[key] for key in ("source", "recipe", "generation", "root")} == {
        "source": "mine", "recipe": "evol_quality", "generation": 3, "root": ROW.id,
    }  # fmt: skip
    assert len(sample.parents) == 1
    assert reasons(outcome) == {"superseded": 3}


def test_a_response_that_ends_as_it_began_makes_no_pair(tmp_path: Path, play: Play) -> None:
    """There and back again: nothing is better than itself."""
    turns = play(Scripted(lambda text, draw: "Salmon" if text == "Trout" else "Trout"))
    outcome = improve(
        tmp_path, turns, [Sample.of("Name a fish.", output="Trout")], generations=2, keep="pair"
    )
    assert outcome.samples == ()
    assert reasons(outcome) == {"superseded": 2, "no_pair": 1}


def test_all_variants_come_out_for_ranking(tmp_path: Path, play: Play) -> None:
    outcome = improve(tmp_path, play(Scripted()), [ROW, Sample.of("Name a bird.", output="Owl")], keep="all")
    groups: dict[str, list[tuple[int, str]]] = {}
    for sample in outcome.samples:
        groups.setdefault(str(sample.meta["root"]), []).append(
            (int(sample.meta["generation"]), sample.output)
        )
    assert [len(each) for each in groups.values()] == [6, 6]
    for found in groups.values():
        assert [generation for generation, _ in sorted(found)] == list(range(6))
        assert [text.count("more") for _, text in sorted(found)] == list(range(6))
    assert reasons(outcome) == {}


def test_a_pair_holds_the_response_that_came_as_rejected(tmp_path: Path, play: Play) -> None:
    rows = [ROW, Sample.of("Name a bird.", output="Owl")]
    teacher = Scripted(lambda text, draw: text if text == "Owl" else f"{text} more")
    outcome = improve(tmp_path, play(teacher), rows, generations=2, keep="pair")
    (sample,) = outcome.samples
    assert (sample.output, sample.rejected) == ("Trout more more", "Trout")
    assert reasons(outcome) == {"superseded": 2, "unchanged": 2, "no_pair": 1}


def test_a_failed_attempt_keeps_its_parent_and_is_an_independent_draw(tmp_path: Path, play: Play) -> None:
    said = ["", "Trout, and salmon"]
    teacher = Scripted(lambda text, draw: said[draw])
    outcome = improve(tmp_path, play(teacher), generations=2, ops=["details"])
    assert outcome.samples[0].output == said[1]
    assert [request.draw for request in teacher.asked] == [0, 1]
    assert reasons(outcome) == {"empty_output": 1, "superseded": 1}


def test_equal_rows_improve_independently(tmp_path: Path, play: Play) -> None:
    teacher = Scripted(lambda text, draw: f"{text} {draw}")
    outcome = improve(tmp_path, play(teacher), [ROW] * 3, generations=1, ops=["details"])
    assert [sample.output for sample in outcome.samples] == ["Trout 0", "Trout 1", "Trout 2"]


@pytest.mark.parametrize(
    ("rewrite", "fixed", "paper"),
    [
        ("Rewritten Response: Trout and salmon", "meta_words", "meta_words"),
        ("As the given prompt asks: trout", "meta_words", "meta_words"),
        ("trout.", "unchanged", None),
        ("I'm sorry, I can't rewrite it.", "sorry", None),
        ("I cannot help with that.", "refusal", None),
        ("Trout" + " and salmon" * 30, "growth", None),
        ("...", "empty_output", None),
        (Completion("Trout and", finish_reason="length"), "truncated", None),
        (Completion("", finish_reason="filtered"), "filtered", "filtered"),
        ("", "empty_output", "empty_output"),
        ("Trout and salmon", None, None),
        ("Brown", None, None),
    ],
)
def test_what_is_eliminated(
    tmp_path: Path, play: Play, rewrite: str | Completion, fixed: str | None, paper: str | None
) -> None:
    for fidelity, expected in (("fixed", fixed), ("paper", paper)):
        outcome = improve(
            tmp_path / fidelity, play(Scripted(lambda text, draw: rewrite)), generations=1, fidelity=fidelity
        )
        assert reasons(outcome) == {expected or "superseded": 1}, fidelity
        assert (outcome.samples[0].output == "Trout") is (expected is not None)


def test_operators_are_drawn_with_equal_chances_and_have_their_own_words(tmp_path: Path, play: Play) -> None:
    rows = [Sample.of(f"Name fish number {k}.", output="x") for k in range(500)]
    teacher = Scripted()
    outcome = improve(tmp_path, play(teacher), rows, generations=1)
    tried = {name: each[1] for name, each in outcome.funnel.steps[1].facts["operators"].items()}
    assert set(tried) == set(ALL)
    assert all(65 < count < 135 for count in tried.values())  # 100 expected, sigma 9
    assert len({request.messages[-1].content.partition("<")[0] for request in teacher.asked}) == 5


def test_the_whole_conversation_is_shown(tmp_path: Path, play: Play) -> None:
    history = (Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Name a fish."))
    teacher = Scripted()
    outcome = improve(
        tmp_path, play(teacher), [Sample((*history, Message("assistant", "Trout")))], generations=1
    )
    shown = {name: text for _, name, text in MARKED.findall(teacher.asked[0].messages[-1].content)}
    assert shown == {"prompt": "user: Hi\n\nassistant: Yes?\n\nuser: Name a fish.", "response": "Trout"}
    assert outcome.samples[0].messages == (*history, Message("assistant", "Trout more"))


@pytest.mark.parametrize("text", ["鲑鱼", "سمك السلمون", "Le saumon, la truite.", "print(x + 1)  # fish"])
def test_any_language_passes_undamaged(tmp_path: Path, play: Play, text: str) -> None:
    teacher = Scripted(lambda old, draw: f"{old}，{old[::-1]}")
    outcome = improve(tmp_path, play(teacher), [Sample.of("Name a fish.", output=text)], generations=1)
    assert outcome.samples[0].output == f"{text}，{text[::-1]}"


def test_a_row_without_a_response_is_an_error(tmp_path: Path, play: Play) -> None:
    with pytest.raises(DataError, match="has no response to improve"):
        improve(tmp_path, play(Scripted()), [Sample.of("Name a fish.")])


def test_a_replay_asks_nothing(tmp_path: Path, play: Play) -> None:
    def pipeline(teacher: Teacher) -> Pipeline:
        return Pipeline("p", (given([ROW, ROW]), evol_quality()), {"teacher": play(teacher)})

    first = run(pipeline(Scripted()), tmp_path / "run")
    silent = Scripted()
    assert run(pipeline(silent), tmp_path / "run", fresh=True).samples == first.samples
    assert silent.asked == []


@pytest.mark.parametrize("keep", ["last", "all", "pair"])
def test_the_bill_stays_under_the_ceiling(tmp_path: Path, play: Play, keep: str) -> None:
    rows = [Sample.of(task.instruction, task.input, task.output) for task in tasks(20, seed=5)]
    size = max(len(m.content) for row in rows for m in row.messages) * 2 + 100
    pipeline = Pipeline("p", (given(rows), evol_quality(keep=keep)), {"teacher": play(OfflineTeacher())})  # type: ignore[arg-type]
    place = pipeline.place(tmp_path / "run")
    estimate = pipeline.steps[1].forecast(Outlook(place, Rows(Range.exactly(len(rows)), 30, size, None)))
    step = run(pipeline, tmp_path / "run").funnel.steps[1]
    for figure, actual in (
        (estimate.calls, step.calls),
        (estimate.input_tokens, step.input_tokens),
        (estimate.output_tokens, step.output_tokens),
        (estimate.rows.count, step.kept),
    ):
        assert figure.ceiling is not None
        assert figure.low <= actual <= figure.ceiling


def test_wrong_options_are_told() -> None:
    with pytest.raises(ConfigError, match="option `keep`"):
        evol_quality(keep="best")  # type: ignore[arg-type]
