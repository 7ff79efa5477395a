"""Is a run's file whole? If not: what can be saved of it. And the end of it, when it is to go."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from selfinstruct.errors import StoreError
from selfinstruct.formats.files import sync_folder
from selfinstruct.sample import digest
from selfinstruct.store import FILE, Store, layout, pages
from selfinstruct.store.layout import SEALED, insert, row_id, seal, sealed
from selfinstruct.store.lock import Lock, noted

_NEW = "repaired.db"
_MOST = 20  # complaints of one kind that are listed
_REAL = {("completions", "seconds"), ("attempts", "sent"), ("attempts", "seconds"), ("batches", "sent")}
_SAVED = ("completions", "attempts", "memos", "facts", "batches")  # all else is worked out again from these


def check(folder: Path) -> list[str]:
    """What is wrong with the run in `folder`, a sentence each; nothing when it is whole. Works beside a running
    process. Raises StoreError when there is no run, or a newer version made it.
    """
    try:
        with Store.read(folder):
            pass
    except StoreError as error:
        if "newer version" in error.message or "holds no run" in error.message:
            raise
        return [error.message]
    found: list[str] = []
    with closing(sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True, isolation_level=None)) as db:
        try:
            db.execute("BEGIN")  # one state of the file, whoever works on it meanwhile
            for (said,) in db.execute(f"PRAGMA integrity_check({_MOST})"):
                if said != "ok":
                    found.append(f"SQLite: {said}")
            for table in SEALED:
                found += _first_of(_unsealed(db, table))
            if not found:  # what is there can be believed; is it all?
                found += _first_of(_contradictions(db, folder))
        except sqlite3.Error as error:
            found.append(f"SQLite: {str(error)[:200]}")
    return found


def _first_of(complaints: Iterator[str]) -> list[str]:
    found: list[str] = []
    for complaint in complaints:
        if len(found) == _MOST:
            return [*found, "and more of the kind"]
        found.append(complaint)
    return found


def _unsealed(db: sqlite3.Connection, table: str) -> Iterator[str]:
    columns = SEALED[table]
    for *values, mark in db.execute(f"SELECT {', '.join(columns)}, seal FROM {table}"):  # noqa: S608 (fixed names)
        if seal(table, *values) != mark:
            yield f"{table}: the row {', '.join(map(str, values[:2]))} is not what was written"


def _contradictions(db: sqlite3.Connection, folder: Path) -> Iterator[str]:
    """Rows that are whole and do not fit together: some of them are missing."""
    for key, request in db.execute("SELECT key, request FROM completions"):
        if digest(json.loads(request)) != key:
            yield f"completions: {key} is filed under another request's key"
    for (key,) in db.execute(
        "SELECT key FROM attempts WHERE outcome = 'answered' EXCEPT SELECT key FROM completions"
    ):
        yield f"completions: the answer {key} is booked, and is not there"
    for (key,) in db.execute(
        "SELECT key FROM completions EXCEPT SELECT key FROM attempts WHERE outcome = 'answered'"
    ):
        yield f"attempts: the answer {key} is there, and is not booked"
    (last,) = db.execute("SELECT coalesce(max(id), 0) FROM attempts").fetchone()
    if last < (seen := noted(folder)):
        yield f"attempts: {seen:,} requests were sent, and the file knows of {last:,}: it is an older one"
    for n, name, kept, dropped, done in db.execute("SELECT n, name, kept, dropped, done FROM steps"):
        for table, count in (("rows", kept), ("drops", dropped)):
            there, distinct, top = db.execute(
                f"SELECT count(*), count(DISTINCT pos), coalesce(max(pos) + 1, 0) FROM {table} WHERE n = ?",  # noqa: S608
                (n,),
            ).fetchone()
            if there != distinct or there != top or (done and there != count):
                yield f"{table}: of {name}'s {max(count, top):,} {distinct:,} are there"
    for table in ("rows", "drops"):
        for n, pos, id, sample in db.execute(f"SELECT n, pos, id, sample FROM {table}"):  # noqa: S608
            if row_id(sample) != id:
                yield f"{table}: row {pos + 1:,} of step {n + 1} bears another row's id"


class Saved(NamedTuple):
    """What a repair saved; `lost` are answers that are booked and whose text is gone. `kept` is where the damaged file
    lies now.
    """

    answers: int
    attempts: int
    lost: int
    kept: Path


def repair(folder: Path) -> Saved | None:
    """Make a run's file anew from all that is whole in it: answers, the ledger, memos, facts. The rows of its steps are
    worked out again by the next `run`, from those answers. The damaged file is kept. None when nothing is wrong.

    Raises StoreError when there is no run, when a process is at work on it, or when the folder can't be written.
    """
    if not (folder / FILE).is_file():
        raise StoreError(f"{folder}: holds no run", "give the folder that `selfinstruct run` wrote to")
    lock = Lock.take(folder)
    try:
        if not check(folder):
            return None
        return _repair(folder, lock)
    except OSError as error:
        raise StoreError(
            f"{folder}: can't be repaired ({error.strerror})",
            "check disk space and permissions; nothing was changed",
        ) from None
    finally:
        lock.release()


def holdings(folder: Path) -> list[Path]:
    """The files in a run's folder that hold prompts and answers. Raises StoreError when it holds no run."""
    if not (folder / FILE).is_file():
        raise StoreError(f"{folder}: holds no run", "give the folder that `selfinstruct run` wrote to")
    return sorted(
        path for pattern in (f"{FILE}*", "damaged-*.db*", f"{_NEW}*") for path in folder.glob(pattern)
    )


def purge(folder: Path) -> None:
    """Delete all that a run's folder holds of prompts and answers. Raises StoreError when a process is at work."""
    found = holdings(folder)
    lock = Lock.take(folder)
    try:
        for path in found:
            path.unlink(missing_ok=True)
        sync_folder(folder)
        lock.note(0)
    except OSError as error:
        raise StoreError(f"{folder}: can't be purged ({error.strerror})", "check its permissions") from None
    finally:
        lock.release()


def _repair(folder: Path, lock: Lock) -> Saved:
    new = folder / _NEW
    sources = [folder / name for name in (FILE, f"{FILE}-wal", _NEW) if (folder / name).is_file()]
    tables = _salvage(sources)
    answers, attempts = tables["completions"], tables["attempts"]
    lost = _balance(answers, attempts)
    building = folder / f"{_NEW}.part"
    for name in (building, folder / f"{building.name}-wal", folder / f"{building.name}-shm"):
        name.unlink(missing_ok=True)
    with closing(sqlite3.connect(building, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN")
        for number, migration in enumerate(layout.MIGRATIONS, start=1):
            migration(db)
            db.execute(f"PRAGMA user_version = {number}")
        for table in _SAVED:
            db.executemany(insert(table), (sealed(table, row) for row in tables[table].values()))
        db.execute("COMMIT")
    building.replace(new)
    kept = folder / f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}.db"
    # the log goes first: SQLite would write it over the new file. What a crash leaves here is found again by `repair`.
    os.link(folder / FILE, kept)
    if (folder / f"{FILE}-wal").is_file():
        (folder / f"{FILE}-wal").replace(folder / f"{kept.name}-wal")
    (folder / f"{FILE}-shm").unlink(missing_ok=True)
    new.replace(folder / FILE)
    sync_folder(folder)
    lock.note(max(attempts, default=0))
    return Saved(len(answers), len(attempts), lost, kept)


def _salvage(sources: list[Path]) -> dict[str, dict[Any, pages.Values]]:
    """The whole rows of each table, by their first column."""
    tables: dict[str, dict[Any, pages.Values]] = {table: {} for table in _SAVED}
    named: list[tuple[str, pages.Values]] = []

    def accept(rowid: int, values: pages.Values) -> bool:
        for table in _SAVED:
            columns = SEALED[table]
            if len(values) == len(columns) + 1:
                row = tuple(
                    rowid
                    if (table, column) in (("attempts", "id"), ("batches", "n"))
                    else float(value)
                    if (table, column) in _REAL and isinstance(value, int)
                    else value
                    for column, value in zip(columns, values, strict=False)
                )
                if seal(table, *row) == values[-1]:
                    named.append((table, row))
                    return True
        return False

    settled = SEALED["attempts"].index("outcome")
    for _ in pages.rows(sources, accept):
        table, row = named.pop()
        before = tables[table].get(row[0])
        if before is None or table != "attempts" or before[settled] is None:
            tables[table][row[0]] = row
    return tables


def _balance(answers: dict[Any, pages.Values], attempts: dict[Any, pages.Values]) -> int:
    """Make answers and ledger agree again; how many answers are booked and gone."""
    columns = SEALED["attempts"]
    key, outcome, detail = (columns.index(name) for name in ("key", "outcome", "detail"))
    booked, lost = set(), 0
    for number, row in list(attempts.items()):
        if row[outcome] != "answered":
            continue
        if row[key] in answers:
            booked.add(row[key])
            continue
        lost += 1
        changed = list(row)
        changed[outcome], changed[detail] = "empty", "its answer was lost when the file was damaged"
        attempts[number] = tuple(changed)
    following = max(attempts, default=0)
    for each, row in answers.items():
        if each not in booked:
            following += 1
            _, request, completion, cost_nano, seconds = row
            used = json.loads(completion)[4:9]
            model = str(json.loads(request)["model"]).encode("utf-8", "replace").decode()
            meant = (following, each, "", "", model, "realtime", 0.0, cost_nano, 0, "")
            attempts[following] = (*meant, "answered", "", seconds, *used, cost_nano)
    return lost
