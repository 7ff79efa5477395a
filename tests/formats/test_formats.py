"""Rows to samples and back: what a file is, what is kept, and what is said about a row that can't be used."""

import datetime
import gzip
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfinstruct import formats
from selfinstruct.errors import ConfigError, DataError
from selfinstruct.formats import alpaca, messages, parquet
from selfinstruct.sample import Message, Sample

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
SEEDS = SHARED / "permissive" / "seeds" / "self_instruct_175.jsonl"
ALPACA = SHARED / "noncommercial" / "alpaca" / "alpaca_data.json.gz"
SEED = {
    "id": "seed_task_0",
    "name": "sum",
    "instruction": "Add the two numbers.",
    "instances": [{"input": "1 2", "output": "3"}, {"input": "2 2", "output": "4"}],
    "is_classification": False,
}

relaxed = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
shown = texts.filter(str.strip)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
turns = st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), texts), max_size=3)
conversations = st.tuples(turns, texts).map(lambda pair: (*pair[0], Message("user", pair[1])))


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, format: str = "auto") -> list[Sample]:
    found = [item for _, item in formats.read(path, format)]
    for item in found:
        if isinstance(item, formats.Fault):
            raise item.error()
    return [item for item in found if isinstance(item, Sample)]


def fault(path: Path, format: str = "auto") -> formats.Fault:
    faults = [item for _, item in formats.read(path, format) if isinstance(item, formats.Fault)]
    assert len(faults) == 1
    return faults[0]


def dumped(write: Any, samples: list[Sample]) -> bytes:
    file = io.BytesIO()
    write(samples, file)
    return file.getvalue()


@relaxed
@given(
    rows=st.lists(
        st.tuples(
            st.fixed_dictionaries({"instruction": shown, "input": texts, "output": texts}),
            st.dictionaries(
                texts.filter(lambda key: key not in ("messages", "instances")), values, max_size=3
            ),
        ),
        min_size=1,
        max_size=4,
    ),
    as_array=st.booleans(),
    packed=st.booleans(),
    escaped=st.booleans(),
)
def test_alpaca_loses_nothing(
    tmp_path: Path,
    rows: list[tuple[dict[str, str], dict[str, Any]]],
    as_array: bool,
    packed: bool,
    escaped: bool,
) -> None:
    whole = [{**extra, **row} for row, extra in rows]
    text = (
        json.dumps(whole, indent=1, ensure_ascii=escaped)
        if as_array
        else "\n".join(json.dumps(row, ensure_ascii=escaped) for row in whole)
    )
    path = tmp_path / "rows"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    samples = read(path)
    for sample, (row, extra) in zip(samples, rows, strict=True):
        assert alpaca.row(sample) == row
        kept = {key: value for key, value in sample.meta.items() if key != "input"}
        assert kept == {key: value for key, value in extra.items() if key not in row}
    path.write_bytes(dumped(alpaca.write, samples))
    assert json.loads(path.read_bytes()) == [row for row, _ in rows]
    assert [alpaca.row(sample) for sample in read(path)] == [row for row, _ in rows]


@relaxed
@given(st.lists(st.tuples(conversations, st.dictionaries(texts, values, max_size=3)), min_size=1, max_size=4))
def test_messages_lose_nothing(
    tmp_path: Path, rows: list[tuple[tuple[Message, ...], dict[str, Any]]]
) -> None:
    path = tmp_path / "rows"
    path.write_bytes(dumped(messages.write, [Sample(conversation) for conversation, _ in rows]))
    plain = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    assert [[(turn["role"], turn["content"]) for turn in row["messages"]] for row in plain] == [
        [(turn.role, turn.content) for turn in conversation] for conversation, _ in rows
    ]
    extra = [{key: value for key, value in each.items() if key != "messages"} for _, each in rows]
    lines(path, *[{**more, **row} for row, more in zip(plain, extra, strict=True)])
    assert read(path, "messages") == [
        Sample(conversation, meta=more) for (conversation, _), more in zip(rows, extra, strict=True)
    ]


samples = st.builds(
    Sample,
    conversations,
    rejected=st.none() | texts,
    scores=st.dictionaries(
        st.text("abc_ é", min_size=1, max_size=5),
        st.floats(allow_nan=False, allow_infinity=False),
        max_size=3,
    ),
    meta=st.dictionaries(texts, values, max_size=3),
    parents=st.lists(texts, max_size=2).map(tuple),
)


@relaxed
@given(st.lists(samples, min_size=1, max_size=4))
def test_parquet_holds_whole_samples(tmp_path: Path, rows: list[Sample]) -> None:
    path = tmp_path / "rows"
    first = dumped(parquet.write, rows)
    assert first == dumped(parquet.write, rows)
    path.write_bytes(first)
    assert read(path) == rows
    assert [sample.to_row() for sample in read(path, "parquet")] == [sample.to_row() for sample in rows]


def test_parquet_has_the_views_and_one_column_a_score(tmp_path: Path) -> None:
    rows = [
        Sample.of("Add.", "1 2", "3", meta={"k": [1]}).score(quality=4.5),
        Sample.of("Say é.", "", "é").score(length=2.0),
    ]
    path = tmp_path / "x.parquet"
    path.write_bytes(dumped(parquet.write, rows))
    table = pyarrow.parquet.read_table(path)
    assert table.column_names == [
        *("id", "instruction", "input", "output", "messages", "rejected", "parents"),
        *("score_length", "score_quality", "meta"),
    ]
    assert table["instruction"].to_pylist() == ["Add.", "Say é."]
    assert table["input"].to_pylist() == ["1 2", ""]
    assert table["score_quality"].to_pylist() == [4.5, None]
    assert json.loads(table["meta"][0].as_py()) == {"k": [1], "input": "1 2"}


def test_parquet_of_more_than_one_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP", 2)
    rows = [Sample.of(f"Count to {n}.", "", str(n)) for n in range(5)]
    path = tmp_path / "x.parquet"
    path.write_bytes(dumped(parquet.write, rows))
    assert pyarrow.parquet.ParquetFile(path).num_row_groups == 3
    assert read(path) == rows


def test_foreign_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = {
        "instruction": ["Add.", "Sub."],
        "output": ["1", None],
        "when": [datetime.datetime(2024, 5, 6, 7), None],
        "weight": [0.5, float("nan")],
        "score_x": ["high", "low"],
    }
    pyarrow.parquet.write_table(pyarrow.table(table), path)
    first, second = read(path)
    assert (first.instruction, first.output, second.answered) == ("Add.", "1", False)
    assert first.meta == {"when": "2024-05-06T07:00:00", "weight": 0.5, "score_x": "high"}
    assert second.meta == {"when": None, "weight": None, "score_x": "low"}


@pytest.mark.parametrize(
    ("value", "kind"),
    [(b"x", "a bytes"), (Decimal("1.5"), "a Decimal"), (float("inf"), "an infinite number")],
)
def test_parquet_values_without_a_json_form(tmp_path: Path, value: Any, kind: str) -> None:
    path = tmp_path / "x.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"instruction": ["Add."], "blob": [value]}), path)
    found = fault(path, "alpaca")
    assert (found.place, found.message) == (
        "row 1",
        f"column `blob` holds {kind}, which JSON has no form for",
    )


def test_broken_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match=r"x\.parquet: is no readable Parquet file"):
        read(path)
    with pytest.raises(DataError, match=r"is no Parquet file: it starts with '\{\}'"):
        read(lines(path, {}), "parquet")


def test_our_table_after_pandas_added_a_column(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(dumped(parquet.write, [Sample.of("Add.", "", "1", meta={"a": 1})]))
    table = pyarrow.parquet.read_table(path).append_column("topic", pyarrow.array(["maths"]))
    pyarrow.parquet.write_table(table, path)
    assert read(path)[0].meta == {"a": 1, "topic": "maths"}
    pyarrow.parquet.write_table(table.set_column(8, "meta", pyarrow.array(["{"])), path)
    assert "`meta` is no JSON text" in fault(path).message


def test_seed_task(tmp_path: Path) -> None:
    (sample,) = read(lines(tmp_path / "x", {**SEED, "author": "me"}))
    assert (sample.instruction, sample.input, sample.output) == ("Add the two numbers.", "1 2", "3")
    assert sample.meta == {
        "seed_id": "seed_task_0",
        "name": "sum",
        "is_classification": False,
        "instances": SEED["instances"],
        "author": "me",
        "input": "1 2",
    }


def test_a_short_seed_task(tmp_path: Path) -> None:
    (sample,) = read(
        lines(tmp_path / "x", {"instruction": "Say hello.", "instances": [{"output": "Hello."}]})
    )
    assert (sample.instruction, sample.input, sample.output) == ("Say hello.", "", "Hello.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instruction": " "}, "as seed_tasks: `instruction` is missing or empty"),
        ({"instances": []}, "as seed_tasks: `instances` is no list with an instance"),
        (
            {"instances": [{"input": "", "output": "x"}, "x"]},
            "as seed_tasks: instance 2 has no text as `input`",
        ),
        ({"instances": [{"input": "x", "output": " "}]}, "as seed_tasks: instance 1 has no `output`"),
        ({"id": 7}, "as seed_tasks: `id` is 7"),
        ({"is_classification": "no"}, "as seed_tasks: `is_classification` is 'no'"),
        ({"seed_id": "x"}, "as seed_tasks: has a column `seed_id` beside `instances`"),
    ],
)
def test_faulty_seed_tasks(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    found = fault(lines(tmp_path / "x", {**SEED, **change}))
    assert (found.place, found.message, found.reason) == ("line 1", message, "malformed")
    assert found.hint


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"id": "b", "instruction": " add  the TWO numbers. "}, "instruction"),
        ({"instruction": "Count."}, "id"),
    ],
)
def test_a_seed_that_occurs_twice(tmp_path: Path, change: dict[str, str], what: str) -> None:
    found = fault(
        lines(tmp_path / "x", SEED, {**SEED, "id": "c", "instruction": "Sort."}, {**SEED, **change})
    )
    assert (found.place, found.reason) == ("line 3", "duplicate")
    assert found.message.startswith(f"has the same {what} as line 1: ")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"instruction": ""}, 'as alpaca: `instruction` is ""'),
        ({"instruction": "x", "input": ["a"]}, 'as alpaca: `input` is ["a"]'),
        ({"instruction": "x", "output": 3}, "as alpaca: `output` is 3"),
        ({"output": "x"}, "as alpaca: `instruction` is missing"),
        (["x"], "is a list, not an object with columns"),
        ("x", "is a text, not an object with columns"),
        (None, "is null, not an object with columns"),
    ],
)
def test_faulty_alpaca_rows(tmp_path: Path, row: Any, message: str) -> None:
    found = fault(lines(tmp_path / "x", {"instruction": "Go on.", "output": "y"}, row))
    assert (found.place, found.message) == ("line 2", message)
    assert found.hint


@pytest.mark.parametrize("given", [{}, {"input": None}, {"input": ""}])
def test_no_input_is_no_input(tmp_path: Path, given: dict[str, Any]) -> None:
    (sample,) = read(lines(tmp_path / "x", {"instruction": "Sing.", **given, "output": "La."}))
    assert alpaca.row(sample) == {"instruction": "Sing.", "input": "", "output": "La."}
    assert sample.meta == {}


def test_an_empty_output_is_an_answer_and_none_is_not(tmp_path: Path) -> None:
    empty, missing, null = read(
        lines(
            tmp_path / "x",
            {"instruction": "a", "output": ""},
            {"instruction": "b"},
            {"instruction": "c", "output": None},
        )
    )
    assert (empty.answered, missing.answered, null.answered) == (True, False, False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "`messages` is no list of messages"),
        ("hello", "`messages` is no list of messages"),
        (["hello"], "message 1 is no object"),
        ([{"role": "human", "content": "x"}], "message 1 has the role 'human'"),
        ([{"role": "user", "content": [{"type": "text"}]}], "message 1 has no text as `content`"),
        ([{"role": "user", "content": "x", "name": "Ada"}], "message 1 has `name`, which is not kept here"),
        ([{"role": "system", "content": "x"}], "no message is by the user"),
    ],
)
def test_faulty_messages(tmp_path: Path, given: Any, message: str) -> None:
    found = fault(lines(tmp_path / "x", {"messages": given}))
    assert found.message == f"as messages: {message}"
    assert found.hint


def test_a_conversation_is_no_alpaca_row() -> None:
    talk = Sample((Message("system", "Be brief."), Message("user", "Hi."), Message("assistant", "Hi.")))
    with pytest.raises(DataError, match=r"roles: system, user, assistant") as error:
        alpaca.row(talk)
    assert "formats: [messages, parquet]" in error.value.hint


def test_formats_are_told_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"  # the name says nothing
    assert read(lines(path, SEED))[0].meta["seed_id"] == "seed_task_0"
    assert read(lines(path, {"instruction": "Sing.", "output": "La."}))[0].output == "La."
    assert read(lines(path, {"messages": [{"role": "user", "content": "Hi."}]}))[0].instruction == "Hi."
    path.write_text('\ufeff  [{"instruction": "Sing.", "output": "La."}]')
    assert read(path)[0].output == "La."


def test_unknown_content_names_what_was_seen(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("id,instruction\n1,Sing\n")
    with pytest.raises(
        DataError, match=r"x: is of no known format: it starts with 'id,instruction'"
    ) as error:
        read(path)
    for name in ("seed_tasks", "alpaca", "messages", "parquet"):
        assert f"{name} = " in error.value.hint
    with pytest.raises(DataError, match=r"line 1: is of no known format: its keys are 'question', 'answer'"):
        read(lines(path, {"question": "x", "answer": "y"}))
    path.write_text("[]")
    with pytest.raises(DataError, match="holds no rows"):
        read(path)
    with pytest.raises(ConfigError, match="no format `alpacca`") as unknown:
        read(path, "alpacca")
    assert "did you mean `alpaca`?" in unknown.value.hint


def test_a_file_of_faults_alone_says_the_first(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text('{"instruction": \n{"instruction"\n')
    with pytest.raises(DataError, match="line 1: is not JSON"):
        read(path)


def test_a_format_can_be_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "x", {"messages": [{"role": "user", "content": "Hi."}], "instruction": "Sing."})
    (sample,) = read(path, "alpaca")
    assert (sample.instruction, sample.meta["messages"][0]["content"]) == ("Sing.", "Hi.")


def test_jsonl_is_read_lazily(tmp_path: Path) -> None:
    path = lines(tmp_path / "x", {"instruction": "Sing.", "output": "La."})
    with path.open("ab") as file:
        file.truncate(10_000_000)  # a hole of NUL bytes: parsing it would be a Fault, holding it would show
    first = next(formats.read(path))[1]
    assert isinstance(first, Sample)
    assert first.output == "La."


@pytest.mark.skipif(not SEEDS.exists(), reason="the 175 seed tasks are not beside this checkout")
def test_the_175_seed_tasks() -> None:
    """Facts about the published file: one instance each, 26 that classify, 50 without input."""
    found = read(SEEDS)
    assert len(found) == 175
    assert {len(sample.meta["instances"]) for sample in found} == {1}
    assert sum(sample.meta["is_classification"] for sample in found) == 26
    assert sum(not sample.input for sample in found) == 50
    raw = [json.loads(line) for line in SEEDS.read_text().splitlines()]
    for sample, row in zip(found, raw, strict=True):
        assert sample.instruction == row["instruction"]
        assert {"input": sample.input, "output": sample.output} == row["instances"][0]


@pytest.mark.skipif(not ALPACA.exists(), reason="Alpaca's 52,002 rows are not beside this checkout")
def test_alpaca_52002_comes_back_byte_for_byte() -> None:
    raw = json.loads(gzip.decompress(ALPACA.read_bytes()))
    found = read(ALPACA)
    assert len(found) == 52_002
    # The published file is json.dump(rows, indent=4); ours differs from it only in writing é as é.
    assert dumped(alpaca.write, found) == json.dumps(raw, indent=4, ensure_ascii=False).encode()
