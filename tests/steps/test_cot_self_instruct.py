"""cot_self_instruct: a task is taken when it can be read, is new, and has an answer that a verifier reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import Echo
from given import given

from selfinstruct.errors import ConfigError, DataError, TeacherError
from selfinstruct.outlook import Outlook, Range, Rows
from selfinstruct.pipeline import Outcome, Pipeline, execute, run
from selfinstruct.sample import Sample
from selfinstruct.steps import best_of, cot_self_instruct
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Request, Teacher
from selfinstruct.teachers.offline import OfflineTeacher, check

Play = Callable[[Teacher], str]
SEEDS = [
    Sample.of("Add the two numbers in the input.", "3 4", "7"),
    Sample.of("How many legs have five spiders together?", "", "40"),
    Sample.of("写一首关于大海的短诗。", "", "海"),
]


def parts(task: str, answer: str = "18", *, without: Sequence[str] = ()) -> str:
    found = [
        ("analysis", "Good ones."),
        ("plan", "Do so."),
        ("task", task),
        ("solution", "So."),
        ("answer", answer),
    ]
    return "\n".join(f"<{name}>{value}</{name}>" for name, value in found if name not in without)


def fresh(draw: int) -> str:
    return f"Say how w{draw} meets v{draw} near u{draw} in numbers."


class Planner(Echo):
    """Answers draw i with `write(i)`."""

    def __init__(self, write: Callable[[int], str | Completion], **options: Any) -> None:
        super().__init__(model=options.pop("model", "planner"), **options)
        self.write = write

    async def complete(self, request: Request) -> Completion:
        await super().complete(request)
        answer = self.write(request.draw)
        return answer if isinstance(answer, Completion) else Completion(answer)


def grown(
    folder: Path, teacher: str, *, name: str = "run", seeds: Sequence[Sample] = SEEDS, **options: Any
) -> Outcome:
    return execute([given(seeds), cot_self_instruct(**options)], out=folder / name, teacher=teacher)


def drops(outcome: Outcome) -> dict[str, int]:
    return {reason: count for reason, count in outcome.funnel.steps[1].drops.items() if reason != "seed_task"}


def test_exactly_n_tasks_that_wait_for_an_answer(tmp_path: Path, play: Play) -> None:
    teacher = Planner(lambda draw: parts(fresh(draw), f"{draw}"))
    outcome = grown(tmp_path, play(teacher), n=5)
    assert [row.instruction for row in outcome.samples] == [fresh(draw) for draw in range(5)]
    for draw, row in enumerate(outcome.samples):
        assert not row.answered
        assert (row.meta["recipe"], row.meta["answer"]) == ("cot_self_instruct", str(draw))
        assert len(set(row.parents)) == 2 <= len(set(row.parents) & {seed.id for seed in SEEDS})
    step = outcome.funnel.steps[1]
    assert step.came + step.made == step.kept + step.dropped
    assert step.drops["seed_task"] == 3


def test_what_the_teacher_is_asked(tmp_path: Path, play: Play) -> None:
    teacher = Planner(lambda draw: parts(fresh(draw)))
    outcome = grown(tmp_path, play(teacher), n=1, examples=3, language="Swahili")
    (message,) = teacher.asked[0].messages
    for seed in SEEDS:
        assert seed.messages[0].content in message.content
    assert message.content.index("<plan>") < message.content.index("<task>") < message.content.index("3 4")
    assert "7\n" not in message.content.partition("Example tasks")[2]  # answers are not shown
    assert "Swahili" in message.content
    assert len(outcome.samples) == 1
    other = Planner(lambda draw: parts(fresh(draw), without=["solution", "answer"]), model="open")
    rows = grown(tmp_path, play(other), name="open", n=1, kind="open").samples
    assert "answer" not in rows[0].meta
    assert "<answer>" not in other.asked[0].messages[0].content


WRITTEN: list[tuple[str | Completion, str]] = [
    (parts(fresh(1), without=["task"]), "no_task"),
    (parts(fresh(1), without=["answer"]), "no_answer"),
    (parts(" "), "no_task"),
    (parts(fresh(1)) + parts(fresh(2)), "two_tasks"),
    (f"<task>{fresh(1)}</task><answer>1</answer><answer>2</answer>", "two_answers"),
    (f"<task>{fresh(1)}", "no_task"),
    ("I'm sorry, I can't.", "no_task"),
    ("", "empty_output"),
    (Completion(parts(fresh(1))[:60], "length"), "truncated"),
    (Completion("", "filtered"), "filtered"),
    (parts("Like the example task above, add 3 and 4."), "meta_words"),
    (parts("Write the new task with <plan> in it."), "meta_words"),
    (parts("The new task: add 3 and 4 and say so."), "meta_words"),
    (parts("Add it."), "too_short"),
    (parts("Draw a picture of a house by the sea."), "beyond_text"),
    (parts("Add the two numbers in the input, please."), "not_novel"),
    (parts("写一首关于大海的短诗！"), "not_novel"),
    (parts(fresh(1), "many"), "answer_no_answer"),
    (parts(fresh(1), "3 or 4"), "answer_two_answers"),
]


@pytest.mark.parametrize(("text", "reason"), WRITTEN, ids=[reason for _, reason in WRITTEN])
def test_what_is_not_taken_is_dropped_with_its_reason(
    tmp_path: Path, play: Play, text: str | Completion, reason: str
) -> None:
    teacher = Planner(lambda draw: text if draw == 0 else parts(fresh(draw)))
    outcome = grown(tmp_path, play(teacher), n=1, window=1)
    assert [row.instruction for row in outcome.samples] == [fresh(1)]
    assert drops(outcome) == {reason: 1}


@pytest.mark.parametrize(
    "task",
    [
        "Write three sample questions for a job interview with a nurse.",
        "Write an e-mail to the team about the new task list on the wall.",
    ],
)
def test_a_task_that_only_sounds_like_the_prompt_is_taken(tmp_path: Path, play: Play, task: str) -> None:
    assert grown(tmp_path, play(Planner(lambda draw: parts(task))), n=1).samples[0].instruction == task


@pytest.mark.parametrize("fidelity", ["fixed", "paper"])
def test_yield_and_coverage_are_told_as_in_other_loops(tmp_path: Path, play: Play, fidelity: str) -> None:
    teacher = Planner(lambda draw: parts(fresh(draw)))
    facts = grown(tmp_path, play(teacher), n=4, fidelity=fidelity).funnel.steps[1].facts
    assert facts["headline"] == "4 tasks in 4 calls: 1,000 per 1,000 calls (100% of those written)"
    assert facts["coverage"]["seeds"] == 3
    assert facts["coverage"]["openings"]["most"] == {"say": 4}


def test_sparse_sampling_shows_what_has_few_new_tasks_near_it(tmp_path: Path, play: Play) -> None:
    """Every new task lies near the first seed, which is shown in a third of the calls, or hardly ever again."""

    def times(sampling: str) -> int:
        teacher = Planner(lambda draw: parts(f"Add the two numbers x{draw} y{draw} z{draw}."), model=sampling)
        grown(
            tmp_path,
            play(teacher),
            name=sampling,
            n=60,
            examples=1,
            window=1,
            sampling=sampling,
            threshold=0.9,
        )
        return sum(SEEDS[0].instruction in request.messages[0].content for request in teacher.asked)

    assert times("uniform") > 12
    assert times("sparse") < 6


def test_paper_takes_every_task_that_can_be_read(tmp_path: Path, play: Play) -> None:
    texts = [parts("Add it."), parts("Add the two numbers in the input."), parts(fresh(1), "many")]
    teacher = Planner(lambda draw: texts[draw])
    outcome = grown(tmp_path, play(teacher), n=3, fidelity="paper")
    assert [row.meta["answer"] for row in outcome.samples] == ["18", "18", "many"]
    assert drops(outcome) == {}


def test_tasks_are_compared_with_one_another(tmp_path: Path, play: Play) -> None:
    teacher = Planner(lambda draw: parts(fresh(draw // 2)))
    outcome = grown(tmp_path, play(teacher), n=3, window=1)
    assert [row.instruction for row in outcome.samples] == [fresh(0), fresh(1), fresh(2)]
    assert drops(outcome) == {"not_novel": 2}
    with Store.read(outcome.dir) as store:
        similar = [drop.detail for drop in store.drops(1) if drop.reason == "not_novel"]
    assert similar[0]["similar_to"] == outcome.samples[0].id


def test_a_teacher_that_repeats_itself_ends_the_step_with_a_warning(tmp_path: Path, play: Play) -> None:
    teacher = Planner(lambda draw: parts(fresh(0)))
    outcome = grown(tmp_path, play(teacher), n=9, patience=5, window=1)
    assert len(outcome.samples) == 1
    assert len(teacher.asked) == 6
    assert outcome.funnel.steps[1].facts["warning"].startswith("stopped at 1 of 9 tasks: 5 calls")
    with pytest.raises(TeacherError, match="not one task that could be kept"):
        grown(tmp_path, play(Planner(lambda draw: "no", model="no")), name="b", n=9, patience=5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n": 1, "examples": 4}, DataError, "3 seed tasks came in, and each prompt shows 4"),
        ({"n": 1, "threshold": 1.5}, ConfigError, "threshold is 1.5"),
        ({"n": 1, "kind": "opne"}, ConfigError, "option `kind`"),
        ({}, ConfigError, "needs the option `n`"),
    ],
)
def test_wrong_options_are_errors_before_any_call(
    tmp_path: Path, play: Play, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    teacher = Planner(lambda draw: parts(fresh(draw)))
    with pytest.raises(error, match=message):
        grown(tmp_path, play(teacher), **options)
    assert teacher.asked == []


def test_rows_depend_on_neither_concurrency_nor_window_and_a_replay_asks_nothing(
    tmp_path: Path, play: Play
) -> None:
    def rows(name: str, concurrency: int, window: int) -> list[dict[str, Any]]:
        spec = {"model": play(OfflineTeacher(faults=0.3)), "concurrency": concurrency}
        outcome = execute(
            [given(SEEDS), cot_self_instruct(n=30, answers="exact", window=window)],
            out=tmp_path / name,
            teacher=spec,
        )
        return [row.to_row() for row in outcome.samples]

    reference = rows("one", 1, 16)
    assert len(reference) == 30
    assert rows("many", 64, 16) == rows("wide", 64, 64) == rows("narrow", 7, 1) == reference


def test_answer_consistency_removes_the_wrong_answers(tmp_path: Path, play: Play) -> None:
    """The offline teacher gives one wrong answer in five to its own tasks; what is left after the filter is right."""
    steps = (
        given(SEEDS),
        cot_self_instruct(n=60, answers="exact"),
        best_of(draws=7, verifier="exact", pick="majority", reference="answer"),
    )
    pipeline = Pipeline("p", steps, {"teacher": play(OfflineTeacher(wrong=0.2, faults=0))})
    outcome = run(pipeline, tmp_path / "run")
    with Store.read(outcome.dir) as store:
        dropped = [drop.sample for drop in store.drops(2) if drop.reason == "not_the_reference"]
    short = [row for row in dropped if isinstance(row, Sample) and "\n" not in row.meta["answer"]]
    assert len(outcome.samples) > 30
    assert {check(row.messages[0].content, "", row.meta["answer"]) for row in outcome.samples} == {True}
    assert len(short) > 3
    assert {check(row.messages[0].content, "", row.meta["answer"]) for row in short} == {False}


def test_the_outlook_is_of_the_order_of_what_comes(tmp_path: Path, play: Play) -> None:
    step = cot_self_instruct(n=70)
    place = Pipeline("p", (step,), {"teacher": play(OfflineTeacher())}).place(tmp_path)
    estimate = step.forecast(Outlook(place, Rows(Range.exactly(3), 30, 200, 600)))
    assert estimate.rows.count == Range.exactly(70)
    assert estimate.rows.waiting == 1
    assert estimate.calls == Range(70, 100, 70 * 50 - 1 + 64)  # 70 / 0.7
    assert estimate.output_tokens.ceiling == estimate.calls.ceiling * 4096  # type: ignore[operator]
