"""The alpaca step: exactly n new tasks, whatever the teacher writes and whenever it answers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import Scripted
from rouge_score.rouge_scorer import RougeScorer

from selfinstruct.errors import ConfigError, DataError, TeacherError
from selfinstruct.outlook import Outlook, Range, Rows
from selfinstruct.pipeline import Outcome, Pipeline, execute, run
from selfinstruct.sample import Sample
from selfinstruct.steps.alpaca import SCHEMA, alpaca
from selfinstruct.steps.read import read
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, FinishReason, Request, Teacher
from selfinstruct.teachers.offline import OfflineTeacher

Play = Callable[[Teacher], str]
Row = tuple[str, str, str]
SEEDS: list[Row] = [
    ("Add the two numbers in the input.", "3 4", "7"),
    ("Name three rivers of Europe.", "", "Rhine, Danube, Elbe"),
    ("Rewrite this sentence in the past tense.", "She walks home.", "She walked home."),
    ("Why is the sky blue at noon?", "", "Air scatters blue light most."),
    ("Classify the animal as wild or tame.", "wolf", "wild"),
]


def fresh(draw: int, count: int = 17) -> list[Row]:
    """Tasks that share no word but one with any others."""
    return [
        (f"Explain how w{draw}x{k} meets v{draw}x{k} near u{draw}x{k}.", "", f"By t{draw}x{k}.")
        for k in range(count)
    ]


def as_blocks(rows: Sequence[Row], first: int = 4) -> str:
    text = ""
    for number, (instruction, given, output) in enumerate(rows, first):
        text += f"\n###\n{number}. Instruction:" if text else ""
        text += f" {instruction}\n{number}. Input:\n{given or '<noinput>'}\n{number}. Output:\n{output}"
    return text + "\n###\n"


def as_json(rows: Sequence[Row]) -> str:
    return json.dumps(
        {"tasks": [dict(zip(("instruction", "input", "output"), row, strict=True)) for row in rows]}
    )


def seeds_file(folder: Path, rows: Sequence[Row] = SEEDS) -> str:
    path = folder / "seeds.json"
    path.write_text(
        json.dumps([dict(zip(("instruction", "input", "output"), row, strict=True)) for row in rows])
    )
    return str(path)


def grown(
    folder: Path,
    teacher: str | dict[str, Any],
    *,
    name: str = "run",
    seeds: Sequence[Row] = SEEDS,
    **options: Any,
) -> Outcome:
    return execute(
        [read(path=seeds_file(folder, seeds)), alpaca(**options)], out=folder / name, teacher=teacher
    )


def texts(samples: Sequence[Sample]) -> list[Row]:
    return [(sample.instruction, sample.input, sample.output) for sample in samples]


def drops(outcome: Outcome) -> dict[str, int]:
    return {reason: count for reason, count in outcome.funnel.steps[1].drops.items() if reason != "seed_task"}


def test_paper_shows_an_instruction_on_one_line_and_without_its_colon(tmp_path: Path, play: Play) -> None:
    """encode_prompt of the original; an input keeps its lines."""
    seeds = [("Sort\n these  words:", "a\nb:", "b:"), *SEEDS[:2]]
    for fidelity, line in (("paper", "Sort these words\n"), ("fixed", "Sort\n these  words:\n")):
        teacher = Scripted(lambda draw: as_blocks(fresh(draw)), model=fidelity)
        grown(tmp_path, play(teacher), name=fidelity, seeds=seeds, n=1, fidelity=fidelity)
        request = teacher.asked[0]
        prompt = request.text or request.messages[-1].content
        assert f". Instruction: {line}" in prompt
        assert ". Input:\na\nb:\n" in prompt


def test_of_a_cut_answer_in_json_the_tasks_before_the_cut_are_kept(tmp_path: Path, play: Play) -> None:
    text = as_json(fresh(0))
    cut = Completion(text[: text.rindex("Explain") + 3], "length")
    teacher = Scripted(lambda draw: cut if draw == 0 else as_json(fresh(draw)), structured=True)
    outcome = grown(tmp_path, play(teacher), n=16, window=1)
    assert texts(outcome.samples) == fresh(0)[:16]
    assert drops(outcome) == {"truncated": 1}


def test_exactly_n_are_kept_and_what_is_left_over_is_counted(tmp_path: Path, play: Play) -> None:
    teacher = Scripted(lambda draw: as_blocks(fresh(draw)))
    outcome = grown(tmp_path, play(teacher), n=20)
    assert texts(outcome.samples) == [*fresh(0), *fresh(1)[:3]]
    step = outcome.funnel.steps[1]
    assert (step.came, step.made, step.kept, step.pending, step.calls) == (5, 34, 20, 0, 2)
    assert dict(step.drops) == {"seed_task": 5, "surplus": 14}


def test_rows_name_their_recipe_their_seeds_and_their_request(tmp_path: Path, play: Play) -> None:
    outcome = grown(tmp_path, play(Scripted(lambda draw: as_blocks(fresh(draw)))), n=40)
    with Store.read(tmp_path / "run") as store:
        seeds = {sample.id: sample for sample in store.samples(0)}
        assert len(seeds) == len(SEEDS)
        used = set()
        for sample in outcome.samples:
            assert sample.meta["recipe"] == "alpaca"
            assert len(sample.parents) == len(set(sample.parents)) == 3
            used |= set(sample.parents)
            request = store.request(sample.meta["requests"]["alpaca"])
            assert request is not None
            prompt = request["messages"][-1][1]
            shown = [
                prompt.index(f". Instruction: {seeds[parent].instruction}\n") for parent in sample.parents
            ]
            assert shown == sorted(shown)
            assert prompt.count("Instruction: ") == 3
        assert used == set(seeds)


def test_drops_name_the_row_they_resemble(tmp_path: Path, play: Play) -> None:
    again = ("Name three long rivers of Europe.", "", "Rhine")
    outcome = grown(tmp_path, play(Scripted(lambda draw: as_blocks([again, *fresh(draw)]))), n=17)
    assert drops(outcome) == {"not_novel": 1}
    with Store.read(tmp_path / "run") as store:
        (drop,) = (drop for drop in store.drops(1) if drop.reason == "not_novel")
        seeds = {sample.id: sample.instruction for sample in store.samples(0)}
    expected = RougeScorer(["rougeL"]).score(again[0], SEEDS[1][0])["rougeL"].fmeasure
    assert drop.detail["value"] == pytest.approx(expected)
    assert drop.detail["similar"] == SEEDS[1][0] == seeds[drop.detail["similar_to"]]
    assert isinstance(drop.sample, Sample)
    assert drop.sample.instruction == again[0]


@pytest.mark.parametrize("structured", [False, True])
def test_rows_depend_on_neither_concurrency_nor_latency_nor_window(
    tmp_path: Path, play: Play, structured: bool
) -> None:
    """The offline teacher with all its faults, at concurrency 1, 7 and 64, with answers that overtake each other, and
    with windows of 1 and 64."""

    class Overtaking(OfflineTeacher):
        async def complete(self, request: Request) -> Completion:
            self.latency = random.random() / 200
            return await super().complete(request)

    def rows(name: str, concurrency: int, window: int) -> list[dict[str, Any]]:
        teacher = (Overtaking if concurrency > 1 else OfflineTeacher)(structured=structured, faults=0.3)
        spec = {"model": play(teacher), "concurrency": concurrency}
        outcome = grown(tmp_path, spec, name=name, n=60, window=window)
        return [sample.to_row() for sample in outcome.samples]

    reference = rows("one", 1, 16)
    assert len(reference) == 60
    for name, concurrency, window in (("seven", 7, 16), ("many", 64, 16), ("narrow", 7, 1), ("wide", 64, 64)):
        assert rows(name, concurrency, window) == reference


def test_the_calls_depend_on_the_window_alone(tmp_path: Path, play: Play) -> None:
    asked = {}
    for concurrency in (1, 64):
        for window in (1, 8):
            teacher = Scripted(
                lambda draw: as_blocks(fresh(draw)[: 1 + draw % 5]), latency=lambda _: random.random() / 300
            )
            spec = {"model": play(teacher), "concurrency": concurrency}
            grown(tmp_path, spec, name=f"{concurrency}-{window}", n=40, window=window)
            asked[concurrency, window] = sorted(request.draw for request in teacher.asked)
            assert teacher.most <= min(concurrency, window)
    assert asked[1, 1] == asked[64, 1]
    assert asked[1, 8] == asked[64, 8]
    assert len(asked[1, 1]) == 14  # 1+2+3+4+5 tasks in five calls: 39 in thirteen, the fortieth in one more


def test_a_replay_asks_nothing_and_gives_the_same_rows(tmp_path: Path, play: Play) -> None:
    def pipeline(teacher: Teacher) -> Pipeline:
        return Pipeline(
            "p", (read(path=seeds_file(tmp_path)), alpaca(n=50, window=5)), {"teacher": play(teacher)}
        )

    def refuse(draw: int) -> str:
        raise AssertionError("asked again")

    first = run(pipeline(Scripted(lambda draw: as_blocks(fresh(draw)))), tmp_path / "run")
    silent = Scripted(refuse)
    second = run(pipeline(silent), tmp_path / "run", fresh=True)
    assert second.samples == first.samples
    assert silent.asked == []


def test_an_interrupted_run_goes_on_and_pays_nothing_twice(tmp_path: Path, play: Play) -> None:
    def dying(draw: int) -> str:
        if draw == 4:
            raise TeacherError("no more credit")
        return as_blocks(fresh(draw)[:5])

    once = Scripted(lambda draw: as_blocks(fresh(draw)[:5]))
    whole = grown(tmp_path, play(once), name="whole", n=40, window=3)
    broken = Scripted(dying)
    with pytest.raises(TeacherError, match="no more credit"):
        grown(tmp_path, play(broken), n=40, window=3)
    rest = Scripted(lambda draw: as_blocks(fresh(draw)[:5]))
    resumed = grown(tmp_path, play(rest), n=40, window=3)
    assert resumed.samples == whole.samples
    paid = [request.draw for request in broken.asked if request.draw != 4] + [
        request.draw for request in rest.asked
    ]
    assert sorted(paid) == sorted(request.draw for request in once.asked)


def test_too_few_seed_tasks_are_an_error_before_any_call(tmp_path: Path, play: Play) -> None:
    teacher = Scripted(lambda draw: as_blocks(fresh(draw)))
    with pytest.raises(DataError, match="2 seed tasks came in, and each prompt shows 3") as caught:
        grown(tmp_path, play(teacher), seeds=SEEDS[:2], n=5)
    assert caught.value.hint == "read more seed tasks, or lower `examples`"
    assert teacher.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 5, "examples": 20}, "20 examples leave no room in a list of 20"),
        ({"n": 5, "threshold": 1.5}, "threshold is 1.5"),
        ({"n": 0}, "option `n`: input should be greater than or equal to 1"),
        ({"n": 5, "window": 0}, "option `window`"),
        ({"n": 5, "patience": 0}, "option `patience`"),
        ({"n": 5, "fidelity": "papper"}, "option `fidelity`"),
        ({}, "needs the option `n`"),
    ],
)
def test_wrong_options_are_errors_before_any_call(
    tmp_path: Path, play: Play, options: dict[str, Any], message: str
) -> None:
    teacher = Scripted(lambda draw: as_blocks(fresh(draw)))
    with pytest.raises(ConfigError, match=message):
        grown(tmp_path, play(teacher), **options)
    assert teacher.asked == []


def test_seed_tasks_of_equal_text_are_seed_tasks_each(tmp_path: Path, play: Play) -> None:
    double = [*SEEDS, ("Name three rivers of Europe.", "", "Loire, Po, Oder"), SEEDS[1]]
    outcome = grown(tmp_path, play(Scripted(lambda draw: as_blocks(fresh(draw)))), seeds=double, n=17)
    assert outcome.funnel.steps[1].came == outcome.funnel.steps[1].drops["seed_task"] == 7
    assert len(outcome.samples) == 17


def test_fewer_examples_leave_room_for_more_tasks(tmp_path: Path, play: Play) -> None:
    teacher = Scripted(lambda draw: as_blocks(fresh(draw, 19), 2))
    outcome = grown(tmp_path, play(teacher), n=19, examples=1)
    (request,) = teacher.asked
    assert request.messages[-1].content.endswith("\n###\n2. Instruction:")
    assert len(outcome.samples) == 19


def test_a_teacher_that_repeats_itself_ends_the_step_with_a_warning(tmp_path: Path, play: Play) -> None:
    teacher = Scripted(lambda draw: as_blocks(fresh(0)))
    outcome = grown(tmp_path, play(teacher), n=100, patience=5, window=1)
    assert texts(outcome.samples) == fresh(0)
    assert outcome.funnel.steps[1].facts["warning"] == (
        "stopped at 17 of 100 tasks: 5 calls in a row brought nothing new"
    )
    assert len(teacher.asked) == 6
    assert drops(outcome) == {"not_novel": 5 * 17}


def test_patience_counts_calls_in_a_row(tmp_path: Path, play: Play) -> None:
    teacher = Scripted(lambda draw: as_blocks(fresh(draw // 3)[:2]))  # every third call brings two new ones
    outcome = grown(tmp_path, play(teacher), n=12, patience=3, window=1)
    assert len(outcome.samples) == 12
    assert "warning" not in outcome.funnel.steps[1].facts


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda draw: f"I can't help with that, {draw}.", "bad_block"),
        (lambda draw: as_blocks([("Write.", "", "It.")] * 3), "too_short"),
        (lambda draw: Completion("", "filtered", refusal="policy"), "filtered"),
        (lambda draw: Completion("", "rejected", refusal="too long"), "rejected"),
        (lambda draw: Completion(" \n"), "empty_completion"),
        (lambda draw: Completion(as_blocks(fresh(draw, 1)).rstrip("#\n"), "length"), "truncated"),
    ],
)
@pytest.mark.parametrize("fidelity", ["fixed", "paper"])
def test_a_teacher_that_writes_nothing_usable_is_an_error(
    tmp_path: Path, play: Play, write: Callable[[int], str | Completion], reason: str, fidelity: str
) -> None:
    """After `patience` calls and those in flight; the reasons are there to be looked at."""
    teacher = Scripted(write)
    with pytest.raises(
        TeacherError, match="completions of scripted brought not one task that could be kept"
    ) as caught:
        grown(tmp_path, play(teacher), n=50, patience=6, window=4, fidelity=fidelity)
    assert "selfinstruct show" in caught.value.hint
    assert 6 <= len(teacher.asked) <= 6 + 4
    with Store.read(tmp_path / "run") as store:
        reasons = store.reasons(1)
    assert reasons.pop("seed_task") == 5
    assert set(reasons) == {reason}


def test_one_broken_block_costs_one_task(tmp_path: Path, play: Play) -> None:
    def write(draw: int) -> str:
        return as_blocks(fresh(draw, 6)).replace("6. Input:\n", "").replace("8. Output:", "18. Output:")

    outcome = grown(tmp_path, play(Scripted(write)), n=8)
    assert texts(outcome.samples) == [fresh(draw)[k] for draw in (0, 1) for k in (0, 1, 3, 5)]
    assert drops(outcome) == {"bad_block": 2, "bad_number": 2}
    with Store.read(tmp_path / "run") as store:
        (drop, _) = (drop for drop in store.drops(1) if drop.reason == "bad_number")
        filed = store.get(drop.detail["request"])
    assert filed is not None
    assert filed.completion.text == write(0)


def test_a_structured_teacher_is_held_to_the_schema(tmp_path: Path, play: Play) -> None:
    teacher = Scripted(lambda draw: as_json(fresh(draw)), structured=True)
    outcome = grown(tmp_path, play(teacher), n=30, language="Swahili")
    assert texts(outcome.samples) == [*fresh(0), *fresh(1)[:13]]
    for request in teacher.asked:
        assert request.schema == SCHEMA
        assert "stop" not in request.params
        prompt = request.messages[-1].content
        assert "Write 17 new tasks" in prompt
        assert "Write in Swahili." in prompt


def test_what_is_wrong_with_a_json_answer_is_counted(tmp_path: Path, play: Play) -> None:
    def write(draw: int) -> Completion:
        good = as_json(fresh(draw, 4))
        spoiled = json.loads(good)
        spoiled["tasks"][1] = {"instruction": "No output here at all.", "input": ""}
        texts: list[tuple[str, FinishReason]] = [
            (good, "stop"),
            (json.dumps(spoiled), "stop"),
            (good[:-20], "length"),
            (good[:-20], "stop"),
            ("I have no tasks.", "stop"),
            (good + good, "stop"),
            ('{"tasks": 3}', "stop"),
            ("", "filtered"),
            (f"```json\n{good}\n```", "stop"),
        ]
        return Completion(*texts[draw])

    outcome = grown(tmp_path, play(Scripted(write, structured=True)), n=14, window=1)
    assert drops(outcome) == {
        "bad_item": 1,
        "truncated": 1,
        "bad_json": 2,
        "no_json": 1,
        "two_objects": 1,
        "filtered": 1,
    }


# fixed and paper

PRICES = [
    ("Say what the shirt costs in the shop.", "", "It costs $20. It is blue."),
    ("Describe the year when the river froze over.", "", "That was in 2020. It was cold."),
]


def test_paper_stops_at_20_and_fixed_does_not(tmp_path: Path, play: Play) -> None:
    """The original's stop strings end a completion inside "$20.": the cut task is accepted and the rest is lost."""
    teacher = Scripted(lambda draw: as_blocks([*fresh(draw, 2), *PRICES]))
    fixed = grown(tmp_path, play(teacher), name="fixed", n=4)
    assert texts(fixed.samples) == [*fresh(0, 2), *PRICES]
    paper = grown(tmp_path, play(teacher), name="paper", n=3, fidelity="paper")
    assert texts(paper.samples) == [*fresh(0, 2), (PRICES[0][0], "", "It costs $")]


def test_paper_asks_a_chat_model_for_a_continuation_with_the_originals_parameters(
    tmp_path: Path, play: Play
) -> None:
    class Chat(Scripted):
        raw = False

    teacher = Chat(lambda draw: as_blocks(fresh(draw)), structured=True)
    grown(
        tmp_path, play(teacher), n=16, fidelity="paper"
    )  # the twentieth task is never reached: "\n20" stops before it
    (request,) = teacher.asked
    assert (request.text, request.schema) == (None, None)
    assert request.messages[-1].content.endswith("\n###\n4. Instruction:")
    assert dict(request.params) == {
        "temperature": 1.0,
        "top_p": 1.0,
        "max_tokens": 3072,
        "stop": ["\n20", "20."],
    }


CASES: list[tuple[str, list[Row], list[int], dict[str, int], list[int], dict[str, int]]] = [
    (
        "outputs",
        [
            ("Name a town that lies in Bavaria.", "", ""),
            ("Repeat the word that follows here.", "echo", "echo"),
            ("Count the letters of this word.", "tree", "4"),
        ],
        [2],
        {"empty_output": 1, "echo": 1},
        [0, 1, 2],
        {},
    ),
    (
        "signs of languages",
        [("Rewrite this C++ as C#.", "a", "A"), ("Rewrite this C# as C++.", "b", "B")],
        [0, 1],
        {},
        [0],
        {"not_novel": 1},
    ),
    (
        "other scripts",
        [
            ("写一首关于大海的短诗。", "", "海"),
            ("写一首关于大海的短诗。", "", "海浪"),
            ("解释一下什么是光合作用。", "", "植物"),
            ("Как приготовить борщ дома?", "", "Свёкла"),
            ("Как приготовить борщ у себя дома?", "", "Свёкла"),
        ],
        [0, 2, 3],
        {"not_novel": 2},
        [],
        {"odd_start": 2, "too_short": 3},
    ),
    (
        "letters alone count",
        [("Compare 北京 with 上海 today.", "", "A"), ("Compare 广州 with 深圳 today.", "", "B")],
        [0, 1],
        {},
        [0],
        {"not_novel": 1},
    ),
    (
        "words that text can't do",
        [
            ("Summarize the plot of the novel Emma.", "", "A"),
            ("Draw a house with two windows.", "", "B"),
            ("Write a program that sorts numbers.", "", "C"),
        ],
        [0, 2],
        {"beyond_text": 1},
        [],
        {"banned_word": 2, "write_a_program": 1},
    ),
]


@pytest.mark.parametrize(
    ("rows", "fixed", "fixed_drops", "paper", "paper_drops"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_what_fixed_repairs(
    tmp_path: Path,
    play: Play,
    rows: list[Row],
    fixed: list[int],
    fixed_drops: dict[str, int],
    paper: list[int],
    paper_drops: dict[str, int],
) -> None:
    """`rows` are written, and the places that each fidelity keeps are listed; the marker shows that all were seen."""
    marker = ("Explain how this list ends here.", "", "Well.")
    teacher = Scripted(lambda draw: as_blocks([*rows, marker]))
    for fidelity, places, reasons in (("fixed", fixed, fixed_drops), ("paper", paper, paper_drops)):
        outcome = grown(tmp_path, play(teacher), name=fidelity, n=len(places) + 1, fidelity=fidelity)
        assert texts(outcome.samples) == [*(rows[place] for place in places), marker], fidelity
        assert drops(outcome) == reasons, fidelity


def test_paper_keeps_no_pair_that_rouge_score_calls_similar(tmp_path: Path, play: Play) -> None:
    """90 rows out of a teacher that has fourteen words: with rouge_score no kept instruction is above 0.7 with an
    earlier one or a seed task, and each dropped one is."""
    vocabulary = "red blue old new big small house river bread stone north south light dark".split()

    def write(draw: int) -> str:
        rng = random.Random(draw)
        picks = [rng.sample(vocabulary, rng.randint(4, 8)) for _ in range(16)]
        return as_blocks([(f"Explain {' '.join(pick)}.", "", "Because.") for pick in picks])

    outcome = grown(tmp_path, play(Scripted(write)), n=90, fidelity="paper")
    scorer = RougeScorer(["rougeL"])

    def highest(text: str, others: Sequence[str]) -> float:
        return max(float(scorer.score(other, text)["rougeL"].fmeasure) for other in others)

    pool = [seed[0] for seed in SEEDS]
    for sample in outcome.samples:
        assert highest(sample.instruction, pool) <= 0.7
        assert sample.meta["avg_similarity_score"] == pytest.approx(
            sum(scorer.score(other, sample.instruction)["rougeL"].fmeasure for other in pool) / len(pool)
        )
        assert max(sample.meta["most_similar_instructions"].values()) == pytest.approx(
            highest(sample.instruction, pool)
        )
        pool.append(sample.instruction)
    with Store.read(tmp_path / "run") as store:
        similar = [drop.sample for drop in store.drops(1) if drop.reason == "not_novel"]
    dropped = [sample.instruction for sample in similar if isinstance(sample, Sample)]
    assert len(dropped) > 10
    assert all(highest(text, pool) > 0.7 for text in dropped)


def test_the_outlook_is_of_the_order_of_what_comes(tmp_path: Path, play: Play) -> None:
    teacher = OfflineTeacher()
    step = alpaca(n=100)
    place = Pipeline("p", (step,), {"teacher": play(teacher)}).place(tmp_path)
    estimate = step.forecast(Outlook(place, Rows(Range.exactly(5), 30, 200, 900)))
    assert estimate.rows.count == Range.exactly(100)
    assert estimate.calls == Range(6, 22, 100 * 50 - 1 + 64)  # 100 / 17, and 100 / (17 x 0.27), rounded up
    assert 300 * 22 < estimate.input_tokens.expected < 600 * 22
    assert estimate.output_tokens.expected == 22 * 17 * 85
    assert estimate.output_tokens.ceiling == 5_063 * 4096
