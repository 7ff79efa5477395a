"""Translation: what is taken out comes back byte for byte, what is lost is found, and prose is never taken for code."""

from __future__ import annotations

import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import ParseError
from selfinstruct.parse.translate import Span, masked, translation, wordless
from selfinstruct.text import script, scripts

MARK = re.compile(r"⟦(\d+)⟧")


def put_back(text: str, spans: list[Span]) -> str:
    return MARK.sub(lambda mark: spans[int(mark[1]) - 1].text, text)


def says(text: str) -> str:
    return json.dumps({"translation": text}, ensure_ascii=False)


def fault(answer: str, source: str, into: str = "German") -> str:
    held, spans = masked(source)
    with pytest.raises(ParseError) as caught:
        translation(answer, held, spans, scripts(into))
    return caught.value.reason


CODE = "def add(a, b):\n    # the sum\n    return a + b\n\nprint(add(1, 2))"


@pytest.mark.parametrize(
    ("text", "expected", "taken"),
    [
        ("Use `len(x)` here.", "Use ⟦1⟧ here.", [("code", "`len(x)`")]),
        ("Run\n```sh\nls -l\n```\nthen.", "Run\n⟦1⟧\nthen.", [("code", "```sh\nls -l\n```")]),
        ("Open:\n```\nnever closed", "Open:\n⟦1⟧", [("code", "```\nnever closed")]),
        (CODE, "⟦1⟧", [("code", CODE)]),
        (f"Here it is:\n\n{CODE}\n\nIt prints 3.", "Here it is:\n\n⟦1⟧\n\nIt prints 3.", [("code", CODE)]),
        ("SELECT name\nFROM t\nWHERE n > 3;", "⟦1⟧", [("code", "SELECT name\nFROM t\nWHERE n > 3;")]),
        ("See https://a.b/c?d=1.", "See ⟦1⟧.", [("url", "https://a.b/c?d=1")]),
        ("参见https://a.b/c。", "参见⟦1⟧。", [("url", "https://a.b/c")]),
        ("Write to ada@example.org!", "Write to ⟦1⟧!", [("url", "ada@example.org")]),
        ("Solve $x^2 = 4$ now.", "Solve ⟦1⟧ now.", [("formula", "$x^2 = 4$")]),
        (r"By \(a_1\) and \[b\]", "By ⟦1⟧ and ⟦2⟧", [("formula", r"\(a_1\)"), ("formula", r"\[b\]")]),
        ("Dear {name}, {{x}}", "Dear ⟦1⟧, ⟦2⟧", [("placeholder", "{name}"), ("placeholder", "{{x}}")]),
        ("Hi %s, <b>you</b>", "Hi ⟦1⟧, ⟦2⟧you⟦3⟧", [("placeholder", x) for x in ("%s", "<b>", "</b>")]),
        ("A sign ⟦1⟧ of its own", "A sign ⟦1⟧ of its own", [("placeholder", "⟦1⟧")]),
    ],
)
def test_what_must_survive_is_taken_out(text: str, expected: str, taken: list[tuple[str, str]]) -> None:
    held, spans = masked(text)
    assert (held, spans) == (expected, taken)
    assert put_back(held, spans) == text


@pytest.mark.parametrize(
    "text",
    [
        *("It costs $20 or $30.", "for example:", "If you like it: say so.", "with love:", "while at sea:"),
        *(
            "Return the book.",
            "let me see,",
            "Answer = the number of apples",
            "苹果(Apple)",
            "- apples (red);",
        ),
        *(
            "class today: history",
            "import taxes rose",
            "from Rome to Ghent",
            "UPDATE: we moved",
            "NASA(1958) flew",
        ),
        *(
            "50% of it",
            "Is 3 < 5 and 7 > 2?",
            "print this page",
            "Select one. From the list.",
            "1) one; 2) two;",
        ),
    ],
)
def test_prose_is_no_code(text: str) -> None:
    assert masked(text) == (text, [])


@given(st.text(alphabet=st.sampled_from("ab1 \n\t`$\\{}[]()<>⟦⟧=:;.,%|#@~https://www.x_^")))
def test_putting_back_gives_the_text_byte_for_byte(text: str) -> None:
    held, spans = masked(text)
    if not any(MARK.search(part) for part in held.split("⟦") if "⟧" not in part):
        assert put_back(held, spans) == text


def test_numbers_signs_and_code_alone_ask_nobody() -> None:
    for text in ("", "42", "3.5 + 4 = 7.5", "`x`", "🙂", "x = 5"):
        assert wordless(masked(text)[0])
    assert not wordless(masked("42 apples")[0])


@pytest.mark.parametrize(
    ("source", "answer", "into", "expected"),
    [
        ("Use `len(x)` now, please.", "Bitte jetzt ⟦1⟧ nehmen.", "German", "Bitte jetzt `len(x)` nehmen."),
        ("1,234.5 km and 20 m", "1.234,5 km und 20 m", "German", "1.234,5 km und 20 m"),
        ("Add 3 and 14 apples.", "أضف ٣ و ١٤ تفاحة من فضلك.", "Arabic", "أضف ٣ و ١٤ تفاحة من فضلك."),
        ("Sort 3,4,5 now", "Sortiere jetzt 3, 4, 5", "German", "Sortiere jetzt 3, 4, 5"),
        ("Name two rivers.", "Nenne 2 Flüsse.", "German", "Nenne 2 Flüsse."),
        ("Paris", "Paris", "German", "Paris"),
        ("10 h 45 min, 5 h 35 min", "10 h 45 min, 5 h 35 min", "German", "10 h 45 min, 5 h 35 min"),
        (
            "Use Python and TensorFlow.",
            "请使用 Python 和 TensorFlow。",
            "Chinese",
            "请使用 Python 和 TensorFlow。",
        ),
        ("Do it well, and do it soon.", "Faites-le bien et vite.", "Klingon", "Faites-le bien et vite."),
    ],
)
def test_a_faithful_translation_passes(source: str, answer: str, into: str, expected: str) -> None:
    held, spans = masked(source)
    assert translation(says(answer), held, spans, scripts(into)) == expected


@pytest.mark.parametrize(
    ("source", "answer", "into", "reason"),
    [
        ("Use `len(x)` now.", "Nimm jetzt das.", "German", "lost_code"),
        ("Use `len(x)` now.", "Nimm ⟦1⟧, ja, ⟦1⟧.", "German", "lost_code"),
        ("See https://a.b now.", "Sieh jetzt nach.", "German", "lost_url"),
        ("Solve $x^2$ now.", "Löse das.", "German", "lost_formula"),
        ("Dear {name},", "Liebe Ada,", "German", "lost_placeholder"),
        ("Name a fish.", "Nenne ⟦1⟧.", "German", "unknown_mark"),
        ("Add 3 and 14.", "Addiere 3 und 15.", "German", "lost_number"),
        ("Add 3 and 3.", "Verdopple 3.", "German", "lost_number"),
        ("It is 3 pm now.", "Es ist drei Uhr.", "German", "lost_number"),
        ("Name a fish of the sea.", "Name a fish of the sea.", "German", "untranslated"),
        ("Name a fish of the sea.", "NAME a fish of  the sea.", "German", "untranslated"),
        ("Name a fish of the sea.", "Nenne einen Fisch des Meeres.", "Chinese (simplified)", "wrong_script"),
        ("说出一种海鱼的名字。", "说出一种海里的鱼。", "French", "wrong_script"),
        ("Name a fish.", "", "German", "no_translation"),
    ],
)
def test_what_is_lost_is_found(source: str, answer: str, into: str, reason: str) -> None:
    assert fault(says(answer), source, into) == reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Nenne einen Fisch.", "no_json"),
        ('{"translation": "Nenne', "bad_json"),
        ('{"text": "x"}', "no_translation"),
    ],
)
def test_an_answer_that_is_none(answer: str, reason: str) -> None:
    assert fault(answer, "Name a fish.") == reason


@given(st.text(), st.text())
def test_any_answer_is_a_text_or_a_fault(source: str, answer: str) -> None:
    held, spans = masked(source)
    for said in (answer, says(answer), says(held)):
        with contextlib.suppress(ParseError):
            assert translation(said, held, spans, scripts("German"))


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("German", {"LATIN"}),
        ("Brazilian Portuguese", {"LATIN"}),
        ("Chinese (simplified)", {"CJK"}),
        ("japanese", {"CJK", "HIRAGANA", "KATAKANA"}),
        ("Serbian", {"CYRILLIC", "LATIN"}),
        ("Klingon", set()),
    ],
)
def test_scripts_of_languages(language: str, expected: set[str]) -> None:
    assert scripts(language) == expected


def test_letters_know_their_script() -> None:
    assert [script(c) for c in "aжα中あ한اदא"] == [
        *("LATIN", "CYRILLIC", "GREEK", "CJK", "HIRAGANA", "HANGUL", "ARABIC", "DEVANAGARI", "HEBREW")
    ]
