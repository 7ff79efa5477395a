"""Evol-Instruct's verdict and elimination rules, on texts whose fate was decided by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import ParseError
from selfinstruct.parse.evol import answer_fault, change_fault, equal, meta_fault

# the verdict


@pytest.mark.parametrize(
    "text",
    [
        "Equal", "equal", "EQUAL.", "**Equal**", "  Equal\n", '"Equal"', "Equal\nBoth ask for three fish.",
        "Equal. They set the same constraints.", "Equal - both ask for the same.", "Judgement: Equal",
        "My judgment: **Equal**", "Your Judgement: Equal", "# Equal", '{"verdict": "Equal"}',
        'Here it is:\n```json\n{"verdict": "equal"}\n```', "They set the same constraints.\n\nVerdict: Equal",
    ],
)  # fmt: skip
def test_equal(text: str) -> None:
    assert equal(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "Not Equal", "not equal.", "NOT EQUAL", "**Not Equal**", "Not equal\nThe second is equal in length only.",
        "Not-Equal", "Unequal", "NotEqual", "Not Equal: the second adds a constraint.", "Judgement: Not Equal",
        '{"verdict": "Not Equal"}', '{"verdict": "not equal."}', "**Verdict:** Not Equal", "'Not Equal'",
        "Not equal; both are equal in breadth.", "Not Equal. It has {name}, too.",
        "The second asks for more.\nVerdict: not equal",
    ],
)  # fmt: skip
def test_not_equal_is_never_equal(text: str) -> None:
    assert equal(text) is False


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_verdict"),
        ("They are not equal.", "no_verdict"),
        ("I would say equal, but not in depth", "no_verdict"),
        ("Equal in constraints, not equal in depth", "no_verdict"),
        ("Equally deep", "no_verdict"),
        ("Yes", "no_verdict"),
        ("Equal or Not Equal", "no_verdict"),
        ("Equal\nVerdict: Not Equal", "two_verdicts"),
        ('{"verdict": "Equal or Not Equal"}', "no_verdict"),
        ('{"verdict": true}', "no_verdict"),
        ('{"judgement": "Equal"}', "no_verdict"),
        ('{"verdict": "Equal"', "bad_json"),
        ('{"verdict": "Equal"} {"verdict": "Not Equal"}', "two_objects"),
        ("不相等", "no_verdict"),
    ],
)
def test_what_can_not_be_read_is_no_verdict(text: str, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        equal(text)
    assert caught.value.reason == reason


@given(st.text())
def test_a_verdict_is_read_or_refused(text: str) -> None:
    try:
        found = equal(text)
    except ParseError:
        return
    assert ("not" in text.lower() or "unequal" in text.lower()) or found is True


@given(st.text(alphabet=" \n\t*_.,;:!\"'#`-", max_size=6), st.text(alphabet=" \n*_.\"'`", max_size=6))
def test_not_equal_in_any_dress_is_never_equal(before: str, after: str) -> None:
    try:
        found = equal(f"{before}Not Equal{after}")
    except ParseError:
        return
    assert found is False


# meta words


@pytest.mark.parametrize(
    "text",
    [
        "#Rewritten Prompt#:\nName two fish.",
        "Rewrite the GIVEN PROMPT so that it names two fish.",
        "#Created Prompt#",
        "As the given prompt asks, name two fish.",
        "Sorry, as an AI language model I... #Rewritten Prompt# given prompt",
    ],
)
@pytest.mark.parametrize("fidelity", ["fixed", "paper"])
def test_words_of_the_rewriting_prompt(text: str, fidelity: str) -> None:
    fault = meta_fault(text, "Name a fish.", fidelity)  # type: ignore[arg-type]
    assert fault is not None
    assert fault.reason == "meta_words"


def test_a_task_about_a_given_prompt_may_go_on_being_one() -> None:
    parent, child = (
        "Write a story from the given prompt.",
        "Write a story of two pages from the given prompt.",
    )
    assert meta_fault(child, parent, "fixed") is None
    assert meta_fault(child, parent, "paper") is not None
    assert meta_fault(f"The given prompt: {child}", parent, "fixed") is not None


# change


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Name a fish.", "unchanged"),
        ("name a  fish!", "unchanged"),
        ("“Name a fish”", "unchanged"),
        ("Name a red fish.", None),
        ("Name a fish of the North Sea, and say how deep it lives.", None),
        ("Name it", "growth"),
        ("Name a fish." + " And another one, too." * 11, "growth"),
        ("I'm sorry, but I can't rewrite this for you.", "sorry"),
        ("I cannot help with that, whoever asks.", "refusal"),
        ("As an AI language model, I think: name a fish.", "boilerplate"),
    ],
)
def test_what_an_evolution_may_not_be(text: str, reason: str | None) -> None:
    fault = change_fault(text, "Name a fish.", 0, 40)
    assert (fault and fault.reason) == reason


def test_a_sign_or_a_small_word_may_change_what_is_asked() -> None:
    assert change_fault("Compute 3 * 4.", "Compute 3 + 4.") is None
    assert change_fault("Is x != y here?", "Is x == y here?") is None
    parent = "Explain to a child of ten, in no more than five short sentences, why the moon is seen by day."
    assert change_fault(parent.replace("is seen", "is not seen"), parent) is None


def test_growth_is_told_with_the_bound_that_it_crossed() -> None:
    assert change_fault("Name it", "Name a fish.", 0, 40) == (
        "growth",
        {"rule": "words", "value": -1, "threshold": 0},
    )
    fault = change_fault("Name a fish." + " x" * 41, "Name a fish.", 0, 40)
    assert fault == ("growth", {"rule": "words", "value": 41, "threshold": 40})
    assert change_fault("Name a fish." + " x" * 40, "Name a fish.", 0, 40) is None
    assert change_fault("Name a fish." + " x" * 400, "Name a fish.") is None


def test_growth_is_counted_in_any_script() -> None:
    """Twelve characters more are twelve words, though the whole text is one word to str.split."""
    parent, child = "请列举三种鱼。", "请列举三种鱼，并说明它们各自生活的海域深度。"
    fault = change_fault(child, parent, 0, 5)
    assert fault is not None
    assert fault.detail["value"] == 14  # 并说明它们各自生活的海域深度
    assert change_fault(child, parent, 0, 40) is None


def test_a_long_prompt_may_change_in_one_word_that_means_something() -> None:
    parent = "Write a function in JavaScript that takes in a string and returns the number of unique characters in it."
    assert change_fault(parent.replace("unique ", "unique uppercase "), parent, 0, 40) is None
    fault = change_fault(f"Please {parent}", parent, 0, 40)
    assert fault is not None
    assert fault.reason == "unchanged"
    # 19 words in common, of 19 and 20
    assert fault.detail == {"rule": "rouge_l", "value": round(38 / 39, 4), "threshold": 0.95}


# answers

ANSWERS = [
    # text, paper, fixed
    ("Sorry, this task involves creating visual output which the model cannot generate.", "sorry", "sorry"),
    ("I'm so sorry for your loss. I know how much he meant to you.", "sorry", None),
    ("Dear Ms Ito,\n\nWe are sorry for the delay of your order.", "sorry", None),
    ("Better safe than sorry.", "sorry", None),
    ("I'm sorry, but I can't open the file.", "sorry", "sorry"),
    ("Sorry, I can't say. " + "word " * 76, None, None),
    ("As an AI language model, I cannot taste food.", None, "refusal"),
    ("", "stop_words", "empty_output"),
    ("...", "stop_words", "empty_output"),
    ("What are you doing?", "stop_words", None),
    (".. / .- --", "stop_words", None),
    (":-)", "stop_words", None),
    ("No.", "stop_words", None),
    ("A", "stop_words", None),
    ("he", "stop_words", None),
    ("42", None, None),
    ("🍎🍌", None, None),
    ("∞", None, None),
    ("鲤鱼、鲈鱼和鲑鱼。", None, None),
    ("不。", None, None),
    ("سمك السلمون", None, None),
    ("Le saumon, la truite et le thon.", None, None),
    ("x += 1", None, None),
    ("The fish is a salmon.", None, None),
]


@pytest.mark.parametrize(("text", "paper", "fixed"), ANSWERS)
def test_answers(text: str, paper: str | None, fixed: str | None) -> None:
    for fidelity, expected in (("paper", paper), ("fixed", fixed)):
        fault = answer_fault(text, fidelity)  # type: ignore[arg-type]
        assert (fault and fault.reason) == expected, fidelity


def test_the_eightieth_word_makes_it_an_answer() -> None:
    short = "Sorry, we cannot. " + "word " * 76
    assert answer_fault(short, "paper") == ("sorry", {"rule": "sorry", "value": 79, "threshold": 80})
    assert answer_fault(f"{short} word", "paper") is None


@given(st.text(), st.text())
def test_no_text_breaks_a_rule(text: str, parent: str) -> None:
    for fidelity in ("fixed", "paper"):
        meta_fault(text, parent, fidelity)
        answer_fault(text, fidelity)
    change_fault(text, parent, 0, 40)
    assert change_fault(parent, parent) is not None
