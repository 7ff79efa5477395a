"""Files as bytes, lines and JSON rows: plain or gzip, with caps; written whole or not at all."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

from selfinstruct.errors import ConfigError, DataError, nearest

MAX_LINE = 64 * 2**20  # bytes of one JSONL row; a longer one is a broken file, not a row
MAX_ARRAY = 2**30  # bytes of one JSON array, which has to fit into memory whole
CLIP = 2_000  # characters of a faulty row that are kept to show it

_GZIP = b"\x1f\x8b"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"
# A JSON escape that may be half of a surrogate pair; only then is the costly check made.
_MAYBE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that can't be used. `place` is "line 7" or "row 3 (line 19)"; `text` is the start of the row."""

    path: Path
    place: str
    message: str
    hint: str
    text: str = ""
    reason: str = "malformed"
    harmless: bool = False  # nothing is wrong with it: it holds nothing that the format looks for

    def error(self) -> DataError:
        return DataError(f"{self.path}: {self.place}: {self.message}", self.hint)


Row = tuple[str, Any]  # place, parsed JSON value or Fault


def check(path: Path) -> None:
    """Raises ConfigError unless `path` is a file that can be read."""
    if path.is_file():
        if not os.access(path, os.R_OK):
            raise ConfigError(f"{path}: may not be read", "change its permissions, or name another file")
        return
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder, not a file", "name one file in it")
    beside = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
    hint = f"in {path.parent}: {nearest(path.name, beside[:20])}" if beside else "check the path"
    raise ConfigError(f"{path}: there is no such file", hint)


def content_digest(path: Path) -> str:
    """SHA-256 of the file's bytes as they lie on disk, 64 hex digits."""
    check(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file's content for reading; gzip is recognised by its first bytes, whatever the name says.

    Raises ConfigError if the file can't be opened and DataError if compressed data are damaged.
    """
    check(path)
    with contextlib.ExitStack() as stack:
        file: BinaryIO = stack.enter_context(path.open("rb"))
        magic = file.read(2)
        file.seek(0)
        if magic == _GZIP:
            file = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=file)))
        try:
            yield file
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(
                f"{path}: damaged gzip data: {error}", "the file was cut or altered; fetch or make it again"
            ) from error


def start(path: Path, size: int = 4096) -> bytes:
    """The first bytes of the content, without a byte order mark and leading white space.

    Raises DataError for an empty file and for UTF-16.
    """
    with opened(path) as file:
        head = file.read(size)
        while head and not head.strip():  # a long run of blank lines
            head = file.read(size)
    if head.startswith(_UTF16):
        raise DataError(
            f"{path}: is UTF-16, not UTF-8", f"convert it: iconv -f utf-16 -t utf-8 {path.name} > new"
        )
    head = head.removeprefix(_BOM).lstrip()
    if not head:
        raise DataError(f"{path}: is empty", "give a file with at least one row")
    return head


def json_lines(path: Path) -> Iterator[Row]:
    """Rows of a JSONL file, one after the other; blank lines hold no row. Bad lines come as Faults.

    Raises DataError for a line above MAX_LINE bytes.
    """
    with opened(path) as file:
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            place = f"line {number}"
            if len(line) > MAX_LINE:
                raise DataError(
                    f"{path}: {place}: is longer than {MAX_LINE // 2**20} MiB",
                    "a JSONL file has one row per line; split this one, or check that the file has line ends",
                )
            if number == 1:
                line = line.removeprefix(_BOM)
            if line.strip():
                yield place, _parse_line(path, place, line)


def _parse_line(path: Path, place: str, line: bytes) -> Any:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        shown = line.decode("utf-8", "backslashreplace")[:CLIP]
        message = f"is not UTF-8: byte {line[error.start]:#04x} at position {error.start}"
        return Fault(path, place, message, "save the file as UTF-8", shown)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        message = f"is not JSON: {error.msg} at column {error.colno}"
        hint = "each line must be one whole JSON object"
        if text.strip() in ("{", "["):
            hint += f"; this file is laid out over several lines: jq -c . {path.name} > new.jsonl"
        return Fault(path, place, message, hint, _clip(text))
    except (ValueError, RecursionError) as error:
        return Fault(path, place, _why(error), "mend or remove this row", _clip(text))
    return _whole(path, place, value, text)


def json_array(path: Path) -> Iterator[Row]:
    """Rows of a file that is one JSON array. The text is held whole, the rows are parsed one after the other. A comma
    after the last row, as hand-edited files have it, is let pass.

    Raises DataError where the array itself is broken (what follows can't be found) or above MAX_ARRAY bytes.
    """
    with opened(path) as file:
        data = file.read(MAX_ARRAY + 1)
    if len(data) > MAX_ARRAY:
        raise DataError(
            f"{path}: is a JSON array of more than {MAX_ARRAY // 2**30} GiB",
            f"turn it into JSONL, which is read row by row: jq -c '.[]' {path.name} > new.jsonl",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: line {line}: is not UTF-8", "save the file as UTF-8") from error
    del data

    at, row, line, counted = _skip(text, _skip(text, 0) + 1), 0, 1, 0
    while text[at : at + 1] != "]":
        row += 1
        line += text.count("\n", counted, at)
        counted = at
        place = f"row {row} (line {line})"
        try:
            value, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            _broken(path, f"row {row} (line {error.lineno})", f"{error.msg} at column {error.colno}", error)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: {place}: {_why(error)}", "mend or remove this row") from error
        yield place, _whole(path, place, value, text[at:end])
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            _broken(path, place, "no comma or ] after it")
    if text[at + 1 :].strip():
        line += text.count("\n", counted, _skip(text, at + 1))
        raise DataError(
            f"{path}: line {line}: text follows the end of the JSON array",
            "give one array, or one JSON object per line",
        )


def json_object(path: Path) -> dict[str, Any]:
    """The one JSON object that a file is. Raises DataError with the line for a file that is none."""
    with opened(path) as file:
        data = file.read(MAX_ARRAY + 1)
    if len(data) > MAX_ARRAY:
        raise DataError(f"{path}: is longer than {MAX_ARRAY // 2**30} GiB", "give a file of one object")
    try:
        text = data.decode("utf-8-sig")
        value = _whole(path, "", _DECODER.decode(text), text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: line {line}: is not UTF-8", "save the file as UTF-8") from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: line {error.lineno}: is not JSON: {error.msg} at column {error.colno}",
            "mend the file there",
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: {_why(error)}", "mend the file") from error
    if isinstance(value, Fault):
        raise DataError(f"{path}: {value.message}", value.hint)
    if not isinstance(value, dict):
        raise DataError(f"{path}: is no JSON object", "give a file of one object")
    return value


def _broken(path: Path, place: str, why: str, cause: Exception | None = None) -> NoReturn:
    raise DataError(
        f"{path}: {place}: is not JSON: {why}", "mend the array; rows after a broken one can't be found"
    ) from cause


def _skip(text: str, at: int) -> int:
    """The position of the first character from `at` on that is not JSON white space."""
    match = _SPACE.match(text, at)
    return match.end() if match else at


_SPACE = re.compile(r"[ \t\n\r]*")


def _constant(name: str) -> NoReturn:
    raise ValueError(f"holds {name}, which is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"holds the key {twice!r} twice")
    return row


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def _why(error: Exception) -> str:
    return "is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _whole(path: Path, place: str, value: Any, text: str) -> Any:
    """The value, or a Fault if some text in it could not be written as UTF-8 again."""
    if _MAYBE_SURROGATE.search(text) and not encodable(value):
        message = "holds half of a surrogate pair (\\ud800 to \\udfff), which is no character"
        return Fault(
            path, place, message, "mend or remove this row; a text was cut inside a character", _clip(text)
        )
    return value


def encodable(value: Any) -> bool:
    """Whether all text inside a JSON value can be written as UTF-8, that is, has no lone surrogate."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _clip(text: str) -> str:
    return text[:CLIP]


def write_lines(rows: Iterable[Mapping[str, Any]], file: BinaryIO) -> None:
    """One JSON object per line, readable in every script."""
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """A file for writing that appears at `path` only when the block ends well: temporary file, fsync, rename.

    On an error nothing remains and an earlier file at `path` stays as it was. What a killed process left is
    written over.
    """
    temporary = path.with_name(f".{path.name}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename durable; Windows can't open folders and does without."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
