"""Self-Instruct's parsers: expected values are written by hand, or are real rows that were laid out for the purpose."""

from __future__ import annotations

import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from selfinstruct.errors import ParseError
from selfinstruct.parse.self_instruct import (
    Instance,
    examples,
    instance_faults,
    labelled,
    labelled_paper,
    listed,
    numbered,
    numbered_paper,
    worked,
    worked_paper,
    yes_or_no,
    yes_paper,
)

SHARED = Path(__file__).parents[2] / "shared" / "data" / "permissive"
ABSENT = "the real rows lie beside the repository, not in it"


def rows_of(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress((SHARED / path).read_bytes()).splitlines()]


def plain(found: list[Any]) -> list[Any]:
    """Values as they are, what can't be read as its reason."""
    return [
        f"!{each.reason}" if isinstance(each, ParseError) else each if isinstance(each, str) else tuple(each)
        for each in found
    ]


# numbered lists


@pytest.mark.parametrize(
    ("text", "items"),
    [
        (" One a.\n10. Two b.\n11. Three c.", ["One a.", "Two b.", "Three c."]),
        ("9. One a.\n10. Two b.", ["One a.", "Two b."]),
        ("1. One a.\n2. Two b.\n3) Three c.", ["One a.", "Two b.", "Three c."]),  # starts over
        ("Here you are:\n9. One a.\n10. Two b.", ["!preface", "One a.", "Two b."]),
        ("Here you are:\n1. One a.\n2. Two b.", ["!preface", "One a.", "Two b."]),
        ("**9.** One a.\n**10. Two b.**", ["One a.", "Two b."]),
        ("9 . One a.\n10 . Two b.", ["One a.", "Two b."]),
        ("### 9. One a.\n\n### 10. Two b.", ["One a.", "Two b."]),
        ("9. One:\n1. step\n2. step\n10. Two b.", ["One: 1. step 2. step", "Two b."]),  # steps stay
        (" One a.\n12. Four d.", ["!preface", "Four d."]),  # not the next number: what was the first?
        ("9. One a.\n11. Three c.", ["One a.", "Three c."]),  # one left out
        ("9. One in\n2020. It was cold.\n10. Two b.", ["One in 2020. It was cold.", "Two b."]),
        (
            "9. One costs $16. Two cost\n3.5 dollars.\n10. Two b.",
            ["One costs $16. Two cost 3.5 dollars.", "Two b."],
        ),
        ("9. 写一首诗。\n10. اكتب قصيدة.", ["写一首诗。", "اكتب قصيدة."]),
        ("9.\n10. Two b.", ["", "Two b."]),
        ("Sorry, I can't.", ["!no_list"]),
        ("", ["!no_list"]),
    ],
)
def test_a_numbered_list(text: str, items: list[str]) -> None:
    assert plain(numbered(text, 9, cut=False)) == items


def test_the_last_item_of_a_cut_list_is_a_fragment() -> None:
    assert plain(numbered(" One a.\n10. Two", 9, cut=True)) == ["One a.", "!truncated"]
    assert plain(numbered_paper(" One a.\n10. Two", cut=True)) == ["!truncated"]


def test_the_published_reading_of_a_list() -> None:
    assert plain(numbered_paper(" Explain NASA\n to me.\n10. two B.\n11.Three\n12 . Four", cut=False)) == [
        "Explain nasa to me.",
        "Two b. 11.three",
        "Four",
    ]


@pytest.mark.skipif(not SHARED.is_dir(), reason=ABSENT)
def test_ten_thousand_real_instructions_come_back_from_lists_of_eight() -> None:
    """GPT-4o's instructions, laid out as a list from 9 to 16: all 10,021 as they were, but for white space; one that
    itself begins with "10)" is read as number ten where the 9 before it is left to the prompt."""
    wrote = [
        " ".join(row["instruction"].split()) for row in rows_of("pools/gpt4o_self_instruct_10k.jsonl.gz")
    ]
    assert len(wrote) == 10_021
    for at in range(0, len(wrote), 8):
        some = wrote[at : at + 8]
        text = "\n".join(f"{number}. {each}" for number, each in enumerate(some, 9))
        assert numbered(text, 9, cut=False) == some
        if not some[0].startswith("10)") and len(some) > 1:
            assert numbered(text.partition(".")[2], 9, cut=False) == some


def test_a_json_list() -> None:
    assert plain(listed('```json\n{"instructions": [" if x:\\n    a ", 3, null, "Zwei"]}\n```')) == [
        "if x:\n    a",
        "!bad_item",
        "!bad_item",
        "Zwei",
    ]
    for text, reason in (
        ('{"tasks": []}', "bad_json"),
        ("none", "no_json"),
        ('{"instructions": ["a', "bad_json"),
    ):
        with pytest.raises(ParseError) as caught:
            listed(text)
        assert caught.value.reason == reason


@pytest.mark.parametrize("gap", ["", "\n  "])
def test_of_a_cut_list_in_json_what_is_whole_is_read(gap: str) -> None:
    """Wherever the cut falls: every item that ended before it, and one fragment."""
    items = [f'"Name {{}} [] \\", {name}"' for name in ("one", "two", "three")]
    whole = f'```json\n{{{gap}"instructions":{gap}[{gap}' + f",{gap}".join(items) + f"{gap}]{gap}}}"
    ends = [whole.index(item) + len(item) for item in items]
    for at in range(whole.index("{"), len(whole)):
        found = plain(listed(whole[:at], cut=True))
        assert found == [
            *(json.loads(item) for item, end in zip(items, ends, strict=True) if end <= at),
            "!truncated",
        ]
    assert plain(listed(whole, cut=True)) == [json.loads(item) for item in items]
    with pytest.raises(ParseError):
        listed(whole[: ends[1]])
    cut = '{"instances": [{"input": "a", "output": "b"}, {"input": "c", "outp'
    assert plain(examples(cut, cut=True)) == [("a", "b"), "!truncated"]
    assert plain(examples(cut.replace("{", "[[[{"), cut=True)) == ["!truncated"]


# yes or no


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Yes", True),
        (" no\n", False),
        ("**No**.", False),
        ("`YES`", True),
        ('"Yes."', True),
        ("Yes, it has two labels.", True),
        ("No: the answer is free text.", False),
        ("No\n\nThe answer is free text. Yes, really.", False),
        ("Is it classification? Yes", True),
        ("**Answer:** No", False),
        ("Yes - every answer is one of two labels.", True),
        ("No (the answer is free text)", False),
        ("Yes，因为只有两个标签。", True),
        ("No idea", None),
        ("Yes and no", None),
        ("Yes/No", None),
        ("no-one knows", None),
        ("Nothing", None),
        ("It depends. Yes", None),
        ("是", None),
        ("", None),
    ],
)
def test_a_verdict(text: str, verdict: bool | None) -> None:
    if verdict is None:
        with pytest.raises(ParseError) as caught:
            yes_or_no(text)
        assert caught.value.reason == "no_verdict"
    else:
        assert yes_or_no(text) is verdict


def test_the_published_verdict() -> None:
    assert [yes_paper(text) for text in (" Yes", "yes\n", "YES", "Yes.", "yEs", " No", "", "Maybe")] == [
        *([True] * 3),
        *([False] * 5),
    ]


# instances


@pytest.mark.parametrize(
    ("text", "fixed", "paper"),
    [
        (
            "Example 1\nInput: a\nOutput: b\nExample 2\nInput: c\nOutput: d\n",
            [("a", "b"), ("c", "d")],
            [("a", "b"), ("c", "d")],
        ),
        (
            "Output: just this\nover two lines",
            [("", "just this\nover two lines")],
            [("", "just this\nover two lines")],
        ),
        # bold marks: the original leaves them in
        (
            "**Input:** a\n**Output:** b\n**Input**: c\n**Output**: d",
            [("a", "b"), ("c", "d")],
            [("**Input:** a\n**", "** b\n**Input**: c\n**Output**: d")],
        ),
        ("### Example 1:\nInput: a\nOutput: b\n### Example 2:\nOutput: d", [("a", "b"), ("", "d")], None),
        # chatter is no input; a field without a mark is
        ("Sure!\n\nOutput: Red", ["!preface", ("", "Red")], [("Sure!", "Red")]),
        ("Here you are:\nInput: a\nOutput: b", ["!preface", ("a", "b")], None),
        ("Sentence: a b\nOutput: b a", [("Sentence: a b", "b a")], [("Sentence: a b", "b a")]),
        # another label before the output
        ("Example 1\nSentence: a b\nOutput: b a", [("Sentence: a b", "b a")], [("Sentence: a b", "b a")]),
        # labels inside a sentence are text
        (
            "Example 1\nInput: a\nOutput: For Example, see Output: no.",
            [("a", "For Example, see Output: no.")],
            [("a", "For"), (", see", "no.")],
        ),
        # two outputs, two instances; the original joins nothing and loses the second
        ("Output: a\nOutput: b", [("", "a"), ("", "b")], [("", "a")]),
        ("Input: a\nOutput: b\nInput: c\nOutput: d", [("a", "b"), ("c", "d")], [("a", "b")]),
        # two outputs for one input, or a line of the first one's text? The original loses the second
        ("Input: a\nOutput: b\nOutput: c", ["!bad_instance"] * 2, [("a", "b")]),
        (
            "Example 1\nInput: a\nOutput: b\nOutput: c\nExample 2\nInput: d\nOutput: e",
            [*["!bad_instance"] * 2, ("d", "e")],
            [("a", "b"), ("d", "e")],
        ),
        # an example without labels: an answer, or input and answer in one?
        ("Example 1\nWord: up\nAntonym: down", ["!bad_instance"], [("", "Word: up\nAntonym: down")]),
        (
            "Example 1\nInput: a\nExample 2\nInput: c\nOutput: d",
            ["!bad_instance", ("c", "d")],
            [("", ""), ("c", "d")],
        ),
        (
            "Sure! Some examples:\n\nExample 1\nInput: a\nOutput: b",
            [("a", "b")],
            [("", "Sure! Some examples:"), ("a", "b")],
        ),
        (
            "Example 1\nInput: x = 1\n\nif x:\n    pass\nOutput:\n1\n",
            [("x = 1\n\nif x:\n    pass", "1")],
            [("x = 1\n\nif x:\n    pass", "1")],
        ),
        ("Example 1\nInput: 雨\nOutput: مطر", [("雨", "مطر")], [("雨", "مطر")]),
        ("I can't do that.", ["!no_instance"], ["!no_instance"]),
        ("", ["!no_instance"], ["!no_instance"]),
    ],
)
def test_input_first(text: str, fixed: list[Any], paper: list[Any] | None) -> None:
    assert plain(worked(text, cut=False)) == fixed
    if paper is not None:
        assert plain(worked_paper(text, cut=False)) == paper


@pytest.mark.parametrize(
    ("text", "fixed", "paper"),
    [
        (
            "Class label: Yes\na b\nc\nClass label: No\nd",
            [("a b\nc", "Yes"), ("d", "No")],
            [("a b\nc", "Yes"), ("d", "No")],
        ),
        ("Class label: 7", [("", "7")], [("", "7")]),
        ("Class label: A\nInput: x", [("x", "A")], [("Input: x", "A")]),
        ("**Class label:** A\nx", [("x", "A")], [("x", "** A")]),
        ("Class label: A\nsays Class label: B", [("says Class label: B", "A")], [("says", "A"), ("", "B")]),
        ("Label: A\nx", ["!no_instance"], ["!no_instance"]),
    ],
)
def test_label_first(text: str, fixed: list[Any], paper: list[Any]) -> None:
    assert plain(labelled(text, cut=False)) == fixed
    assert plain(labelled_paper(text, cut=False)) == paper


def test_code_below_its_label_keeps_its_indentation() -> None:
    code = "    if x:\n        return 1"
    assert worked(f"Example 1\nInput:\n{code}\nOutput: \n\n{code}\n", cut=False) == [Instance(code, code)]
    assert labelled(f"Class label: Python\n{code}", cut=False) == [Instance(code, "Python")]
    assert examples(json.dumps({"instances": [{"input": code, "output": f"\n{code}\n"}]})) == [
        Instance(code, code)
    ]


@pytest.mark.parametrize("read", [worked, worked_paper])
def test_the_last_instance_of_a_cut_completion_is_a_fragment(read: Any) -> None:
    text = "Example 1\nInput: a\nOutput: b\nExample 2\nInput: c\nOutput: d"
    assert plain(read(text, cut=True)) == [("a", "b"), "!truncated"]
    assert plain(read("", cut=True)) == ["!truncated"]
    assert plain(worked("Output: b\nExample 2\nInput: c", cut=True)) == [("", "b"), "!truncated"]
    assert plain(labelled("Class label: A\nx\nClass label: B", cut=True)) == [("x", "A"), "!truncated"]


def test_instances_as_json() -> None:
    text = '{"instances": [{"output": " b ", "input": "a"}, {"input": "c"}, 4]}'
    assert plain(examples(text)) == [("a", "b"), "!bad_item", "!bad_item"]
    assert plain(examples('{"instances": []}')) == ["!no_instance"]
    with pytest.raises(ParseError, match="bad_json"):
        examples('{"instances": "none"}')


@pytest.mark.parametrize(
    ("pairs", "reasons"),
    [
        (["a b", "c d"], [None, None]),
        (["a a", "c d"], ["echo", None]),
        (["- -"], ["echo"]),
        (["a -", "a b"], ["empty_output", None]),
        (["a: b", "a b:"], ["open_end", "open_end"]),
        (["a b", "a c", "d e"], ["conflict"] * 3),
        (["a b", "a b", "d e"], [None, "duplicate", None]),
        (["a b", "a a", "a b:"], [None, "echo", "open_end"]),  # what is dropped contradicts nobody
        (["- b", "- c"], [None, None]),
    ],
)
def test_which_instances_are_used(pairs: list[str], reasons: list[str | None]) -> None:
    instances = [Instance(*(part.strip("-") for part in pair.split(" "))) for pair in pairs]
    assert instance_faults(instances) == reasons


def test_two_labels_of_nothing_contradict_each_other() -> None:
    two = [Instance("", "Yes"), Instance("", "No")]
    assert instance_faults(two, contradictory_labels=True) == ["conflict", "conflict"]
    assert instance_faults([*two[:1], *two[:1]], contradictory_labels=True) == [None, "duplicate"]


@pytest.mark.skipif(not SHARED.is_dir(), reason=ABSENT)
def test_252_real_instances_come_back_from_their_layout() -> None:
    """The user-oriented tasks of Self-Instruct's authors, e-mails, code and tables among them, two with an "Example 1:"
    of their own: all as they were, but for white space at both ends."""
    rows = rows_of("eval_prompts/self_instruct_user_252.jsonl.gz")
    assert len(rows) == 252
    for row in rows:
        (instance,) = row["instances"]
        given, output = instance["input"].strip(), instance["output"].strip()
        text = f"Example 1\nInput: {given}\nOutput: {output}" if given else f"Output: {output}"
        assert worked(text, cut=False) == [Instance(given, output)], row["id"]
        if given and "\n" not in output:
            assert labelled(f"Class label: {output}\n{given}", cut=False) == [Instance(given, output)]


PIECES = st.lists(
    st.sampled_from(
        [
            "Example 1",
            "Input:",
            "Output:",
            "Class label:",
            "\n",
            " ",
            "9.",
            "10.",
            "**",
            "###",
            "a",
            "雨",
            ":",
            "yes",
            "{",
            "[",
        ]
    )
    | st.text(max_size=5),
    max_size=40,
).map("".join)


@given(PIECES, st.booleans())
@example("\n9. \n10. \n", True)
def test_any_text_gives_items_or_reasons(text: str, cut: bool) -> None:
    """Nothing is raised, nothing is empty-handed, and every character of an item was in the text."""
    for items in (numbered(text, 9, cut=cut), numbered_paper(text, cut=cut)):
        assert items
        assert all(isinstance(item, str | ParseError) for item in items)
    for item in numbered(text, 9, cut=cut):
        if isinstance(item, str):
            assert item.replace(" ", "") in "".join(text.split())
    for read in (worked, labelled, worked_paper, labelled_paper):
        found = read(text, cut=cut)
        assert found
        for each in found:
            assert isinstance(each, Instance | ParseError)
            if isinstance(each, Instance):
                assert each.input in text
                assert each.output in text
                assert (each.input.rstrip(), each.output.rstrip()) == each
    for parse in (listed, examples, yes_or_no):
        with contextlib.suppress(ParseError):
            parse(text)
