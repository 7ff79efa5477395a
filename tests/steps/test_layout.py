"""The layout step: every row once, in one of the thirteen published layouts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from given import given

from selfinstruct.outlook import Outlook, Range, Rows
from selfinstruct.pipeline import Outcome, Pipeline, execute
from selfinstruct.sample import Message, Sample
from selfinstruct.steps.layout import layout
from selfinstruct.steps.write import write

# by hand: what follows the instruction I, with the input X
WITH = {
    "I\nInput: X\nOutput:": " ",
    "I\n\nInput: X\n\nOutput:": " ",
    "Task: I\nInput: X\nOutput:": " ",
    "I\n\nX\n\nOutput:": " ",
    "I\n\nX\n\n": "",
    "I\nX\n\n": "",
    "Task: I\n\nX\n\n": "",
}
WITHOUT = {
    "I Output:": " ",
    "I\nOutput:": " ",
    "I\n\nOutput:": " ",
    "I\n": "",
    "I\n\n": "",
    "Task: I\n\n": "",
}


def laid_out(folder: Path, rows: Sequence[Sample], *, name: str = "run", **options: Any) -> Outcome:
    return execute([given(rows), layout(**options)], out=folder / name)


def task_of(sample: Sample) -> dict[str, str]:
    found: dict[str, str] = sample.meta["task"]
    return found


def of(outcome: Outcome, instruction: str) -> Sample:
    return next(sample for sample in outcome.samples if task_of(sample)["instruction"] == instruction)


@pytest.mark.parametrize("fidelity", ["paper", "fixed"])
def test_the_thirteen_layouts_come_about_equally_often(tmp_path: Path, fidelity: str) -> None:
    rows = [
        Sample.of(f"<{k}>", f"[{k}]" if k % 2 else "", f"answer {k}", meta={"source": "s"})
        for k in range(1_400)
    ]
    outcome = laid_out(tmp_path, rows, fidelity=fidelity)
    assert outcome.funnel.steps[1].drops == {}
    known = {row.id: row for row in rows}
    seen: Counter[str] = Counter()
    for sample in outcome.samples:
        (parent,) = sample.parents
        row = known.pop(parent)
        assert task_of(sample) == {"instruction": row.instruction, "input": row.input, "output": row.output}
        assert sample.meta["source"] == "s"
        assert (sample.instruction, sample.input) == (sample.messages[0].content, "")
        shape = sample.instruction.replace(row.instruction, "I")
        shape = shape.replace(row.input, "X") if row.input else shape
        if fidelity == "paper":
            assert sample.output == (WITH | WITHOUT)[shape] + row.output + "<|endoftext|>"
            assert shape in (WITH if row.input else WITHOUT)
        else:
            assert sample.output == row.output
            assert shape in {each.rstrip() for each in (WITH if row.input else WITHOUT)}
        seen[shape] += 1
    assert not known
    assert len(seen) == (13 if fidelity == "paper" else 12)  # without the line ends, two are one
    assert all(70 < count < 140 or (count < 280 and each == "I") for each, count in seen.items()), seen


def test_they_are_shuffled_and_a_run_repeats_itself(tmp_path: Path) -> None:
    rows = [Sample.of(f"Task {k}", "", str(k)) for k in range(50)]
    first = laid_out(tmp_path, rows)
    order = [task_of(sample)["instruction"] for sample in first.samples]
    assert sorted(order) == sorted(row.instruction for row in rows) != order
    assert order != [row.instruction for row in rows]
    assert laid_out(tmp_path, rows, name="again").samples == first.samples


def test_equal_rows_come_once(tmp_path: Path) -> None:
    rows = [Sample.of("Name a fish.", "", "Cod"), Sample.of("Name a bird.", "", "Jay")] * 2
    outcome = laid_out(tmp_path, rows)
    assert len(outcome.samples) == 2
    assert dict(outcome.funnel.steps[1].drops) == {"duplicate": 2}


@pytest.mark.parametrize(
    ("given_", "fixed", "paper"),
    [
        ("Review: It was good.", "It was good.", "It was good."),
        ("Review: good\nStars: 5", "Review: good\nStars: 5", "Review: good\nStars: 5"),  # two fields
        ("We meet at 10:30.", "We meet at 10:30.", "30."),
        ("See https://a.example now", "See https://a.example now", "//a.example now"),
        ("She said: go.", "She said: go.", "go."),
        ("for x in y:\n    print(x)", "for x in y:\n    print(x)", "print(x)"),
        ("a\n\nb", "a\nb", "a\nb"),
        ("评论：很好。", "评论：很好。", "评论：很好。"),
        ("Avis: très bon", "très bon", "très bon"),
    ],
)
def test_what_half_of_the_inputs_lose(tmp_path: Path, given_: str, fixed: str, paper: str) -> None:
    """Of 200 rows about half have the input as it was, and the others have it without its field's name."""
    rows = [Sample.of(f"<{k}>", given_, "Yes") for k in range(200)]
    for fidelity, short in (("fixed", fixed), ("paper", paper)):
        outcome = laid_out(tmp_path, rows, name=fidelity, fidelity=fidelity)
        found: Counter[str] = Counter()
        for sample in outcome.samples:
            whole = given_ in sample.instruction
            assert whole or short in sample.instruction
            found["whole" if whole else "short"] += 1
        assert found["short"] == 0 if short == given_ else 70 < found["short"] < 130


def test_code_and_white_space_stay_in_fixed(tmp_path: Path) -> None:
    code = "    return {x: {y} for x, y in z}\n"
    rows = [Sample.of("Write {instruction} in braces.", "{input} {0} %s", code, meta={"kind": "code"})]
    (sample,) = laid_out(tmp_path, rows).samples
    assert sample.output == code
    assert "Write {instruction} in braces." in sample.instruction
    assert "{input} {0} %s" in sample.instruction


def test_scores_and_losing_answers_go_along_and_conversations_stay(tmp_path: Path) -> None:
    talk = Sample((Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "Bye")))
    waiting = Sample.of("Name a fish.")
    row = Sample.of("Name a bird.", "", "Jay").score(accuracy=5).replace(rejected="Cod")
    outcome = laid_out(tmp_path, [talk, waiting, row])
    assert {talk.id, waiting.id} < {sample.id for sample in outcome.samples}
    (ours,) = (sample for sample in outcome.samples if "task" in sample.meta)
    assert (dict(ours.scores), ours.rejected) == ({"accuracy": 5}, "Cod")
    assert outcome.funnel.steps[1].facts["untouched"] == 2


def test_what_it_leaves_can_be_written(tmp_path: Path) -> None:
    rows = [Sample.of(f"Add {k}.", f"Number: {k}", str(k)) for k in range(20)]
    execute([given(rows), layout(), write()], out=tmp_path / "run")
    assert (tmp_path / "run" / "dataset" / "train.parquet").is_file()


def test_the_outlook_bounds_the_rows(tmp_path: Path) -> None:
    place = Pipeline("p", (layout(),), {}).place(tmp_path)
    estimate = layout().forecast(Outlook(place, Rows(Range.exactly(9), 30, 200, 900)))
    assert estimate.rows.count == Range.exactly(9)
    longest = max(len(each.replace("I", "").replace("X", "")) for each in (*WITH, *WITHOUT))
    assert estimate.rows.longest is not None
    assert estimate.rows.longest >= 200 + longest + len(" <|endoftext|>")
    assert estimate.rows.text == 900 + 9 * (estimate.rows.longest - 200)
