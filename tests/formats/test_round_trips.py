"""What is written and read again is the same, and so is what is read from a format's own rows and written again."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfinstruct import formats
from selfinstruct.errors import DataError
from selfinstruct.formats import WRITERS
from selfinstruct.sample import Message, Role, Sample

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
USED = {"conversations", "conversation", "messages", "system", "prompt", "completion", "chosen", "rejected"}
USED |= {"label", "kto_tag", "data", "instruction", "input", "output", "context", "response", "instances"}
USED |= {"message_tree_id", "tools", "history"}
extras = st.dictionaries(texts.filter(lambda key: key not in USED), values, max_size=3)


@st.composite
def talks(draw: Callable[..., Any], answered: bool = True) -> tuple[Message, ...]:
    """A conversation whose speakers take turns, with or without a system message; it ends with an answer if asked."""
    said = draw(st.lists(st.tuples(texts, texts), min_size=1, max_size=3))
    turns: tuple[Role, ...] = ("user", "assistant")
    messages = [Message(role, text) for pair in said for role, text in zip(turns, pair, strict=True)]
    system = [Message("system", draw(texts))] if draw(st.booleans()) else []
    return (*system, *(messages if answered else messages[:-1]))


chats = st.builds(Sample, talks())
pairs = st.builds(Sample, talks(), rejected=texts)
labelled = st.one_of(chats, st.builds(Sample, talks(answered=False), rejected=texts))
single = st.builds(lambda q, i, a: Sample.of(q, i, a), shown, texts, texts)
samples = st.builds(
    Sample,
    talks(),
    rejected=st.none() | texts,
    scores=st.dictionaries(st.sampled_from(["quality", "länge"]), st.floats(-9, 9), max_size=2),
    meta=extras,
    parents=st.lists(texts, max_size=2).map(tuple),
)
WRITTEN = {
    "alpaca": single,
    "prompt_completion": chats,
    "messages": chats,
    "sharegpt": chats,
    "kto": labelled,
    "sharegpt_kto": labelled,
    "preference": pairs,
    "sharegpt_preference": pairs,
    "parquet": samples,
}


def dumped(format: str, rows: list[Sample]) -> bytes:
    file = io.BytesIO()
    WRITERS[format].write(rows, file)
    return file.getvalue()


def read(path: Path, format: str = "auto") -> list[Sample]:
    found = [item for _, item in formats.read(path, format)]
    assert all(isinstance(item, Sample) for item in found), found
    return [item for item in found if isinstance(item, Sample)]


def test_every_writer_is_tried() -> None:
    assert list(WRITTEN) == list(WRITERS)


@pytest.mark.parametrize("format", WRITERS)
@relaxed
@given(data=st.data())
def test_what_is_written_is_read_again_and_written_the_same(
    tmp_path: Path, format: str, data: st.DataObject
) -> None:
    rows = data.draw(st.lists(WRITTEN[format], min_size=1, max_size=4))
    for row in rows:
        WRITERS[format].fits(row)
    path = tmp_path / "rows"
    path.write_bytes(dumped(format, rows))
    again = read(path)
    assert again == rows
    assert dumped(format, again) == path.read_bytes()


# Rows as each format's own files have them, and what the reader leaves to `meta`
def rows_of(format: str) -> st.SearchStrategy[tuple[dict[str, Any], dict[str, Any]]]:
    turns = talks().map(lambda found: [{"role": m.role, "content": m.content} for m in found])
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    spoken = talks().map(lambda found: [{"from": names[m.role], "value": m.content} for m in found])
    plain: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        "sharegpt": st.fixed_dictionaries({"conversations": spoken}),
        "prompt_completion": turns.map(lambda t: {"prompt": t[:-1], "completion": t[-1:]}),
        "kto": st.builds(
            lambda t, good: {"prompt": t[:-1], "completion": t[-1:], "label": good}, turns, st.booleans()
        ),
        "sharegpt_kto": st.builds(lambda t, good: {"conversations": t, "label": good}, spoken, st.booleans()),
        "preference": st.builds(
            lambda t, bad: {
                "prompt": t[:-1],
                "chosen": t[-1:],
                "rejected": [{"role": "assistant", "content": bad}],
            },
            turns,
            texts,
        ),
        "sharegpt_preference": st.builds(
            lambda t, bad: {
                "conversations": t[:-1],
                "chosen": t[-1],
                "rejected": {"from": "gpt", "value": bad},
            },
            spoken,
            texts,
        ),
        "messages": st.fixed_dictionaries({"messages": turns}),
        "alpaca": st.fixed_dictionaries({"instruction": shown, "input": texts, "output": texts}),
    }
    return st.tuples(plain[format], extras)


@pytest.mark.parametrize("format", [format for format in WRITERS if format != "parquet"])
@relaxed
@given(data=st.data())
def test_own_rows_come_back_and_other_columns_are_kept_in_meta(
    tmp_path: Path, format: str, data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(rows_of(format), min_size=1, max_size=4))
    path = tmp_path / "rows"
    path.write_text("".join(json.dumps({**more, **row}) + "\n" for row, more in drawn), "utf-8")
    found = read(path)
    written = dumped(format, found)
    again = json.loads(written) if format == "alpaca" else list(map(json.loads, written.split(b"\n")[:-1]))
    assert again == [row for row, _ in drawn]
    kept = [{key: value for key, value in sample.meta.items() if key != "input"} for sample in found]
    assert kept == [more for _, more in drawn]


@relaxed
@given(st.lists(st.tuples(st.lists(texts, min_size=1, max_size=5), extras), min_size=1, max_size=3))
def test_lists_of_texts_lose_nothing(tmp_path: Path, rows: list[tuple[list[str], dict[str, Any]]]) -> None:
    for format, column in (("lima", "conversations"), ("ultrachat", "data")):
        path = tmp_path / format
        path.write_text("".join(json.dumps({column: said, **more}) + "\n" for said, more in rows), "utf-8")
        found = read(path)
        assert [[message.content for message in sample.messages] for sample in found] == [
            said for said, _ in rows
        ]
        assert [sample.meta for sample in found] == [more for _, more in rows]
        roles = [message.role for sample in found for message in sample.messages[:2]]
        assert set(roles[::2]) | set(roles[1::2]) <= {"user", "assistant"}


@relaxed
@given(st.lists(st.tuples(shown, texts, texts, extras), min_size=1, max_size=3))
def test_dolly_loses_nothing(tmp_path: Path, rows: list[tuple[str, str, str, dict[str, Any]]]) -> None:
    path = tmp_path / "rows"
    whole = [
        {**more, "instruction": asked, "context": given, "response": answer}
        for asked, given, answer, more in rows
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in whole), "utf-8")
    for sample, (asked, given_text, answer, more) in zip(read(path), rows, strict=True):
        assert (sample.instruction, sample.input, sample.output) == (asked, given_text, answer)
        assert {key: value for key, value in sample.meta.items() if key != "input"} == more


@relaxed
@given(talks(), texts, extras)
def test_a_transcript_of_hh_comes_apart_where_its_speakers_change(
    tmp_path: Path, talk: tuple[Message, ...], losing: str, more: dict[str, Any]
) -> None:
    said = [message for message in talk if message.role != "system"]
    names = {"user": "Human", "assistant": "Assistant"}
    marked = "".join(f"\n\n{names[message.role]}: {message.content}" for message in said[:-1])
    if any(f"\n\n{name}:" in message.content for name in names.values() for message in said):
        return
    row = {
        "chosen": f"{marked}\n\nAssistant: {said[-1].content}",
        "rejected": f"{marked}\n\nAssistant: {losing}",
    }
    if any(f"\n\n{name}:" in losing for name in names.values()):
        return
    path = tmp_path / "rows"
    path.write_text(json.dumps({**more, **row}), "utf-8")
    (sample,) = read(path, "preference")
    assert (list(sample.messages), sample.rejected, sample.meta) == (said, losing, more)


UNFIT = [
    ("alpaca", Sample.of("Wait."), "roles: user"),
    ("messages", Sample.of("Wait.").replace(rejected="No."), "has a losing answer and no other"),
    ("prompt_completion", Sample.of("Wait.").replace(rejected="No."), "has a losing answer and no other"),
    ("sharegpt", Sample.of("Wait.").replace(rejected="No."), "has a losing answer and no other"),
    ("preference", Sample.of("Hi.", "", "Hello."), "has no rejected answer"),
    ("sharegpt_preference", Sample.of("Hi.", "", "Hello."), "has no rejected answer"),
    *(
        (format, Sample((Message("user", "a"), Message("user", "b"), Message("assistant", "c")), "d"), what)
        for format, what in (
            *(("prompt_completion", "message 2 is by the user"), ("sharegpt", "message 2 is by the user")),
            *(("kto", "message 2 is by the user"), ("sharegpt_kto", "message 2 is by the user")),
            *(
                ("preference", "message 2 is by the user"),
                ("sharegpt_preference", "message 2 is by the user"),
            ),
        )
    ),
]


@pytest.mark.parametrize(("format", "sample", "message"), UNFIT)
def test_what_does_not_fit_is_said_with_the_mend(format: str, sample: Sample, message: str) -> None:
    with pytest.raises(DataError) as error:
        WRITERS[format].fits(sample)
    assert message in error.value.message
    assert error.value.hint


def test_tools_are_kept_by_sharegpt(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    row = {
        "conversations": [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Hello."}],
        "tools": "[]",
    }
    path.write_text(json.dumps(row))
    assert json.loads(dumped("sharegpt", read(path))) == row


def test_a_pair_is_two_single_answers() -> None:
    rows = dumped("kto", [Sample.of("Hi?", "", "Hello.").replace(rejected="No.")]).splitlines()
    assert [(row["completion"][0]["content"], row["label"]) for row in map(json.loads, rows)] == [
        ("Hello.", True),
        ("No.", False),
    ]
