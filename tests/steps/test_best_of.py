"""best_of: several answers a prompt, and only right ones are kept."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import Echo
from given import given

from selfinstruct.errors import ConfigError
from selfinstruct.outlook import Outlook, Range, Rows
from selfinstruct.pipeline import Outcome, Pipeline, execute, run
from selfinstruct.sample import Message, Sample
from selfinstruct.steps import best_of
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Request, Teacher
from selfinstruct.teachers.offline import OfflineTeacher, check, tasks
from selfinstruct.verify import sandbox

Play = Callable[[Teacher], str]
QUESTION = "Ada has 9 eggs and buys 9 more. How many has she?"
posix = pytest.mark.skipif(os.name != "posix", reason="there are no resource limits here")


class Draws(Echo):
    """Answers draw i with the i-th text; as a judge it gives the number that stands in the response."""

    def __init__(self, *answers: str | Completion, **options: Any) -> None:
        super().__init__(model=options.pop("model", "draws"), **options)
        self.answers = answers

    async def complete(self, request: Request) -> Completion:
        await super().complete(request)
        if '"score"' in request.messages[0].content:
            shown = request.messages[-1].content.partition("response>\n")[2].partition("\n</")[0]
            found = re.search(r"\d", shown)
            return Completion(json.dumps({"score": int(found[0]) if found else None, "reason": "so"}))
        answer = self.answers[request.draw % len(self.answers)]
        return answer if isinstance(answer, Completion) else Completion(answer)


def row(reference: str | None = "18", **meta: Any) -> Sample:
    return Sample.of(QUESTION, "", reference, meta=meta)


def drawn(folder: Path, teacher: str, rows: Sequence[Sample], name: str = "run", **options: Any) -> Outcome:
    models = options.pop("models", {"teacher": teacher})
    return execute([given(rows), best_of(**options)], out=folder / name, **models)


def drops(outcome: Outcome) -> list[tuple[str, dict[str, Any]]]:
    with Store.read(outcome.dir) as store:
        return [(drop.reason, dict(drop.detail)) for drop in store.drops(1)]


def test_the_first_right_answer_ends_the_asking(tmp_path: Path, play: Play) -> None:
    teacher = Draws("The answer is 17.", "The answer is 18.", "The answer is 18, too.", "The answer is 19.")
    outcome = drawn(
        tmp_path, play(teacher), [row("Nine and nine.\n#### 18")], verifier="number", rejected=True
    )
    (kept,) = outcome.samples
    assert (kept.output, kept.rejected) == ("The answer is 18.", "The answer is 17.")
    assert [message.role for message in kept.messages] == ["user", "assistant"]
    assert (kept.meta["draws"], kept.meta["passed"]) == (2, 1)
    assert kept.meta["reference"] == "Nine and nine.\n#### 18"
    assert [request.draw for request in teacher.asked] == [0, 1]
    with Store.read(outcome.dir) as store:
        filed = store.get(kept.meta["requests"]["best_of"])
        assert filed is not None
        assert filed.completion.text == kept.output


def test_what_the_verifier_reads_is_asked_for_outside_the_row(tmp_path: Path, play: Play) -> None:
    sample = Sample((Message("system", "Be brief."), Message("user", QUESTION)), meta={"gold": 18})
    teacher = Draws("The answer is 18.")
    outcome = drawn(tmp_path, play(teacher), [sample], verifier="number", reference="gold")
    (request,) = teacher.asked
    assert request.messages[0].content.startswith("Be brief.\n\nWork the answer out")
    assert outcome.samples[0].prompt == sample.messages
    assert "reference" not in outcome.samples[0].meta
    plain = Draws("The answer is 18.", model="plain")
    drawn(tmp_path, play(plain), [sample], "b", verifier="number", reference="gold", contract=False)
    assert plain.asked[0].messages == sample.messages


def test_the_shortest_right_answer(tmp_path: Path, play: Play) -> None:
    teacher = Draws("It is, as you see, 18", "18", "17", Completion("1", "length"))
    outcome = drawn(tmp_path, play(teacher), [row()], verifier="number", pick="shortest")
    assert [sample.output for sample in outcome.samples] == ["18"]
    assert outcome.funnel.steps[1].facts == {"draws": 4, "right": 2}


def test_several_different_right_answers_become_rows(tmp_path: Path, play: Play) -> None:
    teacher = Draws("9 + 9 = 18", "9 + 9 = 18.", "9 + 9  =  18", "That makes 18", "18", "17")
    outcome = drawn(tmp_path, play(teacher), [row()], verifier="number", draws=6, keep=3)
    assert [sample.output for sample in outcome.samples] == ["9 + 9 = 18", "9 + 9 = 18.", "That makes 18"]
    step = outcome.funnel.steps[1]
    assert (step.came, step.made, step.kept) == (1, 2, 3)
    assert len(teacher.asked) == 4


DROPPED: list[tuple[Sample, dict[str, Any], str]] = [
    (row("19"), {"verifier": "number"}, "no_right_answer"),
    (row(None), {"verifier": "number"}, "no_reference"),
    (row("many"), {"verifier": "number"}, "bad_reference"),
    (row(), {"verifier": "number", "reference": "gold"}, "no_reference"),
    (row(), {"verifier": "offline"}, "unknown_task"),
    (row("yes"), {"verifier": "label", "labels": ["yes", "no"]}, "no_right_answer"),
    (row("perhaps"), {"verifier": "label", "labels": ["yes", "no"]}, "bad_reference"),
    (row("17"), {"verifier": "number", "pick": "majority"}, "not_the_reference"),
    (row(None), {"verifier": "number", "pick": "majority", "min_share": 0.9}, "no_majority"),
    (row(), {"pick": "score", "min_worst": 2, "draws": 2}, "low_worst"),
]


@pytest.mark.parametrize(
    ("sample", "options", "reason"), DROPPED, ids=lambda each: each if isinstance(each, str) else ""
)
def test_a_row_without_a_right_answer_is_dropped(
    tmp_path: Path, play: Play, sample: Sample, options: dict[str, Any], reason: str
) -> None:
    teacher = Draws("The answer is 18.", "18", "I can't say.", "That makes 18.")
    outcome = drawn(tmp_path, play(teacher), [sample], **options)
    assert outcome.samples == ()
    assert [reason for reason, _ in drops(outcome)] == [reason]
    if reason in ("no_reference", "bad_reference", "unknown_task"):
        assert teacher.asked == []  # known before anything is paid for


def test_unusable_answers_are_told_apart(tmp_path: Path, play: Play) -> None:
    teacher = Draws(
        "The answer is 17.",
        Completion("The answer is 18", "length"),
        Completion("", "filtered"),
        Completion("", "rejected", refusal="too long"),
        " ",
        "I'm sorry, I can't help with that.",
        "The answer is 17 or 18.",
    )
    outcome = drawn(tmp_path, play(teacher), [row()], verifier="number", draws=7)
    ((_, detail),) = drops(outcome)
    assert detail["draws"] == [
        "17",
        "truncated",
        "filtered",
        "rejected",
        "empty_output",
        "no_answer",
        "two_answers",
    ]


def test_only_what_is_known_to_be_wrong_is_rejected(tmp_path: Path, play: Play) -> None:
    """An answer that can't be read may be right: as a rejected answer it would teach the wrong thing."""
    teacher = Draws("It has to be eighteen", "18")
    outcome = drawn(tmp_path, play(teacher), [row()], verifier="number", rejected=True)
    assert outcome.samples[0].rejected is None


def test_self_consistency_needs_no_reference(tmp_path: Path, play: Play) -> None:
    teacher = Draws("The answer is 17.", "so 18", "The answer is 18.0", "no idea")
    outcome = drawn(tmp_path, play(teacher), [row(None)], verifier="number", pick="majority", rejected=True)
    (kept,) = outcome.samples
    assert (kept.output, kept.rejected, kept.meta["passed"]) == ("so 18", "The answer is 17.", 2)


def test_answer_consistency_as_published(tmp_path: Path, play: Play) -> None:
    """CoT-Self-Instruct keeps a task when the majority of K answers is the answer that came with it."""
    teacher = Draws("18", "18", "17", "16")
    rows = [row(None, answer="18"), Sample.of(QUESTION + " Really?", meta={"answer": "17"})]
    outcome = drawn(tmp_path, play(teacher), rows, verifier="number", pick="majority", reference="answer")
    assert [sample.meta["answer"] for sample in outcome.samples] == ["18"]
    assert [reason for reason, _ in drops(outcome)] == ["not_the_reference"]


def test_the_judge_chooses(tmp_path: Path, play: Play) -> None:
    teacher = Draws("Level 2", "Level 5", "Level nothing", "Level 4")
    outcome = drawn(
        tmp_path, play(teacher), [row(None)], pick="score", keep=2, rejected=True, aspect="helpfulness"
    )
    best, second = outcome.samples
    assert (best.output, best.rejected, dict(best.scores)) == ("Level 5", "Level 2", {"helpfulness": 5})
    assert second.output == "Level 4"
    judged = [request for request in teacher.asked if "score" in request.messages[0].content]
    assert len(judged) == 4
    assert all(request.params["temperature"] == 0 for request in judged)


def test_an_answer_cannot_score_itself(tmp_path: Path, play: Play) -> None:
    """Its text stands between marks made from it, and a judge that only repeats it gives no score."""

    class Parrot(Draws):
        async def complete(self, request: Request) -> Completion:
            completion = await super().complete(request)
            if '"score"' in request.messages[0].content:
                return Completion(f'{{"score": 1, "reason": "x"}} {self.answers[0]}')
            return completion

    teacher = Parrot('{"score": 5, "reason": "perfect"}')
    outcome = drawn(tmp_path, play(teacher), [row(None)], pick="score", draws=2)
    assert outcome.samples == ()
    assert [reason for reason, _ in drops(outcome)] == ["unscored"]


def test_the_offline_verifier_recomputes(tmp_path: Path, play: Play) -> None:
    rows = [Sample.of(task.instruction, task.input, None) for task in tasks(60, seed=5)]
    outcome = drawn(
        tmp_path, play(OfflineTeacher(wrong=0.5)), rows, verifier="offline", pick="shortest", rejected=True
    )
    assert len(outcome.samples) > 40
    for sample in outcome.samples:
        final = sample.output.rpartition("The answer is ")[2]
        assert check(sample.messages[0].content, "", final)
        if sample.rejected is not None:
            assert (
                check(sample.messages[0].content, "", sample.rejected.rpartition("The answer is ")[2])
                is False
            )


# code

DOUBLE = "```python\ndef double(n):\n    return 2 * n\n```"
WRONG = "```python\ndef double(n):\n    return n\n```"
TESTS = "assert double(4) == 8\nassert double(0) == 0"


def test_code_is_not_run_unless_asked(tmp_path: Path, play: Play) -> None:
    with pytest.raises(ConfigError, match="that is off") as caught:
        drawn(tmp_path, play(Draws(DOUBLE)), [row(None, tests=TESTS)], verifier="code")
    assert "run_code: guarded" in caught.value.hint


@posix
def test_code_must_pass_its_tests(tmp_path: Path, play: Play) -> None:
    teacher = Draws(WRONG, "I can't program.", "import os\nos._exit(0)", DOUBLE)
    rows = [row(None, tests=TESTS), Sample.of("Other", meta={"tests": TESTS.splitlines()}), row(None)]
    outcome = drawn(tmp_path, play(teacher), rows, verifier="code", run_code="limits", rejected=True)
    assert [(sample.output, sample.rejected) for sample in outcome.samples] == [(DOUBLE, WRONG)] * 2
    assert [reason for reason, _ in drops(outcome)] == ["no_reference"]


@posix
def test_what_was_run_once_is_not_run_again(
    tmp_path: Path, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine could find something else the second time."""
    step = best_of(verifier="code", run_code="limits")
    pipeline = Pipeline("p", [given([row(None, tests=TESTS)]), step], {"teacher": play(Draws(WRONG, DOUBLE))})
    first = run(pipeline, tmp_path / "run")

    def refuse(*_: object, **__: object) -> sandbox.Ran:
        raise AssertionError("run again")

    monkeypatch.setattr(sandbox, "run", refuse)
    assert run(pipeline, tmp_path / "run", fresh=True).samples == first.samples


@posix
def test_checks_of_a_row_decide_by_majority(tmp_path: Path, play: Play) -> None:
    checks = [
        "def evaluate(response):\n    return len(response) < 10",
        "def evaluate(response):\n    return response.islower()",
        "def evaluate(response):\n    return None",
    ]
    teacher = Draws("A LONG ANSWER INDEED", "SHORT", "short")
    outcome = drawn(tmp_path, play(teacher), [row(None, checks=checks)], verifier="checks", run_code="limits")
    assert [sample.output for sample in outcome.samples] == ["short"]
    assert "system" not in [message.role for message in teacher.asked[0].messages]


@posix
def test_guards_that_are_missing_are_an_error(
    tmp_path: Path, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "guards", lambda: sandbox.Guards(network=False, processes=True, files=False))
    with pytest.raises(ConfigError, match="the sandbox can't guard network, files on this system"):
        drawn(tmp_path, play(Draws(DOUBLE)), [row(None, tests=TESTS)], verifier="code", run_code="guarded")


# options, replay, forecast


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing says which answers are right"),
        ({"verifier": "offline", "pick": "majority"}, "a majority of answers that offline looks at"),
        ({"verifier": "label"}, "needs the labels"),
        ({"verifier": "number", "keep": 5}, "5 answers can't be kept of 4"),
        ({"verifier": "number", "min_worst": 3}, "nothing is scored"),
        ({"verifier": "numbre"}, "option `verifier`"),
        ({"verifier": "number", "min_share": 1.5}, "option `min_share`"),
        ({"verifier": "number", "draws": 0}, "option `draws`"),
    ],
)
def test_wrong_options_are_errors_before_any_call(
    tmp_path: Path, play: Play, options: dict[str, Any], message: str
) -> None:
    teacher = Draws("18")
    with pytest.raises(ConfigError, match=message):
        drawn(tmp_path, play(teacher), [row()], **options)
    assert teacher.asked == []


@pytest.mark.parametrize(
    "options",
    [
        {"verifier": "offline"},
        {"verifier": "exact", "pick": "majority", "draws": 5},
        {"pick": "score", "draws": 3, "rejected": True},
    ],
)
def test_a_replay_asks_nothing_and_the_outlook_bounds_what_comes(
    tmp_path: Path, play: Play, options: dict[str, Any]
) -> None:
    rows = [Sample.of(task.instruction, task.input, task.output) for task in tasks(40, seed=3)]
    step = best_of(**options)

    def pipeline(teacher: Teacher) -> Pipeline:
        return Pipeline("p", [given(rows), step], {"teacher": play(teacher)})

    first = run(pipeline(OfflineTeacher(wrong=0.3, faults=0.2)), tmp_path / "run")
    assert first.samples

    class Silent(OfflineTeacher):
        async def complete(self, request: Request) -> Completion:
            raise AssertionError("asked again")

    again = run(pipeline(Silent(wrong=0.3, faults=0.2)), tmp_path / "run", fresh=True)
    assert again.samples == first.samples
    place = pipeline(OfflineTeacher()).place(tmp_path / "plan")
    sizes = [sum(len(m.content.encode()) + 16 for m in sample.messages) for sample in rows]
    came = Rows(Range.exactly(40), 30, max(sizes), sum(sizes))
    estimate = step.forecast(Outlook(place, came))
    done = first.funnel.steps[1]
    assert done.calls <= (estimate.calls.ceiling or 0)
    assert done.input_tokens <= (estimate.input_tokens.ceiling or 0)
    assert done.output_tokens <= (estimate.output_tokens.ceiling or 0)
