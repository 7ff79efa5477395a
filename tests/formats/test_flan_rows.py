"""Labelled rows of any columns, rows that P3 and FLAN rendered, and FLAN's chain-of-thought files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from selfinstruct import formats
from selfinstruct.formats import Fault
from selfinstruct.sample import Sample


def lines(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def samples(path: Path, format: str = "auto") -> list[Sample]:
    found = [item for _, item in formats.read(path, format)]
    assert all(isinstance(item, Sample) for item in found)
    return found  # type: ignore[return-value]


# rows


def test_a_labelled_row_keeps_its_columns_and_is_no_conversation_yet(tmp_path: Path) -> None:
    row = {"text": "好", "label": 2, "answers": {"text": ["a"]}, "messages": [], "input": 5, "source": None}
    (found,) = samples(lines(tmp_path, row), "rows")
    assert found.meta == {"row": row}
    assert not found.answered
    assert json.loads(found.instruction) == row
    assert "好" in found.instruction
    assert found.input == ""


def test_a_table_of_labelled_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"text": "a", "label": 0}]), path)
    assert samples(path, "rows")[0].meta["row"] == {"text": "a", "label": 0}


def test_a_row_without_columns_is_a_fault(tmp_path: Path) -> None:
    faults = [item for _, item in formats.read(lines(tmp_path, {}, [1]), "rows")]
    assert [isinstance(each, Fault) and each.message for each in faults] == [
        "as rows: has no columns",
        "is a list, not an object with columns",
    ]


# P3 and FLAN


def test_a_row_of_p3(tmp_path: Path) -> None:
    row = {
        "inputs": [3, 4],
        "inputs_pretokenized": " Is it Yes or No?\n",
        "targets": [5],
        "targets_pretokenized": "\nYes",
        "answer_choices": ["Yes", "No"],
    }
    (found,) = samples(lines(tmp_path, row))
    assert (found.instruction, found.output) == ("Is it Yes or No?", "Yes")
    assert found.meta == {"collection": "t0", "choices": True, "answer_choices": ["Yes", "No"]}


def test_choices_that_the_question_does_not_name_are_none(tmp_path: Path) -> None:
    row = {"inputs_pretokenized": "Is it?", "targets_pretokenized": "Yes", "answer_choices": ["Yes", "No"]}
    assert "choices" not in samples(lines(tmp_path, row))[0].meta


@pytest.mark.parametrize(
    ("source", "collection"), [("CoT", "cot"), ("NIv2", "niv2"), ("Flan2021", "flan2021"), ("T0", "t0")]
)
def test_a_row_of_flan(tmp_path: Path, source: str, collection: str) -> None:
    row = {
        "inputs": "Why?",
        "targets": "So.",
        "_template_idx": 3,
        "_task_source": source,
        "_task_name": "whys",
        "_template_type": "zs_opt",
    }
    (found,) = samples(lines(tmp_path, row))
    known = {"task": "whys", "template": "zs_opt", "choices": True, "_template_idx": 3}
    assert found.meta == {"collection": collection, **known}
    (found,) = samples(lines(tmp_path, {**row, "_template_type": "zs_noopt", "_task_source": "?"}), "p3")
    assert found.meta == {"task": "whys", "template": "zs_noopt", "_template_idx": 3, "_task_source": "?"}


def test_no_other_column_of_a_rendered_row_is_lost(tmp_path: Path) -> None:
    row = {"inputs": "Why?", "targets": "So.", "input": "a", "_num_shots": 2}
    assert samples(lines(tmp_path, row))[0].meta == {"input": "a", "_num_shots": 2}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"inputs_pretokenized": "a", "targets_pretokenized": " "}, "as p3: `targets_pretokenized` is empty"),
        ({"inputs_pretokenized": "", "targets_pretokenized": "b"}, "as p3: `inputs_pretokenized` is empty"),
        ({"inputs_pretokenized": "a"}, "as p3: `targets_pretokenized` is no text"),
        ({"inputs": [1], "targets": "b"}, "as p3: `inputs` is no text"),
    ],
)
def test_a_rendered_row_without_question_or_answer_is_a_fault(tmp_path: Path, row: Any, message: str) -> None:
    ((_, fault),) = formats.read(lines(tmp_path, row), "p3")
    assert isinstance(fault, Fault)
    assert fault.message == message


# chain of thought


def test_a_line_of_flans_reasoning(tmp_path: Path) -> None:
    path = tmp_path / "sums_train.tsv.gz"
    path.write_bytes(
        gzip.compress('\ufeffQ?\\nOptions:\\n(A) 1\t(A)\tBecause "1".\r\n\n问？\t答\t因\n'.encode())
    )
    first, second = samples(path, "flan_cot")
    row = {"question": "Q?\nOptions:\n(A) 1", "answer": "(A)", "rationale": 'Because "1".'}
    assert first.meta == {"row": row, "task": "sums_train", "collection": "cot"}
    assert (first.instruction, first.output) == (row["question"], "(A)")
    assert second.meta["row"]["rationale"] == "因"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"a\tb", "has 2 columns"),
        (b"a\tb\tc\td", "has 4 columns"),
        (b"a\t \tc", "has an empty column"),
        (b"a\t\xff\tc", "is not UTF-8"),
    ],
)
def test_a_bad_line_is_one_fault(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"q\ta\tr\n" + line + b"\nq\ta\tr\n")
    (_, good), (place, bad), (_, last) = formats.read(path, "flan_cot")
    assert isinstance(bad, Fault)
    assert (place, bad.message) == ("line 2", message)
    assert isinstance(good, Sample)
    assert isinstance(last, Sample)
