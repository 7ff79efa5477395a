"""The openings step: three sectors, spread over subjects and kinds, joined to texts; what can't be read is counted."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Echo
from given import given

from selfinstruct.errors import ConfigError, DataError, TeacherError
from selfinstruct.pipeline import Outcome, Pipeline, execute, run
from selfinstruct.sample import Sample
from selfinstruct.steps.openings import JOINS, KINDS, SUBJECTS, openings
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Request, Teacher

Play = Callable[[Teacher], str]


class Lister(Echo):
    """Answers each prompt with as many items as it asks for, all different from one another."""

    def __init__(self, *script: Completion, short: int = 0, **more: Any) -> None:
        super().__init__(*script, **more)
        self.short = short

    async def complete(self, request: Request) -> Completion:
        await super().complete(request)
        text = request.messages[-1].content
        count = re.search(r"(\d+) in all", text)
        about = re.search(r'"([^"]+)"(?: \(a topic|, \d+ in all)|to write (.+?), \d+ in all', text)
        name = next(filter(None, about.groups())) if about else _fenced(text)
        number = int(count[1]) - self.short if count else 1
        items = [f"Tell {request.draw}.{k} of {name}!" for k in range(number)]
        return Completion(json.dumps({"items": items}))


def _fenced(text: str) -> str:
    return text.rpartition("instruction>\n")[2].partition("\n</")[0] if "instruction>" in text else "it"


def opened(folder: Path, play: Play, rows: list[Sample], teacher: Teacher, **options: Any) -> Outcome:
    name = options.pop("name", "run")
    return execute([given(rows), openings(**options)], out=folder / name, teacher=play(teacher))


def reasons(outcome: Outcome) -> dict[str, int]:
    return dict(outcome.funnel.steps[1].drops)


def test_thirty_subjects_and_twenty_kinds() -> None:
    """The paper: 30 meta-topics, 20 text types."""
    assert len(set(SUBJECTS)) == 30
    assert len(set(KINDS)) == 20


@pytest.mark.parametrize(("n", "topics", "questions"), [(30, 1, 1), (60, 1, 2), (300, 1, 10), (900, 3, 10)])
def test_questions_about_the_world_are_spread_over_the_subjects(
    tmp_path: Path, play: Play, n: int, topics: int, questions: int
) -> None:
    teacher = Lister()
    outcome = opened(tmp_path, play, [], teacher, n=n, sector="world")
    rows = outcome.samples
    assert Counter(row.meta["subject"] for row in rows) == dict.fromkeys(SUBJECTS, n // 30)
    assert Counter(row.meta["topic"] for row in rows) == {row.meta["topic"]: questions for row in rows}
    assert {row.meta["sector"] for row in rows} == {"world"}
    assert not any(row.answered for row in rows)
    assert len(teacher.asked) == 30 * (1 + topics)
    assert len(rows) == len({row.instruction for row in rows}) == n


def test_the_paper_s_numbers_are_the_most(tmp_path: Path, play: Play) -> None:
    """30 subjects x 37 topics = 1,110 ("1,100+"), 10 questions each."""
    teacher = Lister()
    outcome = opened(tmp_path, play, [], teacher, n=12_000)
    assert len(outcome.samples) == 12_000
    assert len({row.meta["topic"] for row in outcome.samples}) > 1_110
    first = next(request.messages[-1].content for request in teacher.asked)
    assert ", 37 in all" in first
    assert max(Counter(row.meta["topic"] for row in outcome.samples).values()) == 10


def test_each_opening_names_both_of_its_requests(tmp_path: Path, play: Play) -> None:
    (row, *_) = opened(tmp_path, play, [], Lister(), n=30).samples
    first, second = row.meta["requests"]["openings"]
    with Store.read(tmp_path / "run") as store:
        texts = [store.request(key)["messages"][-1][1] for key in (first, second)]  # type: ignore[index]
    assert row.meta["subject"] in texts[0]
    assert f'"{row.meta["topic"]}"' in texts[1]


def test_four_in_five_instructions_get_more_detail(tmp_path: Path, play: Play) -> None:
    outcome = opened(tmp_path, play, [], Lister(), n=200, sector="creation")
    rows = outcome.samples
    assert Counter(row.meta["kind"] for row in rows) == dict.fromkeys(KINDS, 10)
    share = sum("expanded_from" in row.meta for row in rows) / 200
    assert 0.7 < share < 0.9
    for row in rows:
        before = row.meta.get("expanded_from", row.instruction)
        assert row.meta["kind"] in before
        assert (before == row.instruction) == ("expanded_from" not in row.meta)


@pytest.mark.parametrize(("expanded", "calls"), [(0.0, 20), (1.0, 220)])
def test_the_share_that_gets_more_detail(tmp_path: Path, play: Play, expanded: float, calls: int) -> None:
    teacher = Lister()
    opened(tmp_path, play, [], teacher, n=200, sector="creation", expanded=expanded)
    assert len(teacher.asked) == calls


TEXTS = [Sample.of(f"Text {k} about\n\n{{task}} and 面包 {k}.") for k in range(40)]


def test_tasks_about_texts_are_joined_to_them(tmp_path: Path, play: Play) -> None:
    teacher = Lister()
    outcome = opened(tmp_path, play, TEXTS, teacher, n=200, sector="materials")
    rows = outcome.samples
    assert (len(rows), len(teacher.asked)) == (200, 40)
    joins = Counter[str]()
    for place, row in enumerate(rows):
        text = TEXTS[place // 5]
        task = f"Tell {place // 5}.{place % 5} of "
        assert row.instruction.count(text.instruction) == 1
        assert task in row.instruction
        assert row.parents == (text.id,)
        joins[next(join for join in JOINS if _shape(row.instruction, text.instruction) == join)] += 1
    assert set(joins) == set(JOINS)
    assert reasons(outcome) == {"material": 40}
    fence = TEXTS[0].id[:16]
    assert teacher.asked[0].messages[-1].content.endswith(f"\n{TEXTS[0].instruction}\n</{fence} text>")


def _shape(opening: str, text: str) -> str:
    return re.sub(r"Tell \d+\.\d+ of [^!]*!", "{task}", opening.replace(text, "{text}"))


def test_texts_that_are_not_needed_are_not_asked_about(tmp_path: Path, play: Play) -> None:
    teacher = Lister()
    outcome = opened(tmp_path, play, TEXTS, teacher, n=12, sector="materials", window=1)
    assert (len(outcome.samples), len(teacher.asked)) == (12, 3)
    assert reasons(outcome) == {"material": 40, "surplus": 3}


def test_texts_that_run_out_are_told(tmp_path: Path, play: Play) -> None:
    outcome = opened(tmp_path, play, TEXTS[:2], Lister(), n=12, sector="materials")
    assert len(outcome.samples) == 10
    assert outcome.funnel.steps[1].facts["warning"] == "stopped at 10 of 12 openings: there are no more texts"


def test_no_text_at_all(tmp_path: Path, play: Play) -> None:
    with pytest.raises(DataError, match="no texts came in"):
        opened(tmp_path, play, [], Lister(), n=12, sector="materials")


def test_rows_that_come_are_passed_on_and_not_written_again(tmp_path: Path, play: Play) -> None:
    there = Sample.of(f"tell 0.0 of TELL 0.0 of {SUBJECTS[0]}!!")
    outcome = opened(tmp_path, play, [there], Lister(), n=30)
    assert outcome.samples[0] == there
    assert len(outcome.samples) == 31
    assert reasons(outcome)["duplicate"] == 1


def test_what_can_not_be_read_costs_itself(tmp_path: Path, play: Play) -> None:
    class Faulty(Lister):
        async def complete(self, request: Request) -> Completion:
            good = await super().complete(request)
            if "Name topics" in request.messages[-1].content:
                return good
            return {
                0: Completion("I'd rather not."),
                1: Completion('{"items": ["cut", ', "length"),
                2: Completion('{"items": ["", 7, "Fine?"]}'),
                3: Completion('{"items": ["One?", "Two?", "Three?", "Four?"]}'),
                4: Completion("", "filtered", refusal="policy"),
            }.get(len(self.asked) % 9, good)

    outcome = opened(tmp_path, play, [], Faulty(), n=60, window=1)
    assert len(outcome.samples) == 60
    found = reasons(outcome)
    assert set(found) >= {"no_json", "truncated", "bad_item", "surplus", "filtered"}
    with Store.read(tmp_path / "run") as store:
        surplus = {
            drop.sample for drop in store.drops(1) if drop.reason == "surplus" and drop.detail.get("request")
        }
    assert surplus == {"Fine?", "Three?", "Four?"}


def test_a_teacher_that_writes_nothing_new_is_not_asked_for_ever(tmp_path: Path, play: Play) -> None:
    class Stuck(Lister):
        async def complete(self, request: Request) -> Completion:
            await super().complete(request)
            return Completion('{"items": ["Why?"]}')

    teacher = Stuck()
    outcome = opened(tmp_path, play, [], teacher, n=30, patience=3, window=2)
    assert [row.instruction for row in outcome.samples] == ["Why?"]
    assert "3 turns in a row brought nothing new" in outcome.funnel.steps[1].facts["warning"]
    assert len(teacher.asked) < 20
    with pytest.raises(TeacherError, match="brought not one opening"):
        opened(tmp_path, play, [], Echo(model="mute"), n=30, patience=3, name="mute")


def test_yield_and_stop_rules_are_those_of_every_loop_that_grows(tmp_path: Path, play: Play) -> None:
    outcome = opened(tmp_path, play, TEXTS, Lister(), n=12, sector="materials", window=1)
    # three texts: five tasks each, three of which find the pool full
    headline = "12 openings in 3 calls: 4,000 per 1,000 calls (100% of those written)"
    assert outcome.funnel.steps[1].facts["headline"] == headline
    with pytest.raises(ConfigError, match="no price is known for echo"):
        opened(tmp_path, play, TEXTS, Lister(), n=12, max_cost_per_kept=0.1, name="dear")

    class Mostly(Lister):
        """Five items, of which one can be read."""

        async def complete(self, request: Request) -> Completion:
            await super().complete(request)
            return Completion(json.dumps({"items": [f"Why {request.draw}?", *["--"] * 4]}))

    many = [Sample.of(f"Text {k}.") for k in range(80)]
    outcome = opened(
        tmp_path, play, many, Mostly(), n=400, sector="materials", window=1, min_accept_rate=0.5, name="poor"
    )
    warning = outcome.funnel.steps[1].facts["warning"]
    assert "the last 50 turns brought 20" in warning
    assert "of 250 openings that could be kept (min_accept_rate: 50.0%)" in warning


def test_two_expansions_of_one_instruction_are_none(tmp_path: Path, play: Play) -> None:
    class Two(Lister):
        async def complete(self, request: Request) -> Completion:
            good = await super().complete(request)
            both = Completion('{"items": ["One.", "Two."]}')
            return both if "Rewrite the instruction" in request.messages[-1].content else good

    outcome = opened(tmp_path, play, [], Two(), n=20, sector="creation", expanded=0.5)
    assert reasons(outcome)["surplus"] + reasons(outcome)["two_items"] > 10
    assert "One." not in {row.instruction for row in outcome.samples}


def test_equal_texts_are_asked_about_anew(tmp_path: Path, play: Play) -> None:
    teacher = Lister()
    outcome = opened(tmp_path, play, [TEXTS[0]] * 4, teacher, n=20, sector="materials")
    assert len(outcome.samples) == 20
    assert len({request.key for request in teacher.asked}) == 4


def test_it_replays_without_asking_whatever_the_latency(tmp_path: Path, play: Play) -> None:
    first = opened(tmp_path, play, TEXTS, Lister(latency=lambda _: 0.002), n=90, sector="creation")
    silent = Lister()
    steps = [given(TEXTS), openings(n=90, sector="creation")]
    again = run(Pipeline("run", steps, {"teacher": play(silent)}), tmp_path / "run", fresh=True)
    assert again.samples == first.samples
    assert silent.asked == []


def test_a_teacher_that_can_is_held_to_the_schema(tmp_path: Path, play: Play) -> None:
    teacher = Lister(structured=True)
    opened(tmp_path, play, [], teacher, n=30, language="French")
    assert all(request.schema and "items" in request.schema["properties"] for request in teacher.asked)
    assert all("in French." in request.messages[-1].content for request in teacher.asked)
