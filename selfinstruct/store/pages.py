"""Rows straight from the pages of an SQLite file, for one that SQLite can't read any more.

Source: https://www.sqlite.org/fileformat2.html, sections 1.3, 1.5, 1.6, 2.1 and 4.1. Only leaves of tables are looked
at, so that a lost inner page loses nothing. Where a page's own list of cells is damaged, every offset is tried: a seal
tells a row from noise.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

_PAGE = 4096  # SQLite's default, which we never change
_LEAF = 0x0D
_KINDS = (0x02, 0x05, 0x0A, _LEAF)
_MOST_COLUMNS = 32
_LARGEST = 1 << 30  # bytes of one row
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
Values = tuple[Any, ...]
Accept = Callable[[int, Values], bool]  # is this row, by its rowid and values, one of ours and whole?


class _Page(NamedTuple):
    number: int
    body: bytes


def rows(files: list[Path], accept: Accept) -> Iterator[tuple[int, Values]]:
    """Every row that `accept` takes in the files (databases, and logs whose names end in -wal), oldest first."""
    for path in files:
        if path.name.endswith("-wal"):
            continue
        log = path.with_name(f"{path.name}-wal")
        main = list(_main(path))
        logged = list(_frames(log)) if log in files else []
        latest = {page.number: page.body for page in (*main, *logged)}
        yield from _Reader(latest, accept).rows([*main, *logged])


def _main(path: Path) -> Iterator[_Page]:
    with path.open("rb") as file:
        number = 0
        while body := file.read(_PAGE):
            number += 1
            yield _Page(number, body.ljust(_PAGE, b"\0"))


def _frames(path: Path) -> Iterator[_Page]:
    """The pages in a write-ahead log, up to the last commit in it."""
    data = path.read_bytes()
    salts, held = data[16:24], []
    for at in range(32, len(data) - _PAGE - 23, _PAGE + 24):
        number, commit = struct.unpack_from(">II", data, at)
        if data[at + 8 : at + 16] != salts:
            continue  # left over from before the log was begun anew, or damaged
        held.append(_Page(number, data[at + 24 : at + 24 + _PAGE]))
        if commit:
            yield from held
            held = []


class _Reader:
    def __init__(self, latest: dict[int, bytes], accept: Accept) -> None:
        self._latest = latest
        self._accept = accept
        self._continued: set[int] = set()  # pages known to hold the rest of a row

    def rows(self, pages: list[_Page]) -> Iterator[tuple[int, Values]]:
        doubtful = []
        for page in pages:
            found = yield from self._listed(page)
            if not found:
                doubtful.append(page)
        for page in doubtful:
            if page.number not in self._continued:
                yield from self._anywhere(page)

    def _listed(self, page: _Page) -> Generator[tuple[int, Values], None, bool]:
        """The rows that a leaf's list of cells names; whether the page is what it should be is returned."""
        start = 100 if page.number == 1 else 0
        body = page.body
        if body[start] != _LEAF:
            return body[start] in _KINDS
        (count,) = struct.unpack_from(">H", body, start + 3)
        if start + 8 + 2 * count > len(body):
            return False
        whole = True
        for (at,) in struct.iter_unpack(">H", body[start + 8 : start + 8 + 2 * count]):
            row = self._cell(body, at)
            if row is None:
                whole = False
            elif self._accept(*row):
                yield row
        return whole

    def _anywhere(self, page: _Page) -> Iterator[tuple[int, Values]]:
        for at in range(len(page.body) - 4):
            row = self._cell(page.body, at)
            if row is not None and self._accept(*row):
                yield row

    def _cell(self, body: bytes, at: int) -> tuple[int, Values] | None:
        try:
            size, at = _varint(body, at)
            rowid, at = _varint(body, at)
            if not 2 <= size <= _LARGEST:
                return None
            header, _ = _varint(body, at)
            if not 2 <= header <= min(size, 9 * _MOST_COLUMNS):
                return None
            payload = self._payload(body, at, size)
            return None if payload is None else (rowid, _record(payload))
        except (IndexError, ValueError, struct.error):  # UnicodeDecodeError is a ValueError
            return None

    def _payload(self, body: bytes, at: int, size: int) -> bytes | None:
        """The bytes of a row, the part on continued pages included."""
        most = _PAGE - 35
        if size <= most:
            part = body[at : at + size]
            return part if len(part) == size else None
        least = (_PAGE - 12) * 32 // 255 - 23
        here = least + (size - least) % (_PAGE - 4)
        here = here if here <= most else least
        parts, left = [body[at : at + here]], size - here
        (following,) = struct.unpack_from(">I", body, at + here)
        chain = []
        while left > 0:
            rest = self._latest.get(following)
            if rest is None or following in chain:
                return None
            chain.append(following)
            parts.append(rest[4 : 4 + min(left, _PAGE - 4)])
            left -= _PAGE - 4
            (following,) = struct.unpack_from(">I", rest, 0)
        self._continued.update(chain)
        return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(9):
        byte = data[at + place]
        if place == 8:
            return (value << 8) | byte, at + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            break
    return value, at + place + 1


def _record(payload: bytes) -> Values:
    """The values of a row. Raises ValueError or IndexError where the bytes are none."""
    header, at = _varint(payload, 0)
    kinds = []
    while at < header:
        kind, at = _varint(payload, at)
        kinds.append(kind)
        if len(kinds) > _MOST_COLUMNS:
            raise ValueError("too many columns")
    values: list[Any] = []
    for kind in kinds:
        if kind >= 12:
            size = (kind - 12) // 2
            raw = payload[at : at + size]
            if len(raw) != size:
                raise ValueError("cut")
            values.append(raw.decode("utf-8") if kind % 2 else raw)
        elif kind in _INTEGERS:
            size = _INTEGERS[kind]
            values.append(int.from_bytes(payload[at : at + size], "big", signed=True))
        elif kind == 7:
            size = 8
            values.append(struct.unpack_from(">d", payload, at)[0])
        elif kind in (0, 8, 9):
            size = 0
            values.append(None if kind == 0 else kind - 8)
        else:
            raise ValueError("no such kind of value")
        at += size
    return tuple(values)
