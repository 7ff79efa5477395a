"""The pairs step: which answers make a pair, what becomes of the others, and what length has to do with it."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from comparing import ATTACKS, TALK
from fakes import own_steps
from given import given
from hypothesis import given as given_any
from hypothesis import strategies as st

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.pipeline import Outcome, Pipeline, execute
from selfinstruct.plan import plan
from selfinstruct.run import Run
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Samples, Step, step
from selfinstruct.steps.pairs import _balance, pairs
from selfinstruct.steps.read import read
from selfinstruct.steps.write import write
from selfinstruct.store import Store

SHARED = Path(__file__).parents[3] / "shared" / "data"
DPO = SHARED / "permissive" / "chat" / "llamafactory_dpo_en_demo.jsonl.gz"
ZH = SHARED / "noncommercial" / "alpaca" / "alpaca_zh_200.jsonl.gz"


def answer(text: str, score: float | None = None, asked: str = "Name a fish.", **meta: Any) -> Sample:
    row = Sample.of(asked, "", text, meta=meta)
    return row if score is None else row.score(accuracy=score)


def paired(
    folder: Path, rows: Sequence[Sample], *between: Step, name: str = "run", seed: int = 0, **options: Any
) -> Outcome:
    return execute([given(rows), *between, pairs(**options)], out=folder / name, seed=seed)


def told(outcome: Outcome) -> list[tuple[str, str | None]]:
    return [(row.output, row.rejected) for row in outcome.samples]


def drops(outcome: Outcome) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with Store.read(outcome.dir) as store:
        for drop in store.drops(len(outcome.funnel.steps) - 1):
            assert isinstance(drop.sample, Sample)
            found.setdefault(drop.reason, []).append(drop.sample.output)
    return found


def holds(outcome: Outcome) -> None:
    last = outcome.funnel.steps[-1]
    assert last.came + last.made == last.kept + last.dropped


def turned_down(*reasons: str) -> Step:
    """Drops each row whose meta says so, for the reason that it says."""
    with own_steps():

        @step
        async def sift(run: Run, samples: Samples) -> Samples:
            """Drops what is to be dropped."""
            async for sample in samples:
                if sample.meta.get("fate") in reasons:
                    run.drop(sample, str(sample.meta["fate"]))
                else:
                    yield sample
            run.made(2)
            run.drop("a text that never became a row", "below_min")
            run.drop(Sample.of("Name a fish."), "below_min")  # without an answer

        return sift()


FOUR = [answer("trout", 5), answer("pike", 3), answer("a dog", 1), answer("eel", 3)]


def test_the_best_stands_against_the_worst(tmp_path: Path) -> None:
    outcome = paired(tmp_path, FOUR, by="accuracy")
    assert told(outcome) == [("trout", "a dog")]
    (pair,) = outcome.samples
    assert pair.parents == (FOUR[0].id, FOUR[2].id)
    assert pair.scores == {"accuracy": 5}
    assert pair.meta["pair"] == {"gap": 4, "rejected_scores": {"accuracy": 1}}
    assert pair.id != FOUR[0].id
    assert drops(outcome) == {"unpaired": ["pike", "eel"], "paired": ["a dog"]}
    holds(outcome)


def test_or_against_another_drawn_at_random(tmp_path: Path) -> None:
    rows = [
        row.replace(messages=(Message("user", f"Name {n} fish."), row.messages[1]))
        for n in range(60)
        for row in FOUR
    ]
    outcome = paired(tmp_path, rows, by="accuracy", against="random")
    drawn = Counter(row.rejected for row in outcome.samples)
    assert {row.output for row in outcome.samples} == {"trout"}
    assert set(drawn) == {"pike", "a dog", "eel"}
    assert min(drawn.values()) > 8  # 20 each are expected
    again = paired(tmp_path, rows, name="again", by="accuracy", against="random")
    assert again.samples == outcome.samples
    other = paired(tmp_path, rows, name="other", seed=1, by="accuracy", against="random")
    assert other.samples != outcome.samples


def test_or_every_two_are_compared(tmp_path: Path) -> None:
    outcome = paired(tmp_path, FOUR, by="accuracy", against="all")
    assert told(outcome) == [
        *(("trout", "pike"), ("trout", "a dog"), ("trout", "eel")),
        *(("pike", "a dog"), ("eel", "a dog")),  # pike and eel score the same
    ]
    assert outcome.funnel.steps[-1].made == 2  # trout and pike and eel came; two more pairs of trout
    holds(outcome)


@pytest.mark.parametrize("k", range(2, 10))
def test_k_answers_of_different_rank_give_k_choose_two_comparisons(tmp_path: Path, k: int) -> None:
    """InstructGPT (Ouyang et al. 2022, section 3.5): 4 to 9 answers give 6 to 36."""
    outcome = paired(tmp_path, [answer(f"fish {n}", n) for n in range(k)], by="accuracy", against="all")
    assert len(outcome.samples) == k * (k - 1) // 2
    assert all(int((row.rejected or "")[-1]) < int(row.output[-1]) for row in outcome.samples)
    holds(outcome)


def test_equal_scores_make_no_pair_and_a_small_difference_only_where_it_may(tmp_path: Path) -> None:
    rows = [
        answer("trout", 4),
        answer("pike", 4),
        answer("carp", 3.5, "Name one."),
        answer("eel", 3, "Name one."),
    ]
    outcome = paired(tmp_path, rows, by="accuracy")
    assert told(outcome) == [("carp", "eel")]
    assert drops(outcome)["tied"] == ["trout", "pike"]
    wide = paired(tmp_path, rows, name="wide", by="accuracy", margin=1)
    assert told(wide) == []
    assert drops(wide) == {"tied": ["trout", "pike", "carp", "eel"]}
    assert wide.funnel.steps[-1].facts["warning"] == "no two answers to one prompt make a pair"
    assert told(paired(tmp_path, rows, name="just", by="accuracy", margin=0.5)) == [("carp", "eel")]


def test_the_first_of_the_best_and_of_the_worst_is_taken(tmp_path: Path) -> None:
    rows = [answer("a", 1), answer("b", 2), answer("c", 2), answer("d", 1)]
    assert told(paired(tmp_path, rows, by="accuracy")) == [("b", "a")]


def test_the_better_of_two_bad_ones_is_not_chosen_where_that_is_not_wanted(tmp_path: Path) -> None:
    rows = [answer("carp", 2), answer("dog", 1), answer("eel", 5, "Name one."), answer("cat", 0, "Name one.")]
    outcome = paired(tmp_path, rows, by="accuracy", at_least=4)
    assert told(outcome) == [("eel", "cat")]
    assert drops(outcome) == {"below_min": ["carp", "dog"], "paired": ["cat"]}


def test_what_becomes_of_the_rest(tmp_path: Path) -> None:
    rows = [
        *(answer("trout", 5), answer("trout ", 2), answer("dog", 1)),
        answer("heron", 5, "Name a bird."),
        answer("birch", None, "Name a tree."),
    ]
    outcome = paired(tmp_path, rows, by="accuracy")
    assert told(outcome) == [("trout", "dog")]
    assert drops(outcome) == {
        "unscored": ["birch"],
        "same_answer": ["trout "],
        "paired": ["dog"],
        "alone": ["heron"],
    }
    holds(outcome)


def test_answers_that_were_dropped_lose_for_free(tmp_path: Path) -> None:
    rows = [
        *(answer("trout", 5), answer("dog", 1, fate="below_min"), answer("cat", 2, fate="below_min")),
        *(answer("heron", 5, "Name a bird."), answer("fox", None, "Name a bird.", fate="wrong")),
        answer("bread", 1, "Name a tree.", fate="below_min"),  # nobody stands against it
        *(answer("oak", 5, "Name one."), answer("rock", 1, "Name one.", fate="other")),
    ]
    sifted = turned_down("below_min", "wrong", "other")
    outcome = paired(tmp_path, rows, sifted, by="accuracy", dropped=("below_min", "wrong"))
    assert told(outcome) == [("trout", "dog"), ("heron", "fox")]
    assert [row.meta["pair"] for row in outcome.samples] == [
        {"gap": 4, "rejected_scores": {"accuracy": 1}, "why": "below_min"},
        {"why": "wrong"},
    ]
    assert drops(outcome) == {"paired": ["dog", "fox"], "unpaired": ["cat"], "alone": ["oak"]}
    assert outcome.funnel.steps[-1].made == 3
    holds(outcome)


def test_without_a_score_those_that_came_win_against_those_that_were_dropped(tmp_path: Path) -> None:
    rows = [answer("trout"), answer("carp"), answer("dog", fate="wrong"), answer("cat", fate="wrong")]
    sifted = turned_down("wrong")
    one = paired(tmp_path, rows, sifted, dropped=("wrong",))
    assert told(one) == [("trout", "dog")]
    assert drops(one) == {"unpaired": ["carp", "cat"], "paired": ["dog"]}
    every = paired(tmp_path, rows, sifted, name="all", dropped=("wrong",), against="all")
    assert told(every) == list(itertools.product(["trout", "carp"], ["dog", "cat"]))
    holds(every)


def test_without_a_score_nothing_is_tied(tmp_path: Path) -> None:
    """Two answers that nothing was turned down beside are not equally good: nobody compared them."""
    rows = [answer("trout"), answer("carp"), answer("dog", None, "Name one.", fate="wrong")]
    outcome = paired(tmp_path, rows, turned_down("wrong"), dropped=("wrong",))
    assert drops(outcome) == {"unpaired": ["trout", "carp"]}
    holds(outcome)


def test_a_dropped_answer_is_never_chosen(tmp_path: Path) -> None:
    """Not even where its score is better: something else was wrong with it."""
    rows = [answer("trout", 3), answer("dog", 5, fate="wrong"), answer("cat", 1, fate="wrong")]
    outcome = paired(tmp_path, rows, turned_down("wrong"), by="accuracy", dropped=("wrong",), against="all")
    assert told(outcome) == [("trout", "cat")]
    assert drops(outcome) == {"unpaired": ["dog"], "paired": ["cat"]}


def test_reasons_that_nothing_was_dropped_for_are_told(tmp_path: Path) -> None:
    outcome = paired(tmp_path, FOUR, turned_down("below_min"), by="accuracy", dropped=("belowmin",))
    assert told(outcome) == [("trout", "a dog")]
    assert "no earlier step" in outcome.funnel.steps[-1].facts["warning"]


def test_other_drops_upstream_make_other_pairs(tmp_path: Path) -> None:
    """A changed filter has the pairs made anew: their fingerprint hangs on what stands before."""
    with own_steps():

        @step
        async def under(run: Run, samples: Samples, *, low: float = 0) -> Samples:
            """Drops what scores less."""
            async for sample in samples:
                if sample.scores["accuracy"] < low:
                    run.drop(sample, "below_min")
                else:
                    yield sample

        for low, loser in ((2, "a dog"), (4, "pike")):
            outcome = execute(
                [given(FOUR), under(low=low), pairs(dropped=("below_min",))], out=tmp_path / "run"
            )
            assert told(outcome) == [("trout", loser)]


def corrected() -> Step:
    with own_steps():

        @step
        async def correct(run: Run, samples: Samples) -> Samples:
            """Corrects the answers that are animals of the land."""
            async for sample in samples:
                if sample.output == "dog":
                    yield sample.answer("dogfish").replace(parents=(sample.id,))
                elif sample.output == "fox":
                    other = Sample.of("Name a shark.", "", "fox shark", parents=(sample.id,))
                    yield other  # another prompt: no pair
                else:
                    yield sample

        return correct()


def test_a_corrected_answer_wins_against_its_original(tmp_path: Path) -> None:
    rows = [answer("dog"), answer("trout", None, "Name one."), answer("fox", None, "Name two.")]
    outcome = paired(tmp_path, rows, corrected(), parents=True)
    assert told(outcome) == [("dogfish", "dog")]
    assert outcome.samples[0].meta["pair"] == {"why": "parent"}
    assert outcome.samples[0].parents == (outcome.samples[0].replace(rejected=None).id, rows[0].id)
    assert drops(outcome) == {"paired": ["dog"], "alone": ["trout", "fox shark"]}
    holds(outcome)


def test_rows_of_a_key_are_paired_under_the_prompt_of_the_chosen_one(tmp_path: Path) -> None:
    rows = [
        Sample(
            (Message("system", "Think."), Message("user", "2+2?"), Message("assistant", "4")),
            meta={"task": 1},
        ),
        Sample.of("2+2?", "", "5", meta={"task": 1}),
        Sample.of("2+2?", "", "6"),
    ]
    outcome = paired(
        tmp_path, [row.score(accuracy=5 - n) for n, row in enumerate(rows)], by="accuracy", per="task"
    )
    assert told(outcome) == [("4", "5")]
    assert outcome.samples[0].prompt == rows[0].prompt
    assert drops(outcome) == {"paired": ["5"], "alone": ["6"]}


def test_turns_before_the_last_answer_are_part_of_the_prompt(tmp_path: Path) -> None:
    rows = [
        Sample((*TALK, Message("assistant", text))).score(accuracy=score)
        for text, score in (("Blue", 5), ("Up", 1))
    ]
    rows.append(Sample((*TALK[1:], Message("assistant", "Down"))).score(accuracy=0))
    outcome = paired(tmp_path, rows, by="accuracy")
    assert told(outcome) == [("Blue", "Up")]
    assert outcome.samples[0].prompt == TALK


def test_a_pair_that_came_passes_and_counts(tmp_path: Path) -> None:
    ready = answer("a whale shark").replace(rejected="cow")
    outcome = paired(tmp_path, [ready, *FOUR], by="accuracy")
    assert outcome.samples[0] == ready
    assert outcome.funnel.steps[-1].facts["pairs"] == 2
    alone = paired(tmp_path, [ready], name="alone", by="accuracy")
    assert alone.samples == (ready,)


@pytest.mark.parametrize("came", [1, 2, 3])
def test_the_ceiling_holds_for_pairs_that_came(tmp_path: Path, came: int) -> None:
    ready = [answer("a whale shark", None, f"Name {n}.").replace(rejected="cow") for n in range(came)]
    source = tmp_path / "pairs.jsonl"
    source.write_text("\n".join(json.dumps(row.to_row()) for row in ready))
    steps = [read(path=str(source), format="messages"), pairs(by="accuracy", against="all")]
    pipeline = Pipeline("p", steps, {})
    last = plan(pipeline, pipeline.place(tmp_path / "run"))[-1]
    assert last.estimate.rows.count.ceiling is not None
    assert last.estimate.rows.count.ceiling >= came


def test_the_file_holds_what_was_rejected(tmp_path: Path) -> None:
    rows = [answer("trout", 5), answer("eel, and a dog", 1)]
    outcome = execute([given(rows), pairs(by="accuracy"), write(formats=("parquet",))], out=tmp_path / "run")
    again = execute([read(path=str(tmp_path / "run/dataset/train.parquet"))], out=tmp_path / "again")
    assert told(again) == told(outcome) == [("trout", "eel, and a dog")]
    assert again.samples[0].id == outcome.samples[0].id
    card = (tmp_path / "run/dataset/README.md").read_text("utf-8")
    assert "Pairs: 1 pair; the chosen answer is longer in 0%, shorter in 100%" in card
    assert '"rejected": "eel, and a dog"' in card


# length


def long(n: int, chosen: int, rejected: int) -> list[Sample]:
    return [answer("x" * chosen, 5, f"Write {n}."), answer("y" * rejected, 1, f"Write {n}.")]


def test_the_report_counts_lengths(tmp_path: Path) -> None:
    """Worked by hand: 8 against 4, 6 against 3, 5 against 5, 2 against 4."""
    rows = [row for n, sizes in enumerate(((8, 4), (6, 3), (5, 5), (2, 4))) for row in long(n, *sizes)]
    facts = paired(tmp_path, rows, by="accuracy").funnel.steps[-1].facts
    assert (facts["pairs"], facts["longer_chosen"], facts["shorter_chosen"]) == (4, 0.5, 0.25)
    assert facts["median_length_ratio"] == 1.5  # of 2, 2, 1 and a half
    sizes = [(math.log(1 + len(row.output)), row.scores["accuracy"]) for row in rows]
    flat = [
        (size - statistics.fmean([sizes[place][0] for place in group]), 2 if score == 5 else -2)
        for group in ((0, 1), (2, 3), (4, 5), (6, 7))
        for size, score in (sizes[place] for place in group)
    ]
    expected = statistics.correlation([size for size, _ in flat], [score for _, score in flat])
    assert facts["length_correlation"] == pytest.approx(expected, abs=1e-4)
    assert facts["headline"] == (
        "4 pairs; the chosen answer is longer in 50%, shorter in 25%, and 1.50 times as long in the median;"
        f" within a prompt, length and accuracy correlate by {expected:+.2f}"
    )


def test_pairs_are_left_out_until_length_no_longer_tells(tmp_path: Path) -> None:
    sizes = [(9, 3), (8, 4), (5, 4), (3, 4), (4, 4)]
    rows = [row for n, (chosen, rejected) in enumerate(sizes) for row in long(n, chosen, rejected)]
    outcome = paired(tmp_path, rows, by="accuracy", longer_at_most=0.4)
    assert [len(row.output) for row in outcome.samples] == [
        5,
        3,
        4,
    ]  # three of five, two of four, one of three
    assert outcome.funnel.steps[-1].facts["longer_chosen"] == pytest.approx(1 / 3, abs=1e-4)
    with Store.read(outcome.dir) as store:
        left_out = [drop for drop in store.drops(1) if drop.reason == "longer_chosen"]
    assert [drop.detail["value"] for drop in left_out] == [3, 2]
    assert all(isinstance(drop.sample, Sample) and drop.sample.rejected for drop in left_out)
    holds(outcome)


@given_any(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=30), st.floats(0.01, 1))
def test_the_share_is_reached_and_no_pair_too_many_goes(sizes: list[tuple[int, int]], most: float) -> None:
    rows = [answer("x" * chosen).replace(rejected="y" * rejected) for chosen, rejected in sizes]
    out = _balance(rows, most)

    def over(gone: set[int]) -> bool:
        kept = [size for place, size in enumerate(sizes) if place not in gone]
        return sum(chosen > rejected for chosen, rejected in kept) > most * len(kept) + 1e-9

    assert not over(out)
    assert all(sizes[place][0] > sizes[place][1] for place in out)
    if out:
        ratios = {place: chosen / rejected for place, (chosen, rejected) in enumerate(sizes)}
        longer = [place for place in ratios if ratios[place] > 1]
        assert min(ratios[place] for place in out) >= max(
            (ratios[p] for p in longer if p not in out), default=0
        )
        assert over(out - {min(out, key=lambda place: ratios[place])})


@pytest.mark.skipif(not DPO.is_file(), reason="the recorded pairs lie beside the repository, not in it")
def test_recorded_pairs_are_reported_on(tmp_path: Path) -> None:
    """59 pairs of people's preferences: 20 of the chosen answers are longer (counted from the file)."""
    rows = []
    for line in gzip.decompress(DPO.read_bytes()).splitlines():
        pair = json.loads(line)
        talk = [
            Message("user" if turn["from"] == "human" else "assistant", turn["value"])
            for turn in pair["conversations"]
        ]
        chosen = Message("assistant", pair["chosen"]["value"])
        rows.append(Sample((*talk, chosen), rejected=pair["rejected"]["value"]))
    facts = paired(tmp_path, rows, by="any").funnel.steps[-1].facts
    assert (facts["pairs"], facts["longer_chosen"]) == (59, round(20 / 59, 4))


# rows of any kind


@pytest.mark.skipif(not ZH.is_file(), reason="the rows lie beside the repository, not in it")
def test_rows_of_any_language_pass_undamaged(tmp_path: Path) -> None:
    """199 Chinese rows, and Arabic, French and code, each against its reverse."""
    found = [json.loads(line) for line in gzip.decompress(ZH.read_bytes()).splitlines()]
    texts = {row["instruction"]: row["output"] for row in found}
    texts |= {
        "اكتب جملة": "البحر واسع.",
        "Écris": "« été » à l’élève",
        "code": "def f():\n\treturn '{{ x }}'  # \\n",
    }
    rows = [
        answer(each, score, asked)
        for asked, text in texts.items()
        for each, score in ((text[::-1] + "1", 1.0), (text, 2.0))
    ]
    outcome = paired(tmp_path, rows, by="accuracy")
    assert {row.instruction: (row.output, row.rejected) for row in outcome.samples} == {
        asked: (text, text[::-1] + "1") for asked, text in texts.items()
    }


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_row_says_of_itself_changes_nothing(tmp_path: Path, attack: str) -> None:
    assert told(paired(tmp_path, [answer(attack, 1), answer("trout", 5)], by="accuracy")) == [
        ("trout", attack)
    ]


@given_any(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from(["", "wrong"])),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(["worst", "random", "all"]),
    st.integers(0, 2),
)
def test_no_row_is_lost_and_no_pair_is_wrong(
    tmp_path_factory: pytest.TempPathFactory,
    given_rows: list[tuple[int, int, str]],
    against: str,
    margin: int,
) -> None:
    """Whatever comes: the count holds, every pair answers one prompt, and its chosen answer came and scores more."""
    rows = [
        answer(f"answer {place}", score, f"Question {asked}", fate=fate)
        for place, (asked, score, fate) in enumerate(given_rows)
    ]
    folder = tmp_path_factory.mktemp("pairs")
    outcome = (
        paired(
            folder,
            rows,
            turned_down("wrong"),
            by="accuracy",
            dropped=("wrong",),
            against=against,
            margin=margin,
        )
        if any(not fate for _, _, fate in given_rows)
        else None
    )
    if outcome is None:
        return
    holds(outcome)
    known = {row.output: row for row in rows}
    for pair in outcome.samples:
        chosen, rejected = known[pair.output], known[pair.rejected or ""]
        assert chosen.prompt == rejected.prompt == pair.prompt
        assert chosen.meta["fate"] == ""
        assert chosen.scores["accuracy"] - rejected.scores["accuracy"] >= max(margin, 1)
    if against != "all":
        assert len({pair.prompt for pair in outcome.samples}) == len(outcome.samples)


# what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing says which answer is better"),
        ({"dropped": ("wrong",), "margin": 1}, "are about a score"),
        ({"parents": True, "at_least": 1}, "are about a score"),
        ({"by": "accuracy", "against": "best"}, "option `against`"),
        ({"by": "accuracy", "longer_at_most": 0}, "option `longer_at_most`"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        paired(tmp_path, FOUR, **options)


def test_a_row_without_an_answer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no answer"):
        paired(tmp_path, [Sample.of("Name a fish.")], by="accuracy")
