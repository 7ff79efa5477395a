"""`read`: what comes out of files, what is said about bad rows, and what a changed file changes."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.outlook import Outlook, Range, Rows
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.prompts import Prompts
from selfinstruct.run import Place
from selfinstruct.step import Step
from selfinstruct.steps.read import read

ROWS = [{"instruction": f"Count to {n}.", "input": "", "output": str(n)} for n in range(1, 6)]


def lines(path: Path, *rows: Any) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def outcome(folder: Path, *steps: Step) -> Outcome:
    return execute(steps, out=folder / "run", name="reading")


def test_several_reads_add_up_in_order(tmp_path: Path) -> None:
    first = lines(tmp_path / "a.jsonl", *ROWS[:2])
    second = tmp_path / "b.json.gz"
    second.write_bytes(gzip.compress(json.dumps(ROWS[2:]).encode()))
    found = outcome(tmp_path, read(path=first), read(path=str(second), limit=2))
    assert [sample.output for sample in found.samples] == ["1", "2", "3", "4"]
    assert [sample.meta["source"] for sample in found.samples] == [
        "a.jsonl",
        "a.jsonl",
        "b.json.gz",
        "b.json.gz",
    ]
    one, two = found.funnel.steps
    assert (one.came, one.made, one.kept) == (0, 2, 2)
    assert (two.came, two.made, two.kept) == (2, 2, 4)


def test_facts_for_the_card(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", *ROWS)
    found = outcome(tmp_path, read(path=path, license="mit", source="counting", limit=3))
    facts = dict(found.funnel.steps[0].facts)
    assert len(facts.pop("sha256")) == 64
    assert facts == {"source": "counting", "license": "mit", "rows": 3, "file": "a.jsonl"}


def test_the_rows_own_source_is_kept_unless_one_is_given(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {**ROWS[0], "source": "web"}, ROWS[1])
    found = outcome(tmp_path, read(path=path), read(path=path, source="mine"))
    assert [sample.meta["source"] for sample in found.samples] == ["web", "a.jsonl", "mine", "mine"]


def test_a_bad_row_stops_with_file_line_and_mend(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", ROWS[0], {"instruction": 7}, ROWS[1])
    with pytest.raises(DataError) as error:
        outcome(tmp_path, read(path=path))
    assert error.value.message == f"step 1 (read): {path}: line 2: as alpaca: `instruction` is 7"
    assert error.value.hint.endswith("; or leave such rows out with `on_error: skip`")


def test_skipped_rows_are_booked(tmp_path: Path) -> None:
    seed = {"instruction": "Sing.", "instances": [{"input": "", "output": "La."}]}
    path = lines(tmp_path / "a.jsonl", "{", seed, seed, {**seed, "instruction": ""})
    found = outcome(tmp_path, read(path=path, on_error="skip"))
    (row,) = found.funnel.steps
    assert (row.made, row.kept, dict(row.drops)) == (4, 1, {"malformed": 2, "duplicate": 1})


def test_what_can_be_checked_is_checked_before_the_run(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path, {}, Prompts())
    with pytest.raises(ConfigError, match="there is no such file"):
        read(path="no.jsonl").check(place)
    lines(tmp_path / "a.jsonl", {"instruction": 7}, ROWS[0])
    with pytest.raises(DataError, match="line 1"):
        read(path="a.jsonl").check(place)
    read(path="a.jsonl", on_error="skip").check(place)
    with pytest.raises(ConfigError, match="option `limit`"):
        read(path="a.jsonl", limit=0)
    with pytest.raises(ConfigError, match="option `format`"):
        read(path="a.jsonl", format="csv")  # type: ignore[arg-type]


def test_the_fingerprint_sees_the_content_and_not_the_folder(tmp_path: Path) -> None:
    marks = []
    for folder, rows in (("a", ROWS[:1]), ("b", ROWS[:1]), ("c", ROWS[:2])):
        (tmp_path / folder).mkdir()
        lines(tmp_path / folder / "x.jsonl", *rows)
        marks.append(read(path="x.jsonl").fingerprint("", Place(tmp_path, tmp_path / folder, {}, Prompts())))
    assert marks[0] == marks[1] != marks[2]


def test_the_forecast_counts(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", *ROWS, "{")
    place = Place(tmp_path, tmp_path, {}, Prompts())
    assert read(path="a.jsonl", on_error="skip").forecast(
        Outlook(place, Rows(Range.exactly(10)))
    ).rows.count == Range.exactly(15)
    assert read(path="a.jsonl", limit=2).forecast(Outlook(place)).rows.count == Range.exactly(2)
