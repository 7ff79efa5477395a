"""Documents and chunks: what is read, where it is cut, and that nothing is lost or damaged."""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import ConfigError
from selfinstruct.formats.documents import Document, Unit, chunks, digests, read
from selfinstruct.formats.files import Fault

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_a_folder_is_read_in_order_with_all_below_it(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("Intro\n\n# The   bees\n\nBees fly.\r\nThey hum.", "utf-8")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "z.txt").write_bytes("\ufeffZürich, Ζ, 中文".encode())
    (tmp_path / "rows.jsonl").write_text(
        '{"text": "One.", "title": "First", "year": 1}\n{"no": 1}\n{"text": "  "}\nnot json\n', "utf-8"
    )
    (tmp_path / "page.html").write_text("<p>x</p>")
    (tmp_path / ".hidden.txt").write_text("secret")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.txt").write_text("secret")
    (tmp_path / "link.txt").symlink_to("/etc/passwd")
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "zero.txt").write_bytes(b"a\x00b")
    found = list(read(tmp_path))
    assert [each for each in found if isinstance(each, Document)] == [
        Document("a/z.txt", "z", "Zürich, Ζ, 中文", {}),
        Document("b.md", "The   bees", "Intro\n\n# The   bees\n\nBees fly.\nThey hum.", {}),
        Document("rows.jsonl: line 1", "First", "One.", {"title": "First", "year": 1}),
    ]
    assert [(each.path.name, each.place, each.reason) for each in found if isinstance(each, Fault)] == [
        ("empty.txt", "the file", "empty"),
        ("latin.txt", "the file", "malformed"),
        ("page.html", "the file", "not_a_document"),
        ("rows.jsonl", "line 2", "malformed"),
        ("rows.jsonl", "line 3", "empty"),
        ("rows.jsonl", "line 4", "malformed"),
        ("zero.txt", "the file", "malformed"),
    ]


def test_one_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    file = tmp_path / "README"
    file.write_bytes(gzip.compress(b"Read me."))
    assert list(read(file)) == [Document("README", "README", "Read me.", {})]


def test_what_is_no_place_for_documents(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        list(read(tmp_path / "nowhere"))
    (tmp_path / "page.html").write_text("x")
    with pytest.raises(ConfigError, match="holds no document"):
        list(read(tmp_path))


def test_the_digest_follows_name_and_content(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    before = digests(tmp_path)
    assert [name for name, _ in before] == ["a.txt"]
    (tmp_path / "a.txt").write_text("two")
    assert digests(tmp_path) != before


def cut(text: str, size: int, overlap: int = 0, unit: Unit = "characters") -> list[str]:
    return [text[start:end] for start, end in chunks(text, size, overlap, unit)]


def test_it_is_cut_at_the_best_place_in_the_second_half() -> None:
    assert cut("One two three.\n\nFour five six seven.", 24) == ["One two three.", "Four five six seven."]
    assert cut("One two three.\n\n## Four\n\nFive six seven.", 26) == [
        "One two three.",
        "## Four\n\nFive six seven.",
    ]
    assert cut("- one two three\n- four five six", 24) == ["- one two three", "- four five six"]
    assert cut("Aaa bbb ccc ddd. Eee fff ggg", 24) == ["Aaa bbb ccc ddd.", "Eee fff ggg"]
    assert cut("aaa bbb ccc ddd eee", 10) == ["aaa bbb", "ccc ddd", "eee"]
    assert cut("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert cut("A very early end. then one long row of words", 40) == [  # the full stop is in the first half
        "A very early end. then one long row of",
        "words",
    ]


def test_scripts_without_spaces_are_cut_at_their_sentences() -> None:
    text = "北京是中国的首都。上海在海边。广州在南方，很热。"
    assert cut(text, 11) == ["北京是中国的首都。", "上海在海边。", "广州在南方，很热。"]
    assert cut(text, 9, unit="words") == ["北京是中国的首都。", "上海在海边。", "广州在南方，很热。"]


def test_the_overlap_begins_with_a_sentence_or_a_word() -> None:
    text = "One is one. Two is two. Three is three. Four is four. Five is five."
    pieces = cut(text, 30, 14)
    assert pieces[0] == "One is one. Two is two."
    assert pieces[1].startswith("Two is two. Three")
    assert cut("aaa bbb ccc ddd eee fff", 12, 5)[:2] == ["aaa bbb ccc", "ccc ddd eee"]


def test_words_are_counted_in_any_script() -> None:
    text = "one two three four five six seven eight"  # and marks count with their letters
    assert cut(text, 4, unit="words") == ["one two three four", "five six seven eight"]
    assert [len(piece) for piece in cut("春眠不覚暁処処聞啼鳥" * 3, 10, unit="words")] == [10, 10, 10]


def test_a_letter_keeps_its_marks() -> None:
    family = "👨\u200d👩\u200d👧"
    for text in ("e\u0301" * 40, "की" * 40, family * 12):
        for piece in cut(text, 15):
            assert unicodedata.category(piece[0])[0] != "M"
            assert piece[0] != "\u200d" != piece[-1]


@given(
    st.text(alphabet=st.sampled_from("ab 。.\n\u0301中é!👩\u200d"), max_size=300),
    st.integers(1, 40),
    st.floats(0, 0.49),
    st.sampled_from(["characters", "words"]),
)
def test_nothing_is_lost_and_no_chunk_is_too_long(text: str, size: int, share: float, unit: Unit) -> None:
    overlap = int(size * share)
    spans = chunks(text, size, overlap, unit)
    covered = set()
    for start, end in spans:
        assert start < end
        assert not text[start].isspace()
        assert not text[end - 1].isspace()
        covered |= set(range(start, end))
        if unit == "characters":
            assert end - start <= size
    assert all(text[place].isspace() for place in range(len(text)) if place not in covered)
    assert [start for start, _ in spans] == sorted({start for start, _ in spans})
    assert len(spans) <= len(text) // (size // 2 - overlap + 1) + 1  # what a forecast rests on


@pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded data lie beside the repository, not in it")
def test_real_texts_in_other_scripts_come_back_letter_by_letter() -> None:
    """199 Chinese rows joined to one document: every chunk stands in it, and all that is no space is in a chunk."""
    raw = gzip.decompress((SHARED / "noncommercial/alpaca/alpaca_zh_200.jsonl.gz").read_bytes()).decode()
    texts = [" ".join(str(value) for value in json.loads(line).values()) for line in raw.splitlines()]
    text = "\n\n".join(texts)
    for unit, size in (("characters", 400), ("words", 300)):
        pieces = cut(text, size, 0, unit)  # type: ignore[arg-type]
        assert re.sub(r"\s", "", "".join(pieces)) == re.sub(r"\s", "", text)
        assert len(pieces) > 20


def test_a_long_document_takes_no_time() -> None:
    text = "The tram runs to the harbour. " * 40_000
    assert len(chunks(text, 4000, 200)) > 300
    assert len(chunks("x" * 1_000_000, 4000, 200, "words")) >= 1
