"""Message, Sample and the digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import FrozenInstanceError
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import DataError
from selfinstruct.sample import Message, Role, Sample, canonical, digest

SCALAR = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, 0.5]}, '{"a":[true,null,0.5],"b":1}'),
        ("Grüße 日本 🦊", '"Gr\\u00fc\\u00dfe \\u65e5\\u672c \\ud83e\\udd8a"'),
        ("\ud800", '"\\ud800"'),
        ('tab\tquote"back\\slash\n', '"tab\\tquote\\"back\\\\slash\\n"'),
        ({}, "{}"),
        ((1, 2), "[1,2]"),
    ],
)
def test_canonical_json_and_its_digest(value: Any, text: str) -> None:
    """The texts are written by hand; the digest is the first 128 bits of their SHA-256, in hex."""
    assert canonical(value) == text
    assert digest(value) == hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


def test_a_digest_known_from_elsewhere() -> None:
    """`printf '{"a":1}' | sha256sum`"""
    assert digest({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad808"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"x": -float("inf")}])
def test_what_is_no_json_has_no_digest(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest(value)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_the_order_of_keys_changes_nothing(value: dict[str, Any]) -> None:
    assert digest(dict(reversed(value.items()))) == digest(value)
    assert json.loads(canonical(value)) == value


@given(JSON, JSON)
def test_different_values_have_different_digests(one: Any, other: Any) -> None:
    assert (digest(one) == digest(other)) == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )


def test_the_id_of_a_row_is_the_digest_of_its_content_alone() -> None:
    sample = Sample.of("Name a colour.", output="Red")
    text = '[[["user","Name a colour."],["assistant","Red"]],null]'
    assert sample.id == hashlib.sha256(text.encode()).hexdigest()[:32]
    assert sample.score(accuracy=4).note(source="x").replace(parents=("a",)).id == sample.id
    assert sample.replace(rejected="Blau").id != sample.id
    assert sample.answer("Blue").id != sample.id
    assert Sample.of("Name a colour.").id != sample.id


@pytest.mark.parametrize("role", ["tool", "User", "", None])
def test_an_unknown_role_is_refused(role: Any) -> None:
    with pytest.raises(DataError, match="unknown role") as caught:
        Message(role, "text")
    assert caught.value.hint == "roles are system, user, assistant"


@pytest.mark.parametrize(("content", "kind"), [(None, "NoneType"), (3, "int"), ([{"type": "text"}], "list")])
def test_content_that_is_no_text_is_refused(content: Any, kind: str) -> None:
    with pytest.raises(DataError, match=f"must be text, not {kind}"):
        Message("user", content)
    with pytest.raises(DataError, match=f"must be text, not {kind}"):
        Sample.from_row({"messages": [{"role": "user", "content": content}]})


def test_rows_do_not_change() -> None:
    sample = Sample.of("Name a colour.", output="Red", meta={"source": "a"})
    with pytest.raises(FrozenInstanceError):
        sample.messages = ()  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        sample.messages[0].content = "x"  # type: ignore[misc]
    changed = sample.score(accuracy=1).note(source="b", more=1)
    assert (dict(sample.scores), dict(sample.meta)) == ({}, {"source": "a"})
    assert (dict(changed.scores), dict(changed.meta)) == ({"accuracy": 1}, {"source": "b", "more": 1})
    given_meta: dict[str, Any] = {}
    Sample.of("a", "b", meta=given_meta)
    assert given_meta == {}


def test_alpacas_three_fields_become_one_turn() -> None:
    sample = Sample.of("Add the numbers.", "1 2", "3", parents=["p"])
    assert sample.messages == (Message("user", "Add the numbers.\n\n1 2"), Message("assistant", "3"))
    assert (sample.answered, sample.parents) == (True, ("p",))
    assert sample.prompt == (Message("user", "Add the numbers.\n\n1 2"),)


@given(st.text(), st.text(), st.none() | st.text(), st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_instruction_input_and_output_come_back(
    instruction: str, given_input: str, output: str | None, meta: dict[str, Any]
) -> None:
    sample = Sample.of(instruction, given_input, output, meta=meta)
    assert (sample.instruction, sample.input) == (instruction, given_input)
    assert (sample.answered, sample.output) == (output is not None, output or "")
    assert {**sample.meta, "input": 0} == {**meta, "input": 0}


def test_an_input_in_the_meta_of_another_row_does_not_split_the_instruction() -> None:
    """A row made from an earlier one's meta has only the input that it is given."""
    sample = Sample.of("Sort this:\n\n3 1 2", meta={"input": "3 1 2", "source": "a"})
    assert (sample.instruction, sample.input) == ("Sort this:\n\n3 1 2", "")
    changed = Sample.of("Sort.", "3 1 2").replace(messages=(Message("user", "Sort 3 1 2, please."),))
    assert (changed.instruction, changed.input) == ("Sort 3 1 2, please.", "")


def test_a_conversation_with_a_system_message_keeps_its_views() -> None:
    one = Sample.of("Add.", "1 2", "3")
    sample = one.replace(messages=(Message("system", "Be brief."), *one.messages, Message("user", "And 4?")))
    assert (sample.instruction, sample.input, sample.answered, sample.output) == ("Add.", "1 2", False, "")
    assert sample.prompt == sample.messages
    answered = sample.answer("7")
    assert (answered.output, answered.prompt) == ("7", sample.messages)
    assert answered.answer("8").messages == (*sample.messages, Message("assistant", "8"))


def test_a_row_without_messages_is_merely_empty() -> None:
    empty = Sample(())
    assert (empty.instruction, empty.input, empty.output, empty.answered, empty.prompt) == (
        "",
        "",
        "",
        False,
        (),
    )


SAMPLES = st.builds(
    Sample,
    messages=st.lists(
        st.builds(Message, st.sampled_from(cast(list[Role], ["system", "user", "assistant"])), st.text())
    ).map(tuple),
    rejected=st.none() | st.text(),
    scores=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
    meta=st.dictionaries(st.text(max_size=5), JSON, max_size=4),
    parents=st.lists(st.text()).map(tuple),
)


@given(SAMPLES)
def test_to_row_and_from_row_are_inverse(sample: Sample) -> None:
    again = Sample.from_row(json.loads(json.dumps(sample.to_row())))
    assert again == sample
    assert again.id == sample.id
    assert again.to_row() == sample.to_row()


def test_a_row_may_leave_out_what_it_does_not_have() -> None:
    row = {"messages": [{"role": "user", "content": "Hi"}]}
    assert Sample.from_row(row) == Sample((Message("user", "Hi"),))
    assert Sample.from_row({**row, "scores": None, "meta": None, "parents": None}) == Sample(
        (Message("user", "Hi"),)
    )
