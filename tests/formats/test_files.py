"""Lines, arrays, gzip, caps, and files that appear whole or not at all."""

import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.formats import files


def rows(path: Path) -> list[files.Row]:
    return list(files.json_array(path) if files.start(path).startswith(b"[") else files.json_lines(path))


def test_content_digest_is_sha256_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    # FIPS 180-2, the example for "abc"
    assert files.content_digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_lines_have_their_numbers_and_blank_ones_hold_no_row(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'\xef\xbb\xbf\n{"a": 1}\r\n   \n{"a": "x\xe2\x80\xa8y"}')
    assert rows(path) == [("line 2", {"a": 1}), ("line 4", {"a": "x\u2028y"})]


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "plain.jsonl"
    path.write_bytes(gzip.compress(b'{"a": 1}\n'))
    assert rows(path) == [("line 1", {"a": 1})]


@pytest.mark.parametrize("cut", [20, 200])
def test_damaged_gzip_is_named(tmp_path: Path, cut: int) -> None:
    whole = gzip.compress(
        b"".join(b'{"a": "%s"}\n' % hashlib.sha256(b"%d" % n).hexdigest().encode() for n in range(99))
    )
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(whole[:-cut])
    with pytest.raises(DataError, match=r"x\.jsonl\.gz: damaged gzip data"):
        rows(path)


def test_a_bad_line_is_a_fault_and_the_next_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    bad = [
        b'{"a": 1',
        b'{"a": "\xff"}',
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5_000 + b"}",
    ]
    path.write_bytes(b"\n".join([*bad, b'{"a": "\\ud83d\\ude00"}']))
    found = rows(path)
    faults = [each for _, each in found if isinstance(each, files.Fault)]
    assert [fault.place for fault in faults] == [f"line {n}" for n in range(1, 8)]
    whys = [
        "not JSON",
        "not UTF-8: byte 0xff at position 7",
        "NaN",
        "key 'a' twice",
        "surrogate",
        "nested",
        "digits",
    ]
    for fault, why in zip(faults, whys, strict=True):
        assert why in fault.message
        assert fault.hint
    assert found[-1] == ("line 8", {"a": "\U0001f600"})  # a whole pair is a character
    assert str(faults[0].error()).startswith(f"{path}: line 1: is not JSON: ")


def test_a_laid_out_object_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"data": []}, indent=2))
    fault = rows(path)[0][1]
    assert "jq -c . x.json" in fault.hint


def test_a_line_above_the_cap_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files.MAX_LINE == 64 * 1024 * 1024
    monkeypatch.setattr(files, "MAX_LINE", 10)
    path = tmp_path / "x.jsonl"
    path.write_text("[1234567]\n" + "[12345678]\n")
    with pytest.raises(DataError, match=r"line 2: is longer than"):
        list(files.json_lines(path))


def test_an_array_above_the_cap_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_ARRAY", 5)
    path = tmp_path / "x.json"
    path.write_text("[1, 2]")
    with pytest.raises(DataError, match="JSON array of more than") as error:
        list(files.json_array(path))
    assert "jq -c '.[]' x.json" in error.value.hint


def test_rows_of_an_array_have_row_and_line(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('\n[\n  {"a": 1},\n\n  {"a":\n 2}, {"a": "\\ud800"}\n]\n')
    found = rows(path)
    assert found[:2] == [("row 1 (line 3)", {"a": 1}), ("row 2 (line 5)", {"a": 2})]
    assert isinstance(found[2][1], files.Fault)
    assert found[2][0] == "row 3 (line 6)"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[{"a": 1},\n {"a" 2}]', r"row 2 \(line 2\): is not JSON"),
        ('[{"a": 1}\n {"a": 2}]', r"row 1 \(line 1\): is not JSON: no comma or \] after it"),
        ('[{"a": 1},', r"row 2 \(line 1\): is not JSON"),
        ('[{"a": 1}', r"row 1 \(line 1\): is not JSON"),
        ('[{"a": NaN}]', r"row 1 \(line 1\): holds NaN"),
        ('[{"a": 1}]\n[{"a": 2}]', r"line 2: text follows the end"),
    ],
)
def test_a_broken_array_is_refused(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError, match=where):
        list(files.json_array(path))


def test_a_comma_after_the_last_row_is_let_pass(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('[{"a": 1},\n]')
    assert rows(path) == [("row 1 (line 1)", {"a": 1})]


def test_an_empty_array_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(" [ \n ] ")
    assert rows(path) == []


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}', encoding="utf-16")
    with pytest.raises(DataError, match="is UTF-16"):
        files.start(path)
    path.write_bytes(b"[1, \n2, \xff]")
    with pytest.raises(DataError, match="line 2: is not UTF-8"):
        list(files.json_array(path))


@pytest.mark.parametrize("content", [b"", b" \n\n", b"\xef\xbb\xbf", b"\n" * 10_000])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is empty"):
        files.start(path)


def test_many_blank_lines_before_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\n" * 10_000 + b"{}")
    assert files.start(path) == b"{}"


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    (tmp_path / "seeds.jsonl").touch()
    with pytest.raises(ConfigError, match="there is no such file") as error:
        files.check(tmp_path / "seed.jsonl")
    assert "did you mean `seeds.jsonl`" in error.value.hint
    with pytest.raises(ConfigError, match="is a folder"):
        files.check(tmp_path)
    with pytest.raises(ConfigError, match="there is no such file"):
        files.check(tmp_path / "no" / "where")


def test_atomic_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with files.atomic(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    usual = tmp_path / "usual"
    usual.touch()
    assert path.stat().st_mode == usual.stat().st_mode
    usual.unlink()
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_writes_over_what_a_killed_process_left(tmp_path: Path) -> None:
    (tmp_path / ".x.part").write_text("longer than what comes now")
    with files.atomic(tmp_path / "x") as file:
        file.write(b"whole")
    assert (tmp_path / "x").read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system can't refuse to follow links")
def test_atomic_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("old")
    (tmp_path / ".x.part").symlink_to(tmp_path / "kept")
    with pytest.raises(OSError, match="symbolic link"), files.atomic(tmp_path / "x") as file:
        file.write(b"new")
    assert (tmp_path / "kept").read_text() == "old"


def test_atomic_leaves_the_old_file_on_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def interrupted() -> None:
        with files.atomic(path) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
