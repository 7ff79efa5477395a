"""Documents: plain text and Markdown files, a folder of them, or JSONL rows with a text; how one is cut into chunks.

HTML and PDF are not read: what a converter makes of them is text or Markdown, and belongs in a file of its own.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.formats import files
from selfinstruct.formats.files import Fault

Unit = Literal["characters", "words"]

KINDS = (".txt", ".md", ".markdown", ".jsonl")
LARGEST = 64 * 2**20  # bytes of one document


class Document(NamedTuple):
    """One document: `name` is its path inside the folder (and the line, in a JSONL file)."""

    name: str
    title: str
    text: str
    meta: dict[str, Any]


def paths(path: Path) -> list[Path]:
    """The files of a folder, sorted by name, hidden ones and links left out; or the one file. Raises ConfigError when
    there is no document among them."""
    if not path.is_dir():
        files.check(path)
        return [path]
    found = [
        each
        for each in path.rglob("*")
        if each.is_file()
        and not each.is_symlink()
        and not any(part.startswith(".") for part in each.relative_to(path).parts)
    ]
    if not any(each.suffix.lower() in KINDS for each in found):
        raise ConfigError(
            f"{path}: holds no document", f"documents are files named {', '.join('*' + k for k in KINDS)}"
        )
    return sorted(found, key=lambda each: each.relative_to(path).as_posix())


def read(path: Path) -> Iterator[Document | Fault]:
    """The documents of a file or a folder; what can't be used comes as a Fault in its place."""
    for file in paths(path):
        name = file.relative_to(path).as_posix() if file != path else file.name
        kind = file.suffix.lower()
        if file != path and kind not in KINDS:
            yield Fault(
                file, "the file", f"is no document ({kind or 'no ending'})", _HINT, name, "not_a_document"
            )
        elif kind == ".jsonl":
            yield from _rows(file, name)
        else:
            yield _whole(file, name)


_HINT = (
    f"documents are files named {', '.join('*' + kind for kind in KINDS)}; convert others, or move them away"
)


def _whole(file: Path, name: str) -> Document | Fault:
    with files.opened(file) as opened:
        raw = opened.read(LARGEST + 1)
    if len(raw) > LARGEST:
        return Fault(file, "the file", f"is larger than {LARGEST // 2**20} MiB", "split it", name)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Fault(
            file, "the file", f"is not UTF-8 ({error.reason} at byte {error.start})", "save it as UTF-8", name
        )
    if "\x00" in text:
        return Fault(file, "the file", "holds zero bytes: it is no text", "leave it out", name)
    return _document(file, "the file", name, text, {}, file.name.partition(".")[0])


def _rows(file: Path, name: str) -> Iterator[Document | Fault]:
    for place, row in files.json_lines(file):
        if isinstance(row, Fault):
            yield row
        elif not isinstance(row, dict) or not isinstance(row.get("text"), str):
            yield Fault(file, place, "has no `text`", 'write {"text": "...", ...}', str(row)[: files.CLIP])
        else:
            meta = {key: value for key, value in row.items() if key != "text"}
            title = row.get("title")
            yield _document(
                file, place, f"{name}: {place}", row["text"], meta, title if isinstance(title, str) else ""
            )


def _document(
    file: Path, place: str, name: str, text: str, meta: dict[str, Any], title: str
) -> Document | Fault:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        return Fault(file, place, "is empty", "leave it out", name, "empty")
    heading = _HEADING.search(text)
    return Document(name, heading[1].strip() if heading else title, text, meta)


def digests(path: Path) -> list[tuple[str, str]]:
    """(name, digest of the content) of each file: what a step that reads them depends on."""
    base = path if path.is_dir() else path.parent
    try:
        return [(file.relative_to(base).as_posix(), files.content_digest(file)) for file in paths(path)]
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})", "check the files in it") from error


_HEADING = re.compile(r"^#[ \t]{1,9}([^\n#][^\n]{0,200})", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[ \t]{0,80}\n\s{0,80}")
_LINE = re.compile(r"\n[ \t]{0,80}")
# A full stop that is followed by space, with what closes behind it; scripts without spaces need none.
_SENTENCE = re.compile(
    r"(?:[.!?؟।॥…]{1,9}[\"'”’»)\]]{0,9}(?=\s)\s{1,80}|[。！？]{1,9}[”’」』）]{0,9}\s{0,80})"
)
_SPACE = re.compile(r"\s{1,80}")
_UNSPACED_FROM = 0x0E00  # Thai is the first script without spaces
_WORD = re.compile(r"\S{1,1000}")


def chunks(text: str, size: int, overlap: int, unit: Unit = "characters") -> list[tuple[int, int]]:
    """Where the chunks of a text begin and end, in characters: together they cover all of it but white space.

    A chunk has `size` units at most and, but for the last one, more than half of that. It ends where a paragraph, a
    line, a sentence or a word ends, the first of these that there is in its second half; behind a heading only where
    nothing else ends, and between a letter and its marks never. The next one begins up to `overlap` units earlier,
    where a sentence or a word begins.

    Args:
        text: the document.
        size: units of a chunk at most.
        overlap: units that a chunk repeats of the one before at most, less than half of `size`.
        unit: characters, or words; a character of a script without spaces counts as a word.
    """
    units = range(len(text) + 1) if unit == "characters" else _words(text)
    last = len(text.rstrip())
    ends = [[match.end() for match in _PARAGRAPH.finditer(text) if not _heading(text, match.start())]]
    ends += [[match.end() for match in pattern.finditer(text)] for pattern in (_LINE, _SENTENCE, _SPACE)]
    found: list[tuple[int, int]] = []
    start = _forward(text, 0)
    while start < last:
        first = bisect_left(units, start)
        if first + size >= len(units) - 1:
            found.append((start, last))
            break
        half, most = units[first + size // 2], units[first + size]
        end = _last(ends, half, most) or _whole_letter(text, most, half)
        found.append((start, start + len(text[start:end].rstrip())))
        following = _next(text, units, ends, end, overlap)
        start = following if following > start else _forward(text, end)
    return found


def _heading(text: str, end: int) -> bool:
    """Whether the line that ends there is a heading of Markdown, which belongs to what follows."""
    return text.startswith("#", text.rfind("\n", 0, end) + 1)


def _words(text: str) -> list[int]:
    """Where each word begins, and the end of the text."""
    begins: list[int] = []
    for match in _WORD.finditer(text):
        ended = True  # the word before this place
        for place in range(match.start(), match.end()):
            alone = _unspaced(text[place])
            if place == match.start() or alone or (ended and text[place].isalnum()):
                begins.append(place)
                ended = alone
    return [*begins, len(text)]


def _unspaced(sign: str) -> bool:
    """Whether it is a letter of a script without spaces; Korean has some."""
    return ord(sign) >= _UNSPACED_FROM and sign.isalnum() and not "\uac00" <= sign <= "\ud7a3"


def _last(ends: list[list[int]], low: int, high: int) -> int | None:
    """The last place after `low` and up to `high` where something ends; the best kind that there is."""
    for places in ends:
        at = bisect_right(places, high) - 1
        if at >= 0 and places[at] > low:
            return places[at]
    return None


def _next(text: str, units: Sequence[int], ends: list[list[int]], end: int, overlap: int) -> int:
    """Where the chunk after one that ends at `end` begins."""
    if overlap:
        low = units[max(bisect_left(units, end) - overlap, 0)]
        for places in ends[2:]:
            at = bisect_left(places, low)
            if at < len(places) and places[at] < end:
                return _forward(text, places[at])
        if not _joined(text[low - 1], text[low]):  # inside one long word, or in a script without spaces
            return _forward(text, low)
    return _forward(text, end)


def _forward(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def _whole_letter(text: str, place: int, low: int) -> int:
    """`place`, or the nearest one before it and behind `low`, so that no mark or joiner is cut off its letter."""
    at = place
    while at > low and _joined(text[at - 1], text[at]):
        at -= 1
    return at if at > low else place


def _joined(before: str, sign: str) -> bool:
    return (
        unicodedata.category(sign)[0] == "M"
        or "\u200d" in (before, sign)
        or "\U0001f3fb" <= sign <= "\U0001f3ff"
    )
