"""The novelty step: rouge_score's decisions, in order, each with the row it was made by."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from given import given
from rouge_score.rouge_scorer import RougeScorer

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.sample import Sample
from selfinstruct.steps.novelty import novelty
from selfinstruct.store import Drop, Store

SCORER = RougeScorer(["rougeL"])


def rouge(one: str, other: str) -> float:
    return float(SCORER.score(one, other)["rougeL"].fmeasure)


def filtered(folder: Path, rows: list[Sample], **options: Any) -> Outcome:
    return execute([given(rows), novelty(**options)], out=folder / "run")


def drops(folder: Path) -> list[Drop]:
    with Store.read(folder / "run") as store:
        return list(store.drops(1))


def sentences(count: int) -> list[str]:
    rng = random.Random(3)
    words = "sort name the old river number of town".split()
    return [
        " ".join(rng.choice(words) for _ in range(rng.randint(3, 9))).capitalize() + "." for _ in range(count)
    ]


@pytest.mark.parametrize("tokens", ["words", "rouge"])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7])
def test_the_decisions_are_rouge_scores_in_order(
    tmp_path: Path, tokens: str, strict: bool, threshold: float
) -> None:
    """120 sentences of few words, compared one after the other with all kept before; ties at the threshold occur."""
    texts = sentences(120)
    kept: list[str] = []
    dropped: list[tuple[str, str, float]] = []
    ties = 0
    for text in texts:
        best = max(((rouge(other, text), -place) for place, other in enumerate(kept)), default=(0.0, 0))
        ties += best[0] == threshold
        if best[0] > threshold or (not strict and best[0] == threshold):
            dropped.append((text, kept[-best[1]], best[0]))
        else:
            kept.append(text)
    rows = [Sample.of(text) for text in texts]
    outcome = filtered(tmp_path, rows, tokens=tokens, strict=strict, threshold=threshold)
    assert [row.instruction for row in outcome.samples] == kept
    found = drops(tmp_path)
    assert len(found) > 10
    assert ties or threshold != 0.5
    ids = {row.instruction: row.id for row in rows}
    for drop, (text, similar, score) in zip(found, dropped, strict=True):
        assert isinstance(drop.sample, Sample)
        assert (drop.reason, drop.sample.instruction) == ("not_novel", text)
        assert drop.detail == {
            "rule": "rouge_l",
            "value": score,
            "threshold": threshold,
            "similar_to": ids[similar],
            "similar": similar,
        }


CHINESE = [
    "写一首关于大海的短诗。",
    "解释一下什么是光合作用。",
    "写一首关于大海的短诗。",
    "介绍一下中国的四大发明。",
]


def test_rows_in_other_scripts_are_compared_and_with_rouge_tokens_are_warned_about(tmp_path: Path) -> None:
    rows = [Sample.of(text) for text in CHINESE]
    by_words = filtered(tmp_path / "words", rows)
    assert [row.instruction for row in by_words.samples] == [CHINESE[0], CHINESE[1], CHINESE[3]]
    assert drops(tmp_path / "words")[0].detail["value"] == 1.0
    facts = by_words.funnel.steps[1].facts
    assert (facts["tokenless"], facts["tokens"], facts["threshold"]) == (0, "words", 0.7)
    assert "warning" not in facts
    by_rouge = filtered(tmp_path / "rouge", rows, tokens="rouge")
    assert len(by_rouge.samples) == 4  # the twin, too
    assert by_rouge.funnel.steps[1].facts["tokenless"] == 4
    assert by_rouge.funnel.steps[1].facts["warning"] == (
        "rouge tokens see nothing in 4 of 4 rows (no a-z, 0-9): use tokens: words"
    )


def test_one_row_in_a_hundred_is_no_reason_to_warn(tmp_path: Path) -> None:
    rows = [Sample.of(f"w{n} x{n} y{n} z{n}") for n in range(99)]
    outcome = filtered(tmp_path, [*rows, Sample.of(CHINESE[0])], tokens="rouge")
    assert outcome.funnel.steps[1].facts["tokenless"] == 1
    assert "warning" not in outcome.funnel.steps[1].facts


def test_the_prompt_with_its_input_can_be_compared_instead(tmp_path: Path) -> None:
    rows = [
        Sample.of("Sort the numbers in the input.", f"{n} {n + 1} {n + 2} {n + 3} {n + 4}")
        for n in (10, 20, 30)
    ]
    assert len(filtered(tmp_path / "a", rows).samples) == 1
    assert len(filtered(tmp_path / "b", rows, field="prompt").samples) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0}, "threshold is 0"),
        ({"threshold": 1.1}, "threshold is 1.1"),
        ({"tokens": "rogue"}, "option `tokens`"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        filtered(tmp_path, [Sample.of("Hi")], **options)


# against


def reference(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


@pytest.fixture
def references(tmp_path: Path) -> tuple[str, str]:
    """Two sets in two formats; the second is gzipped."""
    release = reference(
        tmp_path / "release.jsonl",
        [
            {"instruction": "Name three fish of the sea.", "output": "..."},
            {"instruction": "Sort the list of names by length.", "input": "b, a", "output": "a, b"},
        ],
    )
    asked = [{"role": "user", "content": "How tall is the old tower?"}]
    path = tmp_path / "eval.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(json.dumps({"messages": asked}) + "\n")
    return release, str(path)


def test_rows_that_resemble_a_reference_are_dropped_and_counted_apart(
    tmp_path: Path, references: tuple[str, str]
) -> None:
    texts = [
        "How tall is the old tower?",  # the second set's
        "Write a poem about autumn leaves.",
        "Name three big fish of the sea.",  # 12/13 with the first set's
        "Write a short poem about autumn leaves.",  # 12/13 with the second row
        "Sort the list of cities by size.",  # 10/14 with the first set's second
        "How do tides work?",
    ]
    outcome = filtered(tmp_path, [Sample.of(text) for text in texts], against=references)
    assert [row.instruction for row in outcome.samples] == [texts[1], texts[5]]
    found = [(drop.reason, drop.detail["similar_to"], drop.detail["similar"]) for drop in drops(tmp_path)]
    assert found == [
        ("in_reference", "eval.jsonl.gz: line 1", "How tall is the old tower?"),
        ("in_reference", "release.jsonl: line 1", "Name three fish of the sea."),
        ("not_novel", Sample.of(texts[1]).id, texts[1]),
        ("in_reference", "release.jsonl: line 2", "Sort the list of names by length."),
    ]
    assert [drop.detail["value"] for drop in drops(tmp_path)] == [
        rouge("How tall is the old tower", texts[0]),
        rouge("Name three fish of the sea", texts[2]),
        rouge(texts[1], texts[3]),
        rouge("Sort the list of names by length", texts[4]),
    ]
    row = outcome.funnel.steps[1]
    assert row.drops == {"in_reference": 3, "not_novel": 1}
    assert (row.facts["references"], row.facts["against"]) == (3, ["release.jsonl", "eval.jsonl.gz"])


def test_references_are_not_compared_with_one_another_and_are_no_rows(
    tmp_path: Path, references: tuple[str, str]
) -> None:
    twins = reference(tmp_path / "twins.jsonl", [{"instruction": "写一首诗"}, {"instruction": "写一首诗"}])
    outcome = filtered(
        tmp_path, [Sample.of("One new thing.")], against=[twins, references[0]], tokens="rouge"
    )
    facts = outcome.funnel.steps[1].facts
    assert (facts["references"], facts["tokenless"], len(outcome.samples)) == (4, 0, 1)
    assert "warning" not in facts  # it is about the rows


def test_two_references_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = []
    for folder, text in (("a", "Name a fish."), ("b", "Name a bird of the forest.")):
        (tmp_path / folder).mkdir()
        paths.append(reference(tmp_path / folder / "set.jsonl", [{"instruction": text}]))
    filtered(tmp_path, [Sample.of("Name a fish!"), Sample.of("Name a bird of the woods.")], against=paths)
    assert [drop.detail["similar_to"] for drop in drops(tmp_path)] == [
        "set.jsonl: line 1",
        f"{paths[1]}: line 1",
    ]


def test_with_field_prompt_references_are_compared_with_their_input(
    tmp_path: Path, references: tuple[str, str]
) -> None:
    rows = [Sample.of("Sort the list of names by length.", "q w e r t y u i o p")]
    assert len(filtered(tmp_path / "a", rows, against=references).samples) == 0
    assert len(filtered(tmp_path / "b", rows, against=references, field="prompt").samples) == 1


def test_a_changed_reference_has_the_step_run_again(tmp_path: Path, references: tuple[str, str]) -> None:
    rows = [Sample.of("Name three birds of prey."), Sample.of("Name three fish of the sea.")]
    assert len(filtered(tmp_path, rows, against=references).samples) == 1
    reference(Path(references[0]), [{"instruction": "Name three birds of prey."}])
    outcome = filtered(tmp_path, rows, against=references)
    assert [row.instruction for row in outcome.samples] == ["Name three fish of the sea."]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        ("", "is empty"),
        ('{"prompt": "x"}\n', "is of no known format"),
        ('{"instruction": 3}\n', "line 1"),
    ],
)
def test_a_reference_that_cannot_be_read_is_named_before_the_run(
    tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "eval.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises((ConfigError, DataError), match=message) as caught:
        filtered(tmp_path, [Sample.of("Hi")], against=[str(path)])
    assert "eval.jsonl" in str(caught.value)


def test_a_faulty_row_in_a_reference_stops_the_run(tmp_path: Path) -> None:
    """Left out in silence, it would let its twin pass."""
    path = reference(tmp_path / "eval.jsonl", [{"instruction": "Name a fish."}, {"instruction": 3}])
    with pytest.raises(DataError, match=r"eval\.jsonl: line 2"):
        filtered(tmp_path, [Sample.of("Hi")], against=[path])


# report


def test_the_report_groups_all_rows_that_came_and_the_references(
    tmp_path: Path, references: tuple[str, str]
) -> None:
    texts = [
        "Write a poem about autumn leaves.",
        "Name three big fish of the sea.",
        "Write a short poem about autumn leaves.",
        "How do tides work?",
        "Write a short poem about yellow autumn leaves.",
    ]
    rows = [Sample.of(text) for text in texts]
    outcome = filtered(tmp_path, rows, against=references, report="alike")
    facts = outcome.funnel.steps[1].facts
    assert (facts["groups"], facts["grouped"], facts["files"]) == (2, 4, ["alike.md", "alike.jsonl"])
    page = (tmp_path / "run/alike.md").read_text("utf-8")
    assert "4 of 5 rows are in 2 groups" in page
    for line in (
        f"|  | kept | {texts[0]} |",
        f"| 0.923 | dropped | {texts[2]} |",
        "|  | release.jsonl: line 1 | Name three fish of the sea. |",
        f"| 0.923 | dropped | {texts[1]} |",
    ):
        assert line in page
    assert "Sort the list" not in page
    found = [json.loads(line) for line in (tmp_path / "run/alike.jsonl").read_text("utf-8").splitlines()]
    assert [[text["id"] for text in group["texts"]] for group in found] == [
        [rows[0].id, rows[2].id, rows[4].id],
        ["release.jsonl: line 1", rows[1].id],
    ]


def test_a_report_of_nothing_alike_and_of_text_that_is_no_utf8(tmp_path: Path) -> None:
    rows = [Sample.of("One thing here."), Sample.of("\ud800 \ud801 \ud802"), Sample.of("Another matter.")]
    filtered(tmp_path, rows, report="alike")
    assert "0 of 3 rows are in 0 groups" in (tmp_path / "run/alike.md").read_text("utf-8")
    assert (tmp_path / "run/alike.jsonl").read_bytes() == b""


def test_a_report_that_was_removed_is_written_again(tmp_path: Path) -> None:
    rows = [Sample.of("Name a fish."), Sample.of("Name a fish!")]
    filtered(tmp_path, rows, report="alike")
    page = (tmp_path / "run/alike.md").read_bytes()
    (tmp_path / "run/alike.md").unlink()
    filtered(tmp_path, rows, report="alike")
    assert (tmp_path / "run/alike.md").read_bytes() == page


@pytest.mark.parametrize("name", ["", "../alike", "a/b", ".hidden", "/tmp/alike"])
def test_a_report_stays_in_the_runs_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="`report` is"):
        filtered(tmp_path, [Sample.of("Hi")], report=name)
