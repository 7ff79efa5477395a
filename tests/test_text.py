import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.text import normal_form, symbols, words


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Write C++ and C# code.", ["write", "c++", "and", "c#", "code"]),
        ("C++17, Notepad++; F#!", ["c++", "17", "notepad++", "f#"]),
        (".NET, ASP.NET and Node.js", [".net", "asp.net", "and", "node.js"]),
        ("Open the .csv ... and stop.", ["open", "the", "csv", "and", "stop"]),
        ("2+2, a+b, issue #5, grade A+", ["2", "2", "a", "b", "issue", "5", "grade", "a+"]),
        ("Pi is 3.14 of 1,000 in [1,2,3]", ["pi", "is", "3.14", "of", "1,000", "in", "1", "2", "3"]),
        ("1.First 2.Second", ["1", "first", "2", "second"]),
        ("e.g. the U.S. don't", ["e.g", "the", "u.s", "don", "t"]),
        ("Ma santé, ÇA va? naïve", ["ma", "santé", "ça", "va", "naïve"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("ＦＵＬＬ １２ ﬁne K", ["full", "12", "fine", "k"]),
        ("Напишите т.е. Ёлка", ["напишите", "т.е", "ёлка"]),
        ("मुझे हिन्दी में बताओ।", ["मुझे", "हिन्दी", "में", "बताओ"]),
        ("اكتب قصةً قصيرة", ["اكتب", "قصةً", "قصيرة"]),
        ("한국의 수도는?", ["한국의", "수도는"]),
        ("写一个Python程序。", ["写", "一", "个", "python", "程", "序"]),
        ("使用.NET开发C#の", ["使", "用", ".net", "开", "发", "c#", "の"]),
        ("ｶﾞラーメン東京", ["ガ", "ラ", "ー", "メ", "ン", "東", "京"]),
        ("เรื่องสั้น", ["เ", "รื่", "อ", "ง", "สั้", "น"]),
        ("ខ្ញុំ", ["ខ្", "ញុំ"]),
        ("ລາວ ๑๒๓", ["ລ", "າ", "ວ", "๑๒๓"]),
        ("می\u200cخواهم", ["میخواهم"]),
        ("soft\u00adhyphen \ufeffbom", ["softhyphen", "bom"]),
        ("❤️ 🎉 ?!", []),
        ("", []),
        ("\x00a\x00b", ["a", "b"]),
        ("\ud800a", ["a"]),
    ],
)
def test_words(text: str, tokens: list[str]) -> None:
    assert words(text) == tokens


def test_a_composed_and_a_decomposed_text_have_the_same_words() -> None:
    text = "Écris là-bas ガ한"
    assert unicodedata.normalize("NFD", text) != text
    assert words(unicodedata.normalize("NFD", text)) == words(text) == ["écris", "là", "bas", "ガ", "한"]


def test_symbols_are_what_is_visible() -> None:
    assert symbols("❤\ufe0f 🎉\n?") == ["❤", "🎉", "?"]
    assert symbols(" \t\u200b") == []


@given(st.text(st.characters(codec=None)))
def test_case_makes_no_difference_to_ascii_words(text: str) -> None:
    ascii_text = text.encode("ascii", "ignore").decode()
    assert words(ascii_text.upper()) == words(ascii_text.lower())


@given(st.text(st.sampled_from("aZ09+#.,_ \t'-é")))
def test_ascii_and_other_texts_are_cut_by_the_same_rules(text: str) -> None:
    assert words(text + " é") == [*words(text), "é"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Write  a\npoem. ", "write a poem.", True),
        ("“Don’t” – stop", '"don\'t" - stop', True),
        ("ＡＢＣ", "abc", True),
        ("caf\u0065\u0301", "CAFÉ", True),
        ("zero\u200bwidth", "zerowidth", True),
        ("Use C++", "Use C#", False),
        ("Why?", "Why", False),
        ("été", "ete", False),
    ],
)
def test_normal_form(one: str, other: str, same: bool) -> None:
    assert (normal_form(one) == normal_form(other)) is same


@given(st.text(st.characters(codec=None)))
def test_normal_form_is_its_own_normal_form(text: str) -> None:
    form = normal_form(text)
    assert normal_form(form) == form
    assert form == form.strip()
