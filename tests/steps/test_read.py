"""`read`: what comes out of files, what is said about bad rows, and what a changed file changes."""

import gzip
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from selfinstruct import formats
from selfinstruct.errors import ConfigError, DataError
from selfinstruct.outlook import Outlook, Range, Rows
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.prompts import Prompts
from selfinstruct.run import Place
from selfinstruct.step import Step
from selfinstruct.steps.read import Format, read

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


TREE = {
    "message_tree_id": "t",
    "prompt": {
        "text": "Why?",
        "role": "prompter",
        "replies": [
            {"text": "Because.", "role": "assistant", "rank": 0, "replies": []},
            {"text": "Dunno.", "role": "assistant", "rank": 1, "replies": []},
        ],
    },
}


def test_the_formats_of_the_option_are_those_that_there_are() -> None:
    assert get_args(Format) == ("auto", *formats.FORMATS)


def test_columns_and_splits_are_options(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    lines(tmp_path / "set" / "train.jsonl", {"q": "Sing.", "a": "La.", "level": 2})
    lines(tmp_path / "set" / "test.jsonl", {"q": "Hum.", "a": "Mm."})
    step = read(path=str(tmp_path / "set"), columns={"instruction": "q", "output": "a"}, split="train")
    found = outcome(tmp_path, step)
    (sample,) = found.samples
    assert (sample.instruction, sample.output) == ("Sing.", "La.")
    assert sample.meta == {"level": 2, "source": "set"}
    facts = dict(found.funnel.steps[0].facts)
    assert (facts["file"], facts["source"], facts["rows"]) == ("set", "set", 1)
    assert facts["sha256"] == formats.content_digest(tmp_path / "set", "train")


def test_a_folder_is_checked_forecast_and_seen(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path, {}, Prompts())
    (tmp_path / "set").mkdir()
    lines(tmp_path / "set" / "train.jsonl", *ROWS)
    step = read(path="set")
    step.check(place)
    assert step.forecast(Outlook(place)).rows.count == Range.exactly(5)
    first = step.fingerprint("", place)
    lines(tmp_path / "set" / "test.jsonl", *ROWS[:2])
    with pytest.raises(ConfigError, match="holds the splits test, train"):
        step.check(place)
    both = read(path="set", split="train")
    both.check(place)
    assert both.fingerprint("", place) != first
    assert read(path="set", split="test").forecast(Outlook(place)).rows.count == Range.exactly(2)


def test_a_limit_reaches_over_the_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    lines(tmp_path / "set" / "a.jsonl", *ROWS[:2])
    lines(tmp_path / "set" / "b.jsonl", *ROWS[2:])
    found = outcome(tmp_path, read(path=str(tmp_path / "set"), limit=3))
    assert [sample.output for sample in found.samples] == ["1", "2", "3"]


def test_one_tree_becomes_several_pairs_or_is_booked(tmp_path: Path) -> None:
    bare = {"message_tree_id": "u", "prompt": {**TREE["prompt"], "replies": []}}  # type: ignore[dict-item]
    path = lines(tmp_path / "trees.jsonl", bare, TREE)
    step = read(path=path, format="oasst_pairs")
    step.check(Place(tmp_path, tmp_path, {}, Prompts()))
    found = outcome(tmp_path, step)
    assert [(sample.output, sample.rejected) for sample in found.samples] == [("Because.", "Dunno.")]
    (row,) = found.funnel.steps
    assert (row.made, row.kept, dict(row.drops)) == (2, 1, {"holds_none": 1})


def test_a_column_is_named_once(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"text": "Sing."})
    with pytest.raises(ConfigError, match="`columns` names `text` twice"):
        outcome(tmp_path, read(path=path, columns={"instruction": "text", "output": "text"}))


def test_rows_with_tool_calls_are_refused_one_by_one(tmp_path: Path) -> None:
    talk = [{"from": "human", "value": "Weather?"}, {"from": "function_call", "value": "{}"}]
    plain = [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hello."}]
    path = lines(tmp_path / "a.jsonl", {"conversations": plain}, {"conversations": talk})
    with pytest.raises(DataError, match="line 2: as sharegpt: message 2 is by 'function_call'") as error:
        outcome(tmp_path / "1", read(path=path))
    assert "on_error: skip" in error.value.hint
    found = outcome(tmp_path / "2", read(path=path, on_error="skip"))
    assert (len(found.samples), dict(found.funnel.steps[0].drops)) == (1, {"malformed": 1})
