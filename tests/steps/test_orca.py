"""The orca step: which system message a query gets, two teachers, erased prompts, labels kept, failures counted."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Echo
from given import given

from selfinstruct.document import load
from selfinstruct.errors import ConfigError
from selfinstruct.pipeline import Outcome, Pipeline, execute, run
from selfinstruct.prompts import Prompts
from selfinstruct.sample import Message, Sample
from selfinstruct.steps.orca import CHOICE, GENERAL, SUBSETS, allowed, multiple_choice, orca
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Request, Teacher

Play = Callable[[Teacher], str]
SHARED = Path(__file__).parents[3] / "shared" / "data" / "permissive"
needs_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real rows lie beside the repository, not in it"
)
MESSAGES = [message.content for message in Prompts().render("orca/messages")]
QUERIES = [Sample.of(f"What is {n} plus {n}?", "", str(2 * n)) for n in range(60)]


def explained(folder: Path, rows: list[Sample], *, name: str = "run", **options: Any) -> Outcome:
    models = {role: options.pop(role) for role in ("teacher", "judge") if role in options}
    return execute([given(rows), orca(**options)], out=folder / name, **models)


def number_of(row: Sample) -> int:
    return int(row.meta["system_message"])


def test_sixteen_messages_of_which_the_first_is_none() -> None:
    assert len(MESSAGES) == len(set(MESSAGES)) == 16
    assert [place for place, text in enumerate(MESSAGES, 1) if not text] == [1]


def test_the_drawn_message_is_asked_with_and_becomes_part_of_the_row(tmp_path: Path, play: Play) -> None:
    teacher = Echo()
    outcome = explained(tmp_path, QUERIES, teacher=play(teacher))
    asked = {request.messages[-1].content: request for request in teacher.asked}
    numbers = Counter(map(number_of, outcome.samples))
    assert set(numbers) <= set(GENERAL) - set(CHOICE)
    assert len(numbers) > 5
    for query, row in zip(QUERIES, outcome.samples, strict=True):
        system = MESSAGES[number_of(row) - 1]
        before = [("system", system)] if system else []
        assert [(m.role, m.content) for m in row.prompt] == [*before, ("user", query.instruction)]
        assert row.prompt == asked[query.instruction].messages
        assert (row.output, row.meta["label"]) == (query.instruction, query.output)  # it echoes
        assert "curriculum" not in row.meta
    facts = outcome.funnel.steps[1].facts["system_messages"]
    assert facts == {str(number): numbers[number] for number in sorted(numbers)}
    assert dict(teacher.asked[0].params) == {"temperature": 0.7, "max_tokens": 2048}


@pytest.mark.parametrize("name", [*SUBSETS, "T0", "COT", "dialog", None])
def test_the_message_is_of_its_sub_collection(tmp_path: Path, play: Play, name: str | None) -> None:
    rows = [query if name is None else query.note(collection=name) for query in QUERIES]
    outcome = explained(tmp_path, rows, teacher=play(Echo()))
    drawn = set(map(number_of, outcome.samples))
    subset = set(SUBSETS.get((name or "").lower(), GENERAL)) - set(CHOICE)
    assert drawn <= subset
    assert len(drawn) >= len(subset) - 1


def test_another_key_may_name_the_sub_collection(tmp_path: Path, play: Play) -> None:
    rows = [query.note(mixture="cot", collection="niv2") for query in QUERIES]
    outcome = explained(tmp_path, rows, teacher=play(Echo()), collection="mixture")
    assert set(map(number_of, outcome.samples)) <= set(SUBSETS["cot"])


def test_multiple_choice_messages_are_for_queries_with_options_alone() -> None:
    """The paper: 8 and 10 only for multiple-choice sets; by hand."""
    names = (*SUBSETS, "other")
    assert not any(set(CHOICE) & set(allowed(name, choice=False)) for name in names)
    assert [name for name in names if set(CHOICE) & set(allowed(name, choice=True))] == ["flan2021", "other"]
    assert allowed("flan2021", choice=True) == (3, 4, 7, 8, 10)


def test_the_fourth_message_is_for_a_child_and_the_fifth_to_the_letter() -> None:
    """Table 2 of the paper."""
    assert "child of five" in MESSAGES[3]
    assert "to the letter" in MESSAGES[4]


def test_a_rejected_answer_goes_with_the_answer_that_it_was_rejected_for(tmp_path: Path, play: Play) -> None:
    outcome = explained(tmp_path, [QUERIES[0].replace(rejected="1")], teacher=play(Echo()))
    assert [row.rejected for row in outcome.samples] == [None]


def test_a_query_is_multiple_choice_by_its_options_or_its_meta(tmp_path: Path, play: Play) -> None:
    plain = [query.note(collection="flan2021") for query in QUERIES]
    lettered = [
        Sample.of(f"Which is {n}?\n(A) sky\n(B) sea", meta={"collection": "flan2021"}) for n in range(60)
    ]
    marked = [query.note(choices=True) for query in plain]
    for place, (rows, some) in enumerate(((plain, False), (lettered, True), (marked, True))):
        outcome = explained(tmp_path, rows, teacher=play(Echo()), name=f"run{place}")
        assert bool(set(CHOICE) & set(map(number_of, outcome.samples))) is some


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pick one.\n(A). World\n(B). Sports", True),
        ("Pick one.\nA) World\nB) Sports", True),
        ("Pick one. (a) World (b) Sports", True),
        ("Pick one.\nA. World\nB. Sports", True),
        ("Is it so?\nOPTIONS:\n- yes\n- no", True),
        ("选一个。\n(A) 世界\n(B) 体育", True),
        ("Pick one.\n(B) Sports", False),
        ("Write f(a) and f(b).", False),
        ("A: Hello!\nB: Hi.", False),
        ("Options are good. - yes", False),
        ("1) do this\n2) do that", False),
    ],
)
def test_what_is_multiple_choice(text: str, expected: bool) -> None:
    assert multiple_choice(text) is expected


@needs_data
@pytest.mark.parametrize(("file", "expected"), [("aqua", 300), ("gsm8k", 0), ("strategyqa", 0)])
def test_real_sets_with_and_without_options(file: str, expected: int) -> None:
    """AQuA has options in all of its questions, GSM8K and StrategyQA in none: 900 rows, differences 0."""
    lines = gzip.decompress((SHARED / f"flan/cot/{file}_train_300.tsv.gz").read_bytes()).decode().splitlines()
    questions = [line.split("\t")[0].replace("\\n", "\n") for line in lines]
    assert len(questions) == 300
    assert sum(map(multiple_choice, questions)) == expected


def test_the_second_teacher_answers_a_share_after_all_others(tmp_path: Path, play: Play) -> None:
    class Named(Echo):
        async def complete(self, request: Request) -> Completion:
            await super().complete(request)
            return Completion(f"{self.model} says {request.messages[-1].content}")

    first, second = Named(model="small"), Named(model="big")
    outcome = explained(
        tmp_path, QUERIES, teacher=play(first), judge=play(second), second="judge", share=0.25, window=7
    )
    rows = outcome.samples
    ones = [row for row in rows if row.meta["curriculum"] == 1]
    twos = [row for row in rows if row.meta["curriculum"] == 2]
    assert list(rows) == [*ones, *twos]
    assert [row.meta["label"] for row in ones] == [query.output for query in QUERIES]
    assert 5 < len(twos) < 26
    by_question = {row.instruction: row for row in ones}
    for row in twos:
        assert row.prompt == by_question[row.instruction].prompt
        assert row.output.startswith("big says")
        assert by_question[row.instruction].output.startswith("small says")
        assert row.parents
    assert (outcome.funnel.steps[1].made, len(second.asked)) == (len(twos), len(twos))


def test_two_teachers_who_are_one_model_give_independent_answers(tmp_path: Path, play: Play) -> None:
    teacher = Echo()
    outcome = explained(tmp_path, QUERIES[:9], teacher=play(teacher), judge="echo", second="judge", share=1.0)
    assert len(outcome.samples) == 18
    assert len({request.key for request in teacher.asked}) == len(teacher.asked) == 18


def test_equal_queries_get_answers_of_their_own(tmp_path: Path, play: Play) -> None:
    teacher = Echo()
    outcome = explained(tmp_path, [QUERIES[0]] * 12, teacher=play(teacher))
    assert len(outcome.samples) == len({request.key for request in teacher.asked}) == 12
    assert len(set(map(number_of, outcome.samples))) > 3


@pytest.mark.parametrize("generic", [None, "Be helpful."])
def test_an_erased_message_is_asked_with_and_not_in_the_row(
    tmp_path: Path, play: Play, generic: str | None
) -> None:
    teacher = Echo()
    rows = [Sample((Message("system", "Old."), *QUERIES[0].messages)), *QUERIES[1:20]]
    outcome = explained(tmp_path, rows, teacher=play(teacher), erase_system=True, generic=generic)
    for row in outcome.samples:
        system = [message.content for message in row.messages if message.role == "system"]
        assert system == ([generic] if generic else [])
        assert row.meta["system"] == MESSAGES[number_of(row) - 1]
    with_system = [request for request in teacher.asked if request.messages[0].role == "system"]
    assert {request.messages[0].content for request in with_system} <= set(MESSAGES)
    assert len(with_system) > 10


def test_answers_that_are_none_are_drawn_again_and_dropped_with_their_reason(
    tmp_path: Path, play: Play
) -> None:
    ends = {
        0: Completion("half an ans", "length"),
        1: Completion("", "filtered", refusal="policy"),
        2: Completion("", "rejected", refusal="too long"),
        3: Completion(" \n "),
    }

    class Faulty(Echo):
        async def complete(self, request: Request) -> Completion:
            await super().complete(request)
            place = int(request.messages[-1].content.split()[2])
            return ends.get(place, Completion(" whole\n"))

    teacher = Faulty()
    outcome = explained(tmp_path, QUERIES[:6], teacher=play(teacher))
    assert [row.output for row in outcome.samples] == ["whole", "whole"]
    with Store.read(tmp_path / "run") as store:
        drops = [(drop.reason, drop.detail["detail"]) for drop in store.drops(1)]
    assert drops == [
        ("truncated", ""),
        ("filtered", "policy"),
        ("rejected", "too long"),
        ("empty_output", ""),
    ]
    cut = [request for request in teacher.asked if request.messages[-1].content.startswith("What is 0")]
    assert [(request.draw, request.params["max_tokens"]) for request in cut] == [(0, 2048), (1, 4096)]


def test_rows_of_any_language_pass_undamaged(tmp_path: Path, play: Play) -> None:
    texts = [
        "请解释光合作用。",
        "اشرح عملية البناء الضوئي.",
        "Expliquez la photosynthèse.",
        "def f(x):\n    return x{{ y }}",
    ]
    outcome = explained(tmp_path, [Sample.of(text) for text in texts], teacher=play(Echo()))
    assert [row.instruction for row in outcome.samples] == [row.output for row in outcome.samples] == texts


def test_it_does_not_depend_on_the_window_and_replays_without_asking(tmp_path: Path, play: Play) -> None:
    name = play(Echo())
    options = {"teacher": name, "judge": name, "second": "judge"}
    first = explained(tmp_path, QUERIES, window=1, **options)
    again = explained(tmp_path, QUERIES, window=64, name="other", **options)
    assert again.samples == first.samples
    silent = Echo(AssertionError("asked again"))
    teacher = play(silent)
    steps = [given(QUERIES), orca(second="judge", window=1)]
    pipeline = Pipeline("run", steps, {"teacher": teacher, "judge": teacher})
    replayed = run(pipeline, tmp_path / "run", fresh=True)
    assert replayed.samples == first.samples
    assert silent.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"second": "teacher"}, "`second` is `teacher`, who answers every row already"),
        ({"generic": "Be brief."}, "`generic` replaces the system message only with `erase_system: true`"),
    ],
)
def test_options_that_make_no_sense(
    tmp_path: Path, play: Play, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        explained(tmp_path, QUERIES, teacher=play(Echo()), **options)


def test_messages_of_ones_own_must_be_sixteen(tmp_path: Path) -> None:
    (tmp_path / "prompts" / "orca").mkdir(parents=True)
    (tmp_path / "prompts" / "orca" / "messages.md").write_text("=== system ===\nBe good.\n")
    prompts = Prompts(tmp_path / "prompts")
    assert len(prompts.render("orca/messages")) == 1
    (tmp_path / "p.yaml").write_text("teacher: offline\nsteps:\n  - orca\n")
    pipeline = load(tmp_path / "p.yaml")
    with pytest.raises(ConfigError, match="must hold 16 system messages, and has 1 messages"):
        pipeline.steps[0].check(pipeline.place(tmp_path / "run"))
