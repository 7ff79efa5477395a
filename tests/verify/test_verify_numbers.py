"""The number that an answer ends with: written in all the ways that people and models write it, and nothing guessed."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct import verify
from selfinstruct.errors import ParseError
from selfinstruct.verify.numbers import Number, number, same

READ: list[tuple[str, str]] = [
    ("The answer is 3½.", "7/2"),
    ("2¼ cups", "9/4"),
    ("½", "1/2"),
    ("#### 18", "18"),
    ("She sells 9 eggs.\n#### 1,234", "1234"),
    ("The answer is 18.", "18"),
    ("the final answer is: **18**", "18"),
    ("**Answer:** 18 dollars", "18"),
    ("Answer\n18", "18"),
    ("A: 18", "18"),
    ("Q: 3 cats and 4 dogs?\nA: 7", "7"),
    ("The answer to question 3 is 18", "18"),
    ("The answer is 18. I hope that helps with your 3 questions!", "18"),
    ("The answer is 17.\nWait. The answer is 18.", "18"),
    ("The answer is 9 * 2 = 18", "18"),
    ("The answer is 18 (that is 9 * 2).", "18"),
    (r"So \boxed{18} it is", "18"),
    (r"Therefore $x = \boxed{\frac{1}{2}}$.", "1/2"),
    (r"\boxed{12{,}500}", "12500"),
    (r"\boxed{18 \text{ apples}}", "18"),
    (r"The answer is \boxed{-\dfrac{3}{4}}.", "-3/4"),
    ("The answer is $1,234.50.", "1234.5"),
    ("The answer is US$5.", "5"),
    ("The answer is -$5", "-5"),
    ("The answer is $-5", "-5"),
    ("The answer is −5 °C", "-5"),
    ("The answer is 3 1/2 cups", "7/2"),
    ("The answer is 3/4", "3/4"),
    ("The answer is .5", "1/2"),
    ("The answer is 1e3", "1000"),
    ("The answer is 1.5 * 10^3", "1500"),
    (r"The answer is 1.5 \times 10^{3}", "1500"),
    ("The answer is 2.5 million people", "2500000"),
    ("The answer is 18 m²", "18"),
    ("The answer is 18 m^2", "18"),
    ("The answer is 18km", "18"),
    ("She makes 9 * 2 = $<<9*2=18>>18 every day.\nA: 18", "18"),
    ("First 9 and 9.\nIn all she has 18 eggs.", "18"),
    ("答案是１８个。", "18"),
    ("所以答案：3万", "30000"),
    ("الجواب هو ٢٥", "25"),
    ("La réponse est 1 234 km.", "1234"),
    ("La réponse est 1\u202f234,5 km.", "1234.5"),
    ("Die Antwort lautet 1.234,5 Euro", "1234.5"),
    ("Die Antwort ist 0,5", "1/2"),
    ("Antwort: 1'234", "1234"),
    ("The answer is 1,00,000 rupees", "100000"),
    ("18", "18"),
]


@pytest.mark.parametrize(("text", "value"), READ)
def test_it_is_read(text: str, value: str) -> None:
    assert number(text).value == Fraction(value)


UNREAD: list[tuple[str, str]] = [
    ("", "no_answer"),
    ("The answer is √2.", "no_answer"),
    ("The answer is 2π", "no_answer"),
    (r"\boxed{2\sqrt{3}}", "no_answer"),
    (r"\boxed{\pi}", "no_answer"),
    ("I can't help with that.", "no_answer"),
    ("The answer is 3 hours and 20 minutes.", "two_answers"),
    ("The answer is between 5 and 10.", "two_answers"),
    ("The answer is 5-10", "two_answers"),
    ("The answer is 18 of the 20.", "two_answers"),
    ("The answer is 5 · 2^3", "two_answers"),
    ("It is 9 and 9 and 18", "two_answers"),
    ("The answer is 5:00 pm", "no_answer"),
    ("The answer is 1/2/2020", "no_answer"),
    ("The answer is 2020-01-02", "two_answers"),
    ("The answer is 10²", "no_answer"),
    ("The answer is 1/0", "no_answer"),
    ("The answer is 3.\nNo: the answer is 5:00", "no_answer"),  # not the one that was withdrawn
    ("3" * 5000, "no_answer"),
]


@pytest.mark.parametrize(("text", "reason"), UNREAD)
def test_what_could_be_read_in_two_ways_is_not(text: str, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        number(text)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("18", "18.0", True),
        ("1/3", "0.3333333", True),
        ("1/3", "0.33", False),
        ("18%", "18", True),
        ("0.18", "18%", True),
        ("18%", "0.18%", False),
        ("1800", "18%", False),
        ("18", "-18", False),
        ("1,000", "1000", True),
        ("0", "0", True),
        ("0", "0.000001", False),
        ("two", "2", None),
    ],
)
def test_same(one: str, other: str, equal: bool | None) -> None:
    if equal is None:
        with pytest.raises(ParseError):
            verify.right("number", one, other)
        return
    assert verify.right("number", one, other) is equal
    assert verify.right("number", other, one) is equal


@given(
    st.integers(-(10**15), 10**15),
    st.sampled_from(["{}", "{:,}", "The answer is {:,}.", "#### {}", r"\boxed{{{}}}"]),
)
def test_any_integer_comes_back(value: int, form: str) -> None:
    assert number(form.format(value)) == Number(Fraction(value))


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=3))
def test_any_decimal_comes_back(value: object) -> None:
    assert number(f"So the answer is {value:,} kg.").value == Fraction(str(value))


@given(st.text())
def test_any_text_is_a_number_or_a_fault(text: str) -> None:
    try:
        found = number(text)
    except ParseError:
        return
    assert same(found, found)
