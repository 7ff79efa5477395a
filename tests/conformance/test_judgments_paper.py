"""What is read from judges' raw text against what its authors read from it: LLMBar, Vicuna's reviews, MT-Bench; and
the comparison step against LLMBar's and PandaLM's published figures."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from given import given

from selfinstruct.errors import ParseError
from selfinstruct.parse import verdict
from selfinstruct.parse.judgments import Side, better, claims, two_scores
from selfinstruct.pipeline import execute
from selfinstruct.sample import Sample
from selfinstruct.steps.pairwise import pairwise
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Request, Teacher

SHARED = Path(__file__).parents[3] / "shared" / "data" / "permissive"
JUDGE = SHARED / "judge"

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded judgments lie beside the repository, not in it"
)

Row = dict[str, Any]
_OTHER: dict[Side, Side] = {"first": "second", "second": "first", "tie": "tie"}
_NAMES = {"1": "first", "2": "second"}


def rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def cells(judgments: list[Row]) -> dict[tuple[str, str], dict[tuple[int, bool], Row]]:
    """LLMBar's judgments by subset and evaluator, and in these by row and order."""
    found: dict[tuple[str, str], dict[tuple[int, bool], Row]] = defaultdict(dict)
    for judgment in judgments:
        found[judgment["subset"], judgment["evaluator"]][judgment["row"], judgment["swap"]] = judgment
    return found


def published(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    found = json.loads(path.read_text("utf-8"))
    return {(subset, name): each for subset, cell in found.items() for name, each in cell.items()}


def count(cell: str) -> int:
    """95 of "95 / 100 = 95.0%"."""
    return int(cell.partition(" / ")[0])


def winner(judgment: Row) -> Side | None:
    """The answer that is claimed to be better first, in the original order. LLMBar's authors stop there, too."""
    found = claims(judgment["completion"])
    if not found:
        return None
    return _OTHER[found[0]] if judgment["swap"] else found[0]


def test_llmbar_every_judgment_and_every_cell_is_as_published() -> None:
    """3,276 raw judgments of 7 evaluators: the winner that the authors read in all of them, none in the same 9; and by
    these all 14 published cells: correct in each order, correct in both, equal in both. Differences: none. 5 judgments
    claim both answers to be better: the authors take the first claim, `better` refuses them."""
    judgments = rows(JUDGE / "llmbar_raw_judgments.jsonl.gz")
    assert len(judgments) == 3_276
    assert [winner(each) for each in judgments] == [
        _NAMES.get(str(each["parsed_winner"])) for each in judgments
    ]
    assert sum(winner(each) is None for each in judgments) == 9
    assert sum(len(set(claims(each["completion"]))) > 1 for each in judgments) == 5
    theirs = published(JUDGE / "llmbar_statistics.json")
    ours = cells(judgments)
    assert set(ours) == set(theirs)
    assert len(ours) == 14
    for key, cell in ours.items():
        gold = {row: _NAMES[str(each["gold"])] for (row, _), each in cell.items()}
        right = {(row, swap): winner(each) == gold[row] for (row, swap), each in cell.items()}
        told = {name: count(value) for name, value in theirs[key].items() if " / " in str(value)}
        assert sum(right[row, False] for row in gold) == told["correct_False"]
        assert sum(right[row, True] for row in gold) == told["correct_True"]
        assert sum(right[row, False] and right[row, True] for row in gold) == told["correct_both"]
        assert sum(winner(cell[row, False]) == winner(cell[row, True]) for row in gold) == told["equal"]


class Recorded:
    """A judge that says what was recorded for two answers in this order."""

    model = "recorded"
    structured = raw = False

    def __init__(self) -> None:
        self.said: dict[tuple[str, str, str], str] = {}

    def record(self, request: str, first: str, second: str, text: str) -> None:
        self.said[request.strip(), first.strip(), second.strip()] = text

    async def complete(self, request: Request) -> Completion:
        text = request.messages[-1].content
        shown = [
            found[1].strip()
            for part in ("request", "answer A", "answer B")
            if (found := re.search(rf"<(?:\w+) {part}>\n(.*)\n</\w+ {part}>", text, re.DOTALL))
        ]
        return Completion(self.said[shown[0].removeprefix("user:").strip(), shown[1], shown[2]])

    async def close(self) -> None: ...


NATURAL, NEIGHBOR = "LLMBar/Natural", "LLMBar/Adversarial/Neighbor"


@pytest.mark.parametrize(
    ("subset", "evaluator", "unread"),
    [
        (NATURAL, "GPT-4/Vanilla", 0),
        (NATURAL, "GPT-4/CoT", 0),
        (NATURAL, "ChatGPT/Vanilla", 0),
        (NATURAL, "ChatGPT/CoT", 1),
        (NATURAL, "LLaMA2/CoT", 0),
        (NEIGHBOR, "GPT-4/Vanilla", 0),
        (NEIGHBOR, "GPT-4/CoT", 0),
        (NEIGHBOR, "ChatGPT/Vanilla", 0),
        (NEIGHBOR, "ChatGPT/CoT", 1),
        (NEIGHBOR, "LLaMA2/CoT", 1),
        (NEIGHBOR, "PaLM2/Vanilla", 0),
    ],
)
def test_llmbar_the_step_agrees_with_itself_as_often_as_published(
    tmp_path: Path, play: Callable[[Teacher], str], subset: str, evaluator: str, unread: int
) -> None:
    """100 and 134 pairs of LLMBar in both orders, for the evaluators that contradict themselves in no verdict: an
    answer wins outright (by the rule of AlpaGasus) where both orders name it, which is right in as many pairs as
    published (`correct_both`); and the orders agree in as many as published (`equal`)."""
    cell = cells(rows(JUDGE / "llmbar_raw_judgments.jsonl.gz"))[subset, evaluator]
    told = published(JUDGE / "llmbar_statistics.json")[subset, evaluator]
    judge, samples, gold = Recorded(), [], {}
    for pair in rows(JUDGE / "llmbar_pairs.jsonl.gz"):
        if pair["subset"] != subset:
            continue
        asked = f"{pair['row']}: {pair['input']}"  # one input is in several pairs
        one, two = pair["output_1"], pair["output_2"]
        judge.record(asked, one, two, cell[pair["row"], False]["completion"])
        judge.record(asked, two, one, cell[pair["row"], True]["completion"])
        samples += [Sample.of(asked, "", text) for text in (one, two)]
        gold[asked] = (one, two)[pair["label"] - 1]
    outcome = execute([given(samples), pairwise()], out=tmp_path / "run", judge=play(judge))
    right = [
        row for row in outcome.samples if row.scores["wins"] == 1.0 and row.output == gold[row.instruction]
    ]
    facts = outcome.funnel.steps[1].facts
    assert len(right) == count(told["correct_both"])
    assert facts["agreed"] == count(told["equal"])
    assert facts["unread"] == unread
    assert facts["compared"] + facts["unread"] == len(gold) == (100 if subset == NATURAL else 134)


def test_vicuna_reviews_give_the_recorded_scores() -> None:
    """1,040 reviews by GPT-4: 1,001 begin with two scores, 39 solve the problem first. The scores are the recorded ones
    in 1,038. The two that differ say "Assistant 1: 10, Assistant 2: 4" and are on record as 10 and 2."""
    reviews = rows(JUDGE / "vicuna_reviews_gpt4.jsonl.gz")
    assert len(reviews) == 1_040
    begin = [
        re.match(r"\d+(?:\.\d+)?[ ,]+\d+(?:\.\d+)?\s*(?:\n|$)", each["text"].strip()) for each in reviews
    ]
    assert sum(each is not None for each in begin) == 1_001
    differ = [each for each in reviews if list(two_scores(each["text"])) != each["score"]]
    assert len(differ) == 2
    for each in differ:
        assert each["score"] == [10, 2]
        assert "Assistant 1: 10\nAssistant 2: 4" in each["text"]
    for each in reviews:
        first, second = two_scores(each["text"])
        assert better(each["text"]) == ("tie" if first == second else "first" if first > second else "second")


def test_mt_bench_ratings_are_the_recorded_ones() -> None:
    """800 and 330 judgments by GPT-4, "[[8]]" or "[[8.5]]" behind the reasons: the recorded score in 1,126. The 4 that
    hold an error message ($ERROR$) have none; it is recorded as -1, and is never a number here."""
    found = Counter[str]()
    for file in ("mtbench_gpt4_single.jsonl.gz", "mtbench_gpt4_single_with_errors.jsonl.gz"):
        for each in rows(JUDGE / file):
            if each["judgment"] == "$ERROR$":
                with pytest.raises(ParseError, match="no_score"):
                    verdict(each["judgment"], 1, 10)
                found["error"] += 1
            else:
                assert verdict(each["judgment"], 1, 10).score == each["score"]
                found["equal"] += 1
    assert found == {"equal": 1_126, "error": 4}


def test_autoif_scores_are_read() -> None:
    """20 judgments that end in "Score: 8": all read, as the number on their last line."""
    judgments = [json.loads(line) for line in (JUDGE / "autoif_scores.jsonl").read_text("utf-8").splitlines()]
    texts = [text for each in judgments for text in each["gen"]]
    assert len(texts) == 20
    assert [verdict(text, 0, 10).score for text in texts] == [
        int(text.rpartition("Score: ")[2]) for text in texts
    ]


def test_pandalm_verdicts_agree_with_people_as_often_as_published(
    tmp_path: Path, play: Callable[[Teacher], str]
) -> None:
    """531 comparisons by GPT-3.5 ("1", "2", "Tie", 12 unreadable), given to the step in both orders: what it makes of
    them is the majority of three people in 368, as published."""
    judge, samples, people = Recorded(), [], {}
    pairs = rows(SHARED / "human" / "pandalm_testset_a.jsonl.gz")
    for each in pairs:
        asked = f"{each['idx']}: {each['instruction']}"  # one task is in several comparisons
        one, two = f"1. {each['response1']}", f"2. {each['response2']}"  # some compare equal texts
        said = {"1": "1", "2": "2", "Tie": "Tie"}.get(each["gpt35_result"], "garbage")
        judge.record(asked, one, two, said)
        judge.record(asked, two, one, {"1": "2", "2": "1"}.get(said, said))
        samples += [Sample.of(asked, "", text) for text in (one, two)]
        votes = [each["annotator1"], each["annotator2"], each["annotator3"]]
        people[asked] = Counter(votes).most_common(1)[0]
    assert all(votes >= 2 for _, votes in people.values())
    outcome = execute([given(samples), pairwise()], out=tmp_path / "run", judge=play(judge))
    wins = {(row.instruction, row.output[:1]): row.scores["wins"] for row in outcome.samples}
    decided = {
        asked: 1 if share > 0.5 else 2 if share < 0.5 else 0
        for (asked, place), share in wins.items()
        if place == "1"
    }
    assert len(decided) == 531 - 12
    assert sum(people[asked][0] == found for asked, found in decided.items()) == 368
    facts = outcome.funnel.steps[1].facts
    assert (facts["compared"], facts["agreed"], facts["unread"]) == (519, 519, 12)
    with Store.read(tmp_path / "run") as store:
        assert store.reasons(1) == {"unscored": 24}
