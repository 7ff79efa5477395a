"""The formats that people have: what each row becomes, what is told by content, and what is said about damage."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import formats
from selfinstruct.errors import ConfigError, DataError
from selfinstruct.formats import Fault
from selfinstruct.sample import Sample

ASKED = {"from": "human", "value": "Hi?"}
SAID = {"from": "gpt", "value": "Hello."}
USER = {"role": "user", "content": "Hi?"}
REPLY = {"role": "assistant", "content": "Hello."}


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def items(path: Path, format: str = "auto", **options: Any) -> list[Sample | Fault]:
    return [item for _, item in formats.read(path, format, **options)]


def one(path: Path, row: Any, format: str = "auto", **options: Any) -> Sample:
    (item,) = items(lines(path, row), format, **options)
    assert isinstance(item, Sample), item
    return item


def said(sample: Sample) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in sample.messages]


def node(text: str, role: str, *replies: Any, **more: Any) -> dict[str, Any]:
    return {"message_id": text, "text": text, "role": role, "replies": list(replies), **more}


TREE = {
    "message_tree_id": "t",
    "prompt": node(
        "Q",
        "prompter",
        node("bad", "assistant", node("Q2", "prompter", node("deep", "assistant", rank=0)), rank=1),
        node(
            "good",
            "assistant",
            node("no one answered", "prompter"),
            node(
                "Q3",
                "prompter",
                node("worst", "assistant", rank=2),
                node("mid", "assistant", rank=1),
                node("best", "assistant", rank=0),
            ),
            rank=0,
        ),
        node("gone", "assistant", rank=-1, deleted=True),
        node("spam", "assistant", rank=-1, review_result=False),
        lang="en",
    ),
}
CHAT = [("user", "Hi?"), ("assistant", "Hello.")]
# (format, row, messages, rejected, meta) of a row of each format, in each of its forms
ROWS: list[tuple[str, dict[str, Any], list[tuple[str, str]], str | None, dict[str, Any]]] = [
    ("alpaca", {"instruction": "Hi?", "output": "Hello.", "k": [1]}, CHAT, None, {"k": [1]}),
    (
        "alpaca",
        {"instruction": "Hi?", "output": "Hello.", "system": "S", "history": [["A", "B"]]},
        [("system", "S"), ("user", "A"), ("assistant", "B"), *CHAT],
        None,
        {},
    ),
    ("alpaca", {"instruction": "Hi?", "output": "Hello.", "system": "", "history": []}, CHAT, None, {}),
    (
        "alpaca",
        {"instruction": "Hi?", "output": "Hello.", "system": ["S"], "history": "of Rome"},
        CHAT,
        None,
        {"system": ["S"], "history": "of Rome"},
    ),
    (
        "dolly",
        {"system": "S", "instruction": "Hi?", "response": "Hello."},
        [("system", "S"), *CHAT],
        None,
        {},
    ),
    (
        "seed_tasks",
        {"instruction": "Hi?", "instances": [{"output": "Hello."}]},
        CHAT,
        None,
        {"instances": [{"output": "Hello."}]},
    ),
    ("messages", {"messages": [USER, REPLY], "k": 1}, CHAT, None, {"k": 1}),
    (
        "dolly",
        {"instruction": "Hi?", "context": "At noon.", "response": "Hello.", "category": "open_qa"},
        [("user", "Hi?\n\nAt noon."), ("assistant", "Hello.")],
        None,
        {"category": "open_qa", "input": "At noon."},
    ),
    ("dolly", {"instruction": "Hi?", "response": "Hello."}, CHAT, None, {}),
    (
        "sharegpt",
        {"id": "x", "conversations": [ASKED, SAID], "tools": "[]"},
        CHAT,
        None,
        {"id": "x", "tools": "[]"},
    ),
    ("sharegpt", {"conversations": [ASKED, SAID], "system": ""}, CHAT, None, {}),
    ("sharegpt", {"messages": [ASKED, {"from": "chatgpt", "value": "Hello."}]}, CHAT, None, {}),
    (
        "sharegpt",
        {"conversations": [{**ASKED, "weight": 0.0}, {**SAID, "weight": 1.0}], "system": "Be brief."},
        [("system", "Be brief."), *CHAT],
        None,
        {},
    ),
    (
        "sharegpt",
        {"conversation": [{"from": "system", "value": "S"}, USER | {"name": None}, REPLY]},
        [("system", "S"), *CHAT],
        None,
        {},
    ),
    (
        "lima",
        {"conversations": ["Hi?", "Hello.", "And?"], "source": "stack"},
        [*CHAT, ("user", "And?")],
        None,
        {"source": "stack"},
    ),
    ("ultrachat", {"id": "1", "data": ["Hi?", "Hello."]}, CHAT, None, {"id": "1"}),
    ("prompt_completion", {"prompt": "Hi?", "completion": "Hello."}, CHAT, None, {}),
    ("prompt_completion", {"prompt": [USER], "completion": [REPLY], "k": 1}, CHAT, None, {"k": 1}),
    ("prompt_completion", {"prompt": [USER], "completion": None}, CHAT[:1], None, {}),
    ("kto", {"prompt": [USER], "completion": [REPLY], "label": True}, CHAT, None, {}),
    ("kto", {"prompt": "Hi?", "completion": "Hello.", "label": False}, CHAT[:1], "Hello.", {}),
    ("kto", {"messages": [USER, REPLY], "label": False, "k": 1}, CHAT[:1], "Hello.", {"k": 1}),
    ("kto", {"conversations": [ASKED, SAID], "label": True}, CHAT, None, {}),
    ("kto", {"instruction": "Hi?", "output": "Hello.", "kto_tag": False}, CHAT[:1], "Hello.", {}),
    ("preference", {"prompt": "Hi?", "chosen": "Hello.", "rejected": "No."}, CHAT, "No.", {}),
    (
        "preference",
        {"prompt": [USER], "chosen": [REPLY], "rejected": [{**REPLY, "content": "No."}], "score": 2},
        CHAT,
        "No.",
        {"score": 2},
    ),
    (
        "preference",
        {
            "prompt": "Hi?",
            "messages": [USER, REPLY],
            "chosen": [USER, REPLY],
            "rejected": [USER, {**REPLY, "content": "No."}],
        },
        CHAT,
        "No.",
        {},
    ),
    (
        "preference",
        {"conversations": [ASKED], "chosen": SAID, "rejected": {**SAID, "value": "No."}, "system": "S"},
        [("system", "S"), *CHAT],
        "No.",
        {},
    ),
    (
        "preference",
        {
            "instruction": "Hi?",
            "input": "Now.",
            "chosen": "Hello.",
            "rejected": "No.",
            "history": [["A", "B"]],
        },
        [("user", "A"), ("assistant", "B"), ("user", "Hi?\n\nNow."), ("assistant", "Hello.")],
        "No.",
        {"input": "Now."},
    ),
    (
        "preference",
        {
            "chosen": "\n\nHuman: A\nB\n\nAssistant: C\n\nHuman: Hi?\n\nAssistant: Hello.",
            "rejected": "\n\nHuman: A\nB\n\nAssistant: C\n\nHuman: Hi?\n\nAssistant:  No.",
        },
        [("user", "A\nB"), ("assistant", "C"), *CHAT],
        " No.",
        {},
    ),
    (
        "preference",
        {"prompt": "\n\nHuman: Hi?\n\nAssistant:", "chosen": "Hello.", "rejected": ""},
        CHAT,
        "",
        {},
    ),
    (
        "oasst",
        TREE,
        [("user", "Q"), ("assistant", "good"), ("user", "Q3"), ("assistant", "best")],
        None,
        {"message_tree_id": "t", "lang": "en", "message_id": "best"},
    ),
    (
        "oasst",
        {"message_tree_id": "t", "prompt": node("Q", "prompter")},
        [("user", "Q")],
        None,
        {"message_tree_id": "t", "message_id": "Q"},
    ),
    (
        "p3",
        {"inputs_pretokenized": "Hi?\n", "inputs": [1], "targets_pretokenized": " Hello."},
        CHAT,
        None,
        {"collection": "t0"},
    ),
]


@pytest.mark.parametrize(("format", "row", "messages", "rejected", "meta"), ROWS)
@pytest.mark.parametrize("named", [False, True], ids=["auto", "named"])
def test_what_a_row_becomes(
    tmp_path: Path,
    named: bool,
    format: str,
    row: dict[str, Any],
    messages: list[tuple[str, str]],
    rejected: str | None,
    meta: dict[str, Any],
) -> None:
    sample = one(tmp_path / "x", row, format if named else "auto")
    assert (said(sample), sample.rejected, sample.meta) == (messages, rejected, meta)


def test_every_reader_has_a_row_here() -> None:
    assert SOUND.keys() == formats.READERS.keys() - formats.CONTAINERS.keys()


def test_the_pairs_of_a_tree_are_best_and_worst_of_each_question(tmp_path: Path) -> None:
    found = items(lines(tmp_path / "x", TREE), "oasst_pairs")
    pairs = [(said(item), item.rejected) for item in found if isinstance(item, Sample)]
    assert pairs == [
        ([("user", "Q"), ("assistant", "good")], "bad"),
        ([("user", "Q"), ("assistant", "good"), ("user", "Q3"), ("assistant", "best")], "worst"),
    ]
    assert isinstance(found[1], Sample)
    assert found[1].meta == {
        "message_tree_id": "t",
        "lang": "en",
        "message_id": "best",
        "rejected_id": "worst",
    }


def test_a_tree_without_a_pair_is_no_fault(tmp_path: Path) -> None:
    bare = {"message_tree_id": "t", "prompt": node("Q", "prompter", node("A", "assistant", rank=0))}
    first, second = items(lines(tmp_path / "x", bare, TREE), "oasst_pairs")[:2]
    assert isinstance(first, Fault)
    assert (first.reason, first.harmless) == ("holds_none", True)
    assert isinstance(second, Sample)


BAD_TURN = [ASKED, {"from": "function_call", "value": "{}"}, SAID]
# (format, damaged row, what is said); each row stands between two sound ones
DAMAGE: list[tuple[str, Any, str]] = [
    ("dolly", {"instruction": "Hi?", "context": ["x"], "response": "y"}, '`context` is ["x"]'),
    ("dolly", {"instruction": "Hi?", "response": 3}, "`response` is 3"),
    ("dolly", {"instruction": "", "response": "y"}, '`instruction` is ""'),
    (
        "dolly",
        {"instruction": "Hi?", "response": "y", "output": "z"},
        "has a column `output` beside `response`",
    ),
    ("sharegpt", {"conversations": []}, "`conversations` is no list of messages"),
    ("sharegpt", {"conversations": None}, "`conversations` is no list of messages"),
    ("sharegpt", {"text": "Hi?"}, "`conversations` is no list of messages"),
    ("sharegpt", {"conversations": ["Hi?"]}, "message 1 is no object"),
    ("sharegpt", {"conversations": [{"from": "alien", "value": "x"}]}, "message 1 is by 'alien'"),
    ("sharegpt", {"conversations": [{"value": "x"}]}, "message 1 is by None"),
    ("sharegpt", {"conversations": [{"from": ["human"], "value": "x"}]}, "message 1 is by ['human']"),
    ("sharegpt", {"conversations": [{"from": "human"}]}, "message 1 has no text as its content"),
    ("sharegpt", {"conversations": [{**ASKED, "img": "a.png"}]}, "message 1 has `img`, which is not kept"),
    ("sharegpt", {"conversations": [ASKED, {**SAID, "weight": 0}]}, "message 2 has `weight`, which is not"),
    ("sharegpt", {"conversations": [SAID, ASKED]}, "message 1 is by the assistant, and the user has to"),
    ("sharegpt", {"conversations": [ASKED, SAID, SAID]}, "message 3 is by the assistant, which is not its"),
    ("sharegpt", {"conversations": [ASKED, ASKED]}, "message 2 is by the user, which is not its turn"),
    ("sharegpt", {"conversations": [{"from": "system", "value": "x"}]}, "no message is by the user"),
    (
        "sharegpt",
        {"conversations": BAD_TURN},
        "message 2 is by 'function_call': rows with calls of tools are not",
    ),
    ("sharegpt", {"conversations": [ASKED], "system": 7}, "`system` is no text"),
    (
        "sharegpt",
        {"conversations": [{"from": "system", "value": "x"}, ASKED], "system": "y"},
        "has a `system` column and a system message",
    ),
    ("lima", {"conversations": []}, "`conversations` is no list of texts"),
    ("lima", {"conversations": ["Hi?", None]}, "text 2 of `conversations` is none"),
    ("ultrachat", {"data": "Hi?"}, "`data` is no list of texts"),
    ("ultrachat", {"id": 1}, "`data` is no list of texts"),
    ("ultrachat", {"data": [{"q": 1}]}, "text 1 of `data` is none"),
    ("prompt_completion", {"completion": "x"}, "`prompt` is no text and no list of messages"),
    ("prompt_completion", {"prompt": " ", "completion": "x"}, "`prompt` is no text and no list of messages"),
    ("prompt_completion", {"prompt": "x", "completion": 3}, "`completion` is no list of messages"),
    ("prompt_completion", {"prompt": [REPLY], "completion": "x"}, "message 1 is by the assistant, and the"),
    ("kto", {"prompt": "x", "completion": "y", "label": "good"}, '`label` is "good"'),
    ("kto", {"prompt": "x", "completion": "y"}, "`label` is null"),
    ("kto", {"prompt": "x", "completion": None, "label": True}, "has no answer for its label"),
    ("kto", {"messages": [USER], "label": True}, "has no answer for its label"),
    ("preference", {"prompt": "x", "chosen": "y"}, "`rejected` is null"),
    ("preference", {"prompt": "x", "chosen": 1, "rejected": "z"}, "`chosen` is 1"),
    ("preference", {"chosen": "y", "rejected": "z"}, "nothing says what was asked"),
    (
        "preference",
        {"prompt": "x", "chosen": USER, "rejected": REPLY},
        "`chosen` does not end with an answer",
    ),
    ("preference", {"prompt": "x", "chosen": [], "rejected": []}, "`chosen` is no list of messages"),
    (
        "preference",
        {"chosen": [USER, REPLY], "rejected": [{**USER, "content": "Yo?"}, REPLY]},
        "`chosen` and `rejected` differ before their last message",
    ),
    (
        "preference",
        {"prompt": "x", "chosen": [USER, REPLY], "rejected": [REPLY]},
        "`chosen` and `rejected` differ before their last message",
    ),
    (
        "preference",
        {"prompt": [USER, REPLY], "chosen": "y", "rejected": "z"},
        "the prompt ends with an answer",
    ),
    (
        "preference",
        {"chosen": "\n\nHuman: x\n\nAssistant: y\n\nHuman: z", "rejected": "\n\nHuman: x\n\nAssistant: y"},
        "`chosen` does not end with an answer",
    ),
    ("oasst", {"message_tree_id": "t", "message_id": "m", "text": "x"}, "is one message, not a tree"),
    ("oasst", {"message_tree_id": "t", "prompt": "x"}, "holds a message without text"),
    (
        "oasst",
        {"message_tree_id": "t", "prompt": node("Q", "prompter", node("Q", "prompter"))},
        "message 'Q' is by 'prompter', where assistant has its turn",
    ),
    (
        "oasst",
        {"message_tree_id": "t", "prompt": node("Q", "prompter", node("A", "assistant", rank="0"))},
        "the `rank` of message 'A' is '0'",
    ),
    (
        "oasst_pairs",
        {"message_tree_id": "t", "prompt": {**node("Q", "prompter"), "replies": "none"}},
        "the `replies` of message 'Q' are no list",
    ),
    (
        "oasst_pairs",
        {"message_tree_id": "t", "prompt": node(" ", "prompter")},
        "its first message is empty or was deleted",
    ),
]
SOUND = {format: row for format, row, *_ in ROWS}
SOUND["oasst_pairs"] = TREE
SOUND["rows"] = {"text": "a", "label": 1}


@pytest.mark.parametrize(("format", "row", "message"), DAMAGE)
def test_a_damaged_row_is_named_and_the_others_are_safe(
    tmp_path: Path, format: str, row: Any, message: str
) -> None:
    sound = SOUND[format]
    found = list(formats.read(lines(tmp_path / "x", sound, row, sound), format))
    faults = [(place, item) for place, item in found if isinstance(item, Fault)]
    ((place, fault),) = faults
    assert (place, fault.place, fault.reason, fault.harmless) == ("line 2", "line 2", "malformed", False)
    assert fault.message.startswith(f"as {format}: {message}")
    assert fault.hint
    assert str(fault.path) == str(tmp_path / "x")
    assert {place for place, item in found if isinstance(item, Sample)} == {"line 1", "line 3"}


GENERAL = [
    ("{", "is not JSON"),
    ('{"a": 1, "a": 2}', "holds the key 'a' twice"),
    ('{"a": NaN}', "holds NaN"),
    ('{"a": "\\ud800"}', "holds half of a surrogate pair"),
    ("[1]", "is a list, not an object with columns"),
    ("7", "is a number, not an object with columns"),
]


@pytest.mark.parametrize("format", [format for format in SOUND if format != "seed_tasks"])
@pytest.mark.parametrize(("line", "message"), GENERAL)
def test_a_line_that_is_no_row_of_anything(tmp_path: Path, format: str, line: str, message: str) -> None:
    sound = SOUND[format]
    found = items(lines(tmp_path / "x", sound, line, sound), format)
    (fault,) = (item for item in found if isinstance(item, Fault))
    assert fault.place == "line 2"
    assert message in fault.message
    assert fault.hint


@pytest.mark.parametrize("format", SOUND)
@pytest.mark.parametrize("value", [None, 7, True, "", [], {}, [[]], [{}], [None], {"a": {}}, [[[1]]]])
def test_odd_values_are_faults_or_meta_and_never_a_crash(tmp_path: Path, format: str, value: Any) -> None:
    for key in SOUND[format]:
        row = {**SOUND[format], key: value}
        for item in items(lines(tmp_path / "x", row), format):
            assert isinstance(item, Sample | Fault)
        with contextlib.suppress(DataError):  # what the row now is may have no name
            items(tmp_path / "x")


def test_a_column_of_input_that_is_no_text_is_only_meta(tmp_path: Path) -> None:
    sample = one(tmp_path / "x", {"messages": [USER, REPLY], "input": ["x"]})
    assert (sample.input, sample.instruction, sample.meta) == ("", "Hi?", {"input": ["x"]})


def test_columns_are_renamed_before_the_format_is_told(tmp_path: Path) -> None:
    row = {"question": "Hi?", "answer": "Hello.", "level": 3}
    sample = one(tmp_path / "x", row, columns={"instruction": "question", "output": "answer"})
    assert (said(sample), sample.meta) == (CHAT, {"level": 3})
    sample = one(tmp_path / "x", {"conv": [USER, REPLY]}, columns={"messages": "conv"})
    assert said(sample) == CHAT
    sample = one(
        tmp_path / "x",
        {"system": "S", "question": "Hi?", "chosen": "Hello.", "rejected": "No."},
        columns={"prompt": "question"},
    )
    assert (said(sample), sample.rejected) == ([("system", "S"), *CHAT], "No.")


def test_columns_may_change_places(tmp_path: Path) -> None:
    sample = one(
        tmp_path / "x",
        {"instruction": "Hello.", "output": "Hi?"},
        columns={"instruction": "output", "output": "instruction"},
    )
    assert said(sample) == CHAT


def test_a_misspelt_column_is_said_at_once(tmp_path: Path) -> None:
    path = lines(tmp_path / "x", {"question": "Hi?", "context": "Now."})
    with pytest.raises(DataError, match="line 1: there is no column `contxt`") as error:
        items(path, columns={"instruction": "question", "input": "contxt"})
    assert "did you mean `context`?" in error.value.hint


def test_a_column_that_would_cover_another(tmp_path: Path) -> None:
    row = {"instruction": "Hi?", "output": "bad", "better": "Hello."}
    path = lines(tmp_path / "x", row)
    (fault,) = items(path, "alpaca", columns={"output": "better"})
    assert isinstance(fault, Fault)
    assert fault.message == "has a column `output` of its own beside `better`"
    assert "columns: {output: better, old_output: output}" in fault.hint
    sample = one(tmp_path / "x", row, columns={"output": "better", "old_output": "output"})
    assert (said(sample), sample.meta) == (CHAT, {"old_output": "bad"})


def test_a_column_that_later_rows_lack_is_missing_there(tmp_path: Path) -> None:
    path = lines(tmp_path / "x", {"q": "Hi?", "a": "Hello."}, {"q": "Hi?"})
    first, second = items(path, columns={"instruction": "q", "output": "a"})
    assert isinstance(first, Sample)
    assert isinstance(second, Sample)
    assert (first.answered, second.answered) == (True, False)


def test_prompts_alone_are_not_guessed(tmp_path: Path) -> None:
    path = lines(tmp_path / "x", {"prompt": "Hi?", "response": "Hello."})
    with pytest.raises(DataError, match="of no known format") as error:
        items(path)
    assert "columns:" in error.value.hint
    assert said(one(path, {"prompt": "Hi?"}, "prompt_completion")) == CHAT[:1]


def test_a_format_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no format `share_gpt`") as error:
        items(tmp_path / "x", "share_gpt")
    assert "did you mean `sharegpt`?" in error.value.hint
