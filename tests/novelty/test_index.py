import functools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.novelty import Match, NoveltyIndex, Similar, join, vocabulary


def test_a_new_text_is_stored_and_a_repeated_one_is_matched() -> None:
    index = NoveltyIndex()
    assert index.add_if_new("Write a poem about the sea.", "p1") is None
    # Six tokens, all among the other's seven: P = 1, R = 6/7, F = 12/13.
    match = index.add_if_new("Write a short poem about the sea!", "p2")
    assert match is not None
    assert (match.text, match.id) == ("Write a poem about the sea.", "p1")
    assert match.score == pytest.approx(12 / 13)
    assert len(index) == 1
    assert index.match("A recipe for bread") is None
    assert len(index) == 1
    index.add("Write a poem about the sea.")
    assert len(index) == 2


def test_the_match_is_the_highest_and_then_the_earliest() -> None:
    index = NoveltyIndex(0.5)
    for id, text in enumerate(("a b c d x y", "a b c d e x", "a b c d e y")):
        index.add(text, str(id))
    match = index.match("a b c d e f")
    assert match is not None
    assert match.id == "1"
    assert match.score == pytest.approx(10 / 12)


def test_in_bulk_a_text_meets_those_kept_before_it_and_not_those_rejected() -> None:
    texts = ["a b c d e f", "a b c d e g", "a b c d h g", "z", "z"]
    matches = NoveltyIndex(0.7).add_all(texts, ["0", "1", "2", "3", "4"])
    # The third scores 5/6 with the rejected second, and 4/6 with the kept first.
    assert [match and match.id for match in matches] == [None, "0", None, None, "3"]


@functools.cache
def letters() -> tuple[list[str], list[bool]]:
    """700 texts of three to eight letters, and whether each is new at 0.72, which no score of theirs is on
    paper."""
    rng = random.Random(3)
    texts = ["".join(rng.choices("abcdefghijklm", k=rng.randint(3, 8))) for _ in range(700)]
    kept: list[str] = []
    new = []
    for text in texts:
        new.append(not any(25 * common(text, other) > 9 * (len(text) + len(other)) for other in kept))
        kept += [text] * new[-1]
    return texts, new


def common(a: str, b: str) -> int:
    """The length of the longest common subsequence, by its textbook recurrence."""
    row = [0] * (len(b) + 1)
    for x in a:
        last = 0
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], (last + 1 if x == y else max(row[j], row[j - 1]))
    return row[-1]


@pytest.mark.parametrize("way", ["add_all", "add_if_new", "match"])
def test_past_the_first_merge_the_answers_are_those_of_a_plain_comparison(way: str) -> None:
    texts, expected = letters()
    assert 400 < sum(expected) < 650
    spaced = [" ".join(text) for text in texts]
    index = NoveltyIndex(0.72)
    if way == "add_all":
        found = [match is None for match in index.add_all(spaced)]
    elif way == "add_if_new":
        found = [index.add_if_new(text) is None for text in spaced]
    else:
        found = []
        for text in spaced:
            found.append(index.match(text) is None)
            if found[-1]:
                index.add(text)
    assert found == expected
    assert index._pool.join._posted > 0


LANGUAGES = {
    # language: (text, a text that says the same but for a word or a sign, another text of the same language)...
    "Chinese": (
        ("写一首关于春天的短诗。", "请写一首关于春天的短诗", "解释什么是机器学习。"),
        ("用 Python 写一个排序函数。", "用Python写一个快速排序函数", "用 Python 读取一个文件。"),
        ("把下面的句子翻译成英文。", "把下面这个句子翻译成英文:", "找出下面这段话的错别字。"),
        ("列出三种健康的早餐。", "列出３种健康的早餐!", "列出北京最著名的景点。"),
    ),
    "Japanese": (
        (
            "春についての短い詩を書いてください。",
            "春についての短い詩を書きなさい。",
            "機械学習とは何か説明してください。",
        ),
        (
            "東京タワーの高さは何メートルですか?",
            "東京タワーの高さは何ﾒｰﾄﾙですか",
            "日本でいちばん長い川はどれですか?",
        ),
        (
            "次の文章を英語に翻訳してください。",
            "次の文を英語に翻訳してください",
            "健康によい朝食を三つ挙げてほしい。",
        ),
    ),
    "Korean": (
        (
            "봄에 대한 짧은 시를 한 편 써 주세요.",
            "봄에 대한 짧은 시를 두 편 써 주세요.",
            "기계 학습이 무엇인지 쉽게 설명해 주세요.",
        ),
        (
            "다음 문장을 영어로 자연스럽게 번역해 주세요.",
            "다음 문장을 영어로 번역해 주세요!",
            "다음 문장에서 틀린 글자를 찾으세요.",
        ),
        (
            "건강에 좋은 아침 식사 세 가지를 알려 줘.",
            "건강에 좋은 아침 식사 다섯 가지를 알려 줘",
            "서울에서 가장 유명한 관광지 한 곳을 소개해 줘.",
        ),
    ),
    "Arabic": (
        (
            "اكتب قصيدة قصيرة عن فصل الربيع.",
            "اكتب قصيدة قصيرة جميلة عن فصل الربيع",
            "اشرح ما هو التعلم الآلي.",
        ),
        (
            "ترجم الجملة التالية إلى اللغة الإنجليزية.",
            "ترجم الجملة التالية إلى الإنجليزية",
            "صحح الأخطاء الإملائية في النص التالي.",
        ),
        (
            "اذكر ثلاث فوائد للرياضة اليومية؟",
            "اذكر ثلاث فوائد مهمة للرياضة اليومية",
            "ما هي عاصمة المغرب وكم عدد سكانها؟",
        ),
    ),
    "Hindi": (
        ("वसंत ऋतु पर एक छोटी कविता लिखो।", "वसंत ऋतु पर एक सुंदर छोटी कविता लिखो", "मशीन लर्निंग क्या है समझाओ।"),
        (
            "नीचे दिए गए वाक्य का अंग्रेज़ी में अनुवाद करो।",
            "नीचे दिए गए वाक्य का अंग्रेज़ी में अनुवाद करें",
            "भारत की सबसे लंबी नदी कौन सी है?",
        ),
        ("सेहत के लिए अच्छे तीन नाश्ते बताओ।", "सेहत के लिए अच्छे पाँच नाश्ते बताओ!", "दिए गए पाठ की गलतियाँ सुधारो।"),
    ),
    "Thai": (
        (
            "เขียนบทกวีสั้นเกี่ยวกับฤดูใบไม้ผลิ",
            "ช่วยเขียนบทกวีสั้นเกี่ยวกับฤดูใบไม้ผลิ",
            "อธิบายว่าการเรียนรู้ของเครื่องคืออะไร",
        ),
        ("แปลประโยคต่อไปนี้เป็นภาษาอังกฤษ", "โปรดแปลประโยคต่อไปนี้เป็นภาษาอังกฤษ", "บอกชื่อแม่น้ำที่ยาวที่สุดในประเทศไทย"),
        ("แนะนำอาหารเช้าที่ดีต่อสุขภาพสามอย่าง", "แนะนำอาหารเช้าที่ดีต่อสุขภาพ 3 อย่าง", "แก้คำผิดในข้อความด้านล่าง"),
    ),
    "Russian": (
        (
            "Напиши короткое стихотворение о весне.",
            "Напиши короткое красивое стихотворение о весне!",
            "Объясни, что такое машинное обучение.",
        ),
        (
            "Переведи следующее предложение на английский язык.",
            "ПЕРЕВЕДИ СЛЕДУЮЩЕЕ ПРЕДЛОЖЕНИЕ НА АНГЛИЙСКИЙ",
            "Исправь ошибки в следующем тексте на русском.",
        ),
        (
            "Назови три полезных завтрака для всей семьи.",
            "Назови четыре полезных завтрака для всей семьи",
            "Какая река самая длинная в России?",
        ),
    ),
    "French": (
        (
            "Écris un poème court sur l'été.",
            "Écris un poème très court sur l’été !",
            "Explique ce qu'est un réseau de neurones.",
        ),
        (
            "Traduis la phrase suivante en espagnol, s'il te plaît.",
            "TRADUIS LA PHRASE SUIVANTE EN ESPAGNOL",
            "Corrige les fautes de la dictée ci-dessous.",
        ),
        (
            "Donne trois idées de petit-déjeuner équilibré.",
            "Donne cinq idées de petit\u2010déjeuner équilibré",
            "Quelle est la plus longue rivière de France ?",
        ),
    ),
    "code": (
        (
            "for i in range(10): print(i * i)",
            "for i in range(10):\n    print(i*i)",
            "while queue: node = queue.pop()",
        ),
        (
            "Write a C++ function that reverses a linked list.",
            "Write a C++ function which reverses a linked list",
            "Write a C# class for a bank account with tests.",
        ),
        (
            "SELECT name, age FROM users WHERE age > 30;",
            "select name, age from users where age > 40",
            "CREATE TABLE orders (id INT PRIMARY KEY);",
        ),
        (
            "What does Node.js use for its event loop?",
            "What does node.js use for its main event loop?",
            "What does .NET call its garbage collector?",
        ),
    ),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_script_is_compared(language: str) -> None:
    """All texts of a language in one pool: each is taken for its twin's, and for no other's."""
    index = NoveltyIndex()
    for text, same, other in LANGUAGES[language]:
        assert index.add_if_new(text) is None, text
        match = index.add_if_new(same)
        assert match is not None, same
        assert match.text == text
        assert index.add_if_new(other) is None, other
    assert index.tokenless == 0


def test_one_mark_or_sign_can_be_the_difference() -> None:
    """Texts that rouge_score calls equal: it sees `c`, or nothing at all."""
    for one, other in (
        ("C++", "C#"),
        ("Learn C", "Learn C++"),
        ("Что?", "Где?"),
        ("जल", "जाल"),
        ("写", "读"),
    ):
        index = NoveltyIndex()
        index.add(one)
        assert index.add_if_new(other) is None, (one, other)


def test_a_text_without_words_is_compared_by_its_symbols() -> None:
    index = NoveltyIndex()
    assert index.add_if_new("🎉🎉 🎂?") is None
    assert index.add_if_new("🎉 🎉🎂?") == Match(1.0, "🎉🎉 🎂?")
    assert index.add_if_new("→ →") is None
    assert index.add_if_new("") is None
    assert index.add_if_new(" \n\u200b") == Match(1.0, "")
    assert index.add_if_new("\ud800") is None
    assert index.add_if_new("\ud800") == Match(1.0, "\ud800")
    assert index.tokenless == 7
    assert index.match("🎉🎉🎂?") is not None
    assert index.tokenless == 7


def test_in_rouge_mode_a_text_without_tokens_is_new_and_counted() -> None:
    index = NoveltyIndex(tokens="rouge")
    assert index.add_all(["写一首诗", "写一首诗", "", "", "only ascii"]) == [None] * 5
    assert index.tokenless == 4


@pytest.mark.parametrize("threshold", [0, -0.1, 1.0001, 7, float("nan"), float("inf"), True, "0.7", None])
def test_a_threshold_is_above_0_and_at_most_1(threshold: Any) -> None:
    with pytest.raises(ConfigError, match="novelty threshold is"):
        NoveltyIndex(threshold)


def test_unknown_tokens_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'word'") as caught:
        NoveltyIndex(tokens="word")  # type: ignore[arg-type]
    assert "did you mean `words`?" in caught.value.hint


@pytest.mark.parametrize("text", [None, 3, b"bytes", ["a"], float("nan")])
def test_what_is_not_text_is_refused_before_anything_is_stored(text: Any) -> None:
    index = NoveltyIndex()
    for call in (index.add_if_new, index.add, index.match):
        with pytest.raises(DataError, match=f"text 0 is {type(text).__name__}"):
            call(text)
    for bulk in (index.add_all, index.extend, index.similar):
        with pytest.raises(DataError, match="text 1 is"):
            bulk(["a", text])
    assert len(index) == index.tokenless == 0


def test_one_text_where_several_belong_is_refused() -> None:
    index = NoveltyIndex()
    for call in (index.add_all, index.extend, index.similar):
        with pytest.raises(DataError, match="one text was given"):
            call("abc")
    with pytest.raises(DataError, match="1 ids for 2 texts"):
        index.add_all(["a", "b"], ["x"])
    with pytest.raises(DataError, match="`before` must hold"):
        index.similar(["a"], before=[1])
    with pytest.raises(ConfigError, match="k is -1"):
        index.similar(["a"], -1)


def test_a_text_of_ten_megabytes() -> None:
    rng = random.Random(0)
    long = " ".join(f"{rng.randrange(10**5):025}" for _ in range(400_000))
    index = NoveltyIndex()
    index.add("a short text")
    assert index.add_if_new(long) is None
    assert index.add_if_new("x" * 10**7) is None
    assert index.add_if_new(long) == Match(1.0, long)
    assert index.add_if_new("x" * 10**7) == Match(1.0, "x" * 10**7)
    match = index.add_if_new("a very short text")
    assert match is not None
    assert match.text == "a short text"


def test_nul_and_other_controls_separate_words() -> None:
    index = NoveltyIndex()
    index.add("write\x00a\x1fpoem")
    assert index.match("write a poem") == Match(1.0, "write\x00a\x1fpoem")


@pytest.mark.parametrize("limit", [4, 20])
def test_more_tokens_than_unicode_has_characters(
    limit: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Beyond the last character, texts are compared as numbers, with the same answers."""
    rng = random.Random(5)
    texts = [
        " ".join(f"w{int(40 * rng.random() ** 2)}" for _ in range(rng.randint(1, 9))) for _ in range(300)
    ]
    plain, numbered = NoveltyIndex(0.6), NoveltyIndex(0.6)
    expected = plain.add_all(texts)
    monkeypatch.setattr(vocabulary, "_CHARACTERS", limit)
    assert numbered.add_all(texts[:200]) + [numbered.add_if_new(text) for text in texts[200:]] == expected
    assert {type(code) for code in numbered._pool.codes} == {str, tuple}
    assert numbered.similar(texts[:70], 3) == plain.similar(texts[:70], 3)
    numbered.save(tmp_path / "index.npz")
    assert NoveltyIndex.load(tmp_path / "index.npz").similar(texts[:70], 3) == plain.similar(texts[:70], 3)


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=200),
    st.lists(st.integers(0, 30), min_size=1, max_size=200),
)
def test_broad_maps_differ_in_at_most_as_many_bits_as_the_texts_in_tokens(
    one: list[int], other: list[int]
) -> None:
    differ = sum(abs(one.count(t) - other.count(t)) for t in range(31))
    maps = [vocabulary.broad_map(np.array(text)) for text in (one, other)]
    assert (maps[0] ^ maps[1]).bit_count() <= differ
    # 4,096 places for at most 400 tokens: few fall together.
    assert (maps[0] ^ maps[1]).bit_count() >= 0.7 * differ - 8


def test_long_texts_are_told_apart_and_found_again() -> None:
    """Texts of 300 words; the copies have every 15th replaced, so that F is at least 0.93."""
    rng = random.Random(2)
    common = [f"w{i}" for i in range(400)]
    texts = [rng.choices(common, weights=[1 / (i + 1) for i in range(400)], k=300) for _ in range(40)]
    copies = [[*text] for text in texts]
    for copy in copies:
        copy[::15] = ["new"] * len(copy[::15])
    index = NoveltyIndex(0.9)
    assert index.add_all([" ".join(text) for text in texts], map(str, range(40))) == [None] * 40
    matches = index.add_all([" ".join(text) for text in copies])
    assert [match and match.id for match in matches] == [str(i) for i in range(40)]


def test_similar_on_an_empty_pool() -> None:
    assert NoveltyIndex().similar(["a", ""]) == [Similar([], 0.0)] * 2
    assert NoveltyIndex().similar([]) == []


def test_similar_by_hand() -> None:
    index = NoveltyIndex()
    index.extend(["a b c d", "a b x y", "p q", "a b c d"], ["0", "1", "2", "3"])
    (answer,) = index.similar(["a b c d"], 3)
    assert [(m.score, m.id) for m in answer.top] == [(1.0, "0"), (1.0, "3"), (0.5, "1")]
    assert answer.mean == pytest.approx(2.5 / 4)
    (answer,) = index.similar(["a b c d"], 3, before=[2])
    assert [(m.score, m.id) for m in answer.top] == [(1.0, "0"), (0.5, "1")]
    assert answer.mean == pytest.approx(1.5 / 2)


def test_questions_leave_no_trace() -> None:
    index = NoveltyIndex()
    index.extend(["one two three", "four five six"])
    before = (dict(index._pool.vocabulary.numbers), len(index), index.tokenless)
    index.match("entirely other words")
    index.similar(["and these", "?!"])
    assert (dict(index._pool.vocabulary.numbers), len(index), index.tokenless) == before


def test_rows_are_compared_in_ranges_of_few_postings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows 0, 2, 3 and 5 of seven meet 7, 9, 2 and 2 postings; one row is never cut."""
    rows = np.array([0, 0, 2, 3, 3, 5])
    found = join.Found(rows, 10 * np.arange(6), np.array([3, 4, 9, 1, 1, 2]), np.ones(6, np.float32))
    monkeypatch.setattr(join, "_HITS", 8)
    assert found.ranges(7) == [(0, 2), (2, 3), (3, 7)]
    assert found.of(3, 7).begin.tolist() == [30, 40, 50]
    monkeypatch.setattr(join, "_HITS", 20)
    assert found.ranges(7) == [(0, 7)]
