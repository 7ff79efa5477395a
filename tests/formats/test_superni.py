"""Task files of Super-NaturalInstructions: every instance a row, every bad one a Fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import formats
from selfinstruct.errors import DataError
from selfinstruct.formats import Fault
from selfinstruct.sample import Sample

TASK: dict[str, Any] = {
    "Contributors": [],
    "Categories": ["Word Semantics"],
    "Definition": ["Name the plural. "],
    "Input_language": ["Finnish"],
    "Output_language": ["Finnish"],
    "Instruction_language": ["English"],
    "Domains": ["Miscellaneous"],
    "Positive Examples": [{"input": "talo ", "output": "talot", "explanation": "A -t."}],
    "Negative Examples": [{"input": "talo", "output": ["talon", "talo"]}],
    "Instances": [
        {"id": "t-1", "input": " kala", "output": ["kalat ", "  "]},
        {"input": "yö", "output": "yöt"},
    ],
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "task7_plurals.json"
    path.write_text(json.dumps({**TASK, **changes}, ensure_ascii=False, indent=2))
    return path


def test_an_instance_is_a_question_with_its_task(tmp_path: Path) -> None:
    (place, first), (_, second) = formats.read(written(tmp_path))
    assert isinstance(first, Sample)
    assert isinstance(second, Sample)
    assert place == "instance 1"
    assert (first.instruction, first.input, first.output) == ("Name the plural.", "kala", "kalat")
    assert second.output == "yöt"
    meta = dict(first.meta)
    row = meta.pop("row")
    assert meta == {
        "input": "kala",
        "task": "task7_plurals",
        "collection": "niv2",
        "categories": ["Word Semantics"],
        "domains": ["Miscellaneous"],
        "languages": ["English", "Finnish"],
        "instance": "t-1",
    }
    assert row["outputs"] == ["kalat"]
    assert row["positive"] == [{"input": "talo", "output": "talot", "explanation": "A -t."}]
    assert row["negative"] == [{"input": "talo", "output": "talon", "explanation": ""}]


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ("kala", "has no text as `input`"),
        ({"output": ["a"]}, "has no text as `input`"),
        ({"input": 3, "output": ["a"]}, "has no text as `input`"),
        ({"input": "a"}, "`output` is no list of texts"),
        ({"input": "a", "output": [1]}, "`output` is no list of texts"),
        ({"input": "a", "output": []}, "`output` is empty"),
        ({"input": "a", "output": [" "]}, "`output` is empty"),
    ],
)
def test_a_bad_instance_is_one_fault(tmp_path: Path, instance: Any, message: str) -> None:
    path = written(tmp_path, Instances=[instance, TASK["Instances"][0]])
    (place, bad), (_, good) = formats.read(path)
    assert isinstance(good, Sample)
    assert isinstance(bad, Fault)
    assert (place, bad.message) == ("instance 1", message)
    assert str(bad.error()) == f"{path}: instance 1: {message}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Definition": []}, "has no `Definition`"),
        ({"Definition": [" "]}, "has no `Definition`"),
        ({"Instances": {}}, "`Instances` is no list"),
        ({"Instances": []}, "`Instances` is no list"),
        ({"Positive Examples": {"a": 1}}, "`Positive Examples` is no list"),
        ({"Positive Examples": ["a"]}, "`Positive Examples`: example 1 has no text as `input`"),
        (
            {"Negative Examples": [{"input": "a", "output": 3}]},
            "`Negative Examples`: example 1 has no text as `output`",
        ),
        ({"Domains": [1]}, "`Domains` is no list of texts"),
    ],
)
def test_a_bad_task_stops(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        list(formats.read(written(tmp_path, **changes), "superni"))
    assert message in error.value.message
    assert error.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"Definition": ["a"],\n"Instances": [}', "line 2: is not JSON"),
        ('{"Definition": "a", "Definition": "b"}', "holds the key 'Definition' twice"),
        ('{"Definition": NaN}', "holds NaN"),
        ('{"Definition": ["\\ud800"], "Instances": [{}]}', "half of a surrogate pair"),
        ("[1]", "is no JSON object"),
        ('{"Definition": ' + "[" * 20_000, "nested too deeply"),
    ],
)
def test_a_broken_file_is_told_by_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "task.json"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        list(formats.read(path, "superni"))
    assert message in error.value.message


def test_a_file_that_is_not_utf_8_is_told_by_line(tmp_path: Path) -> None:
    path = tmp_path / "task.json"
    path.write_bytes(b'{"Definition": [\n"\xff"]}')
    with pytest.raises(DataError, match="line 2: is not UTF-8"):
        list(formats.read(path, "superni"))
