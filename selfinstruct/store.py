"""One SQLite file per run: every completion, and the rows and drops of every step.

Durability: `put` returns only after its commit is on disk (WAL, synchronous=FULL). Answers that arrive while a commit
is under way share the next one, so a thousand answers a second cost a few dozen fsyncs. Nothing here ever expires,
evicts or fails quietly. One process per run directory: `Store.open` takes a lock that dies with its holder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

from filelock import FileLock, Timeout

from selfinstruct.errors import StoreError
from selfinstruct.sample import Sample
from selfinstruct.teachers import Completion, Request, Usage

FILE = "run.db"
_PAGE = 1_000  # rows read at a time


def _first(db: sqlite3.Connection) -> None:
    for statement in (
        "CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE completions (key TEXT PRIMARY KEY, request TEXT NOT NULL, completion TEXT NOT NULL,"
        " cost_nano INTEGER, seconds REAL NOT NULL)",
        "CREATE TABLE steps (n INTEGER PRIMARY KEY, name TEXT NOT NULL, options TEXT NOT NULL,"
        " fingerprint TEXT NOT NULL, came INTEGER NOT NULL DEFAULT 0, made INTEGER NOT NULL DEFAULT 0,"
        " seconds REAL NOT NULL DEFAULT 0, facts TEXT NOT NULL DEFAULT '{}', done INTEGER NOT NULL DEFAULT 0)",
        "CREATE TABLE rows (n INTEGER, pos INTEGER, id TEXT NOT NULL, sample TEXT NOT NULL, PRIMARY KEY (n, pos))",
        "CREATE TABLE drops (n INTEGER, pos INTEGER, reason TEXT NOT NULL, detail TEXT NOT NULL,"
        " sample TEXT NOT NULL, PRIMARY KEY (n, pos))",
        "CREATE TABLE uses (n INTEGER, key TEXT, PRIMARY KEY (n, key)) WITHOUT ROWID",
        "CREATE TABLE memos (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    ):
        db.execute(statement)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first,)


class Filed(NamedTuple):
    """A completion as it lies in the store; `cost_nano` is None when its price was unknown."""

    completion: Completion
    cost_nano: int | None
    seconds: float


class Drop(NamedTuple):
    reason: str
    detail: dict[str, Any]
    sample: Sample | str


class StepRecord(NamedTuple):
    n: int
    name: str
    options: dict[str, Any]
    fingerprint: str
    came: int
    made: int
    seconds: float
    facts: dict[str, Any]
    done: bool


class Spent(NamedTuple):
    """What a set of completions used. `priced_nano` is the cost of those that had a known price."""

    calls: int
    input_tokens: int
    output_tokens: int
    priced_nano: int
    unpriced: int

    @property
    def cost_nano(self) -> int | None:
        """The cost, or None when one of them had no known price."""
        return None if self.unpriced else self.priced_nano


class Store:
    """The run's memory: a connection that writes, and another that reads beside a commit under way."""

    def __init__(self, folder: Path, lock: FileLock | None) -> None:
        self.path = folder / FILE
        self._lock = lock
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._turn = threading.Lock()
        self._broken: sqlite3.Error | None = None
        try:
            if lock is not None:
                self._writer = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
                self._writer.execute("PRAGMA journal_mode=WAL")
                self._writer.execute("PRAGMA synchronous=FULL")
                self._migrate()
            self._reader = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)
            self._version(self._reader)
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open for writing, making the folder (mode 0700) when it is new.

        Raises StoreError when another process holds it, when it can't be written, or when a newer version made it.
        """
        holder = folder / "holder"
        lock = FileLock(folder / "lock", timeout=0)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock.acquire()
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
        except Timeout:
            who = holder.read_text().strip() if holder.is_file() else "a process not named"
            raise StoreError(
                f"{folder}: {who} is working on this run",
                "wait for it, stop it, or choose another folder with --out",
            ) from None
        except OSError as error:
            raise StoreError(
                f"{folder}: can't be written ({error.strerror})", "choose another folder with --out"
            ) from None
        try:
            return cls(folder, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open for reading only; works beside a running process."""
        if not (folder / FILE).is_file():
            raise StoreError(f"{folder}: holds no run", "give the folder that `selfinstruct run` wrote to")
        return cls(folder, None)

    def close(self) -> None:
        self._reader.close()
        if self._lock is not None:
            self._writer.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _version(self, db: sqlite3.Connection) -> int:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{self.path}: made by a newer version (its format is {version}, this one knows {len(MIGRATIONS)})",
                "upgrade: pip install -U selfinstruct",
            )
        return int(version)

    def _migrate(self) -> None:
        version = self._version(self._writer)
        for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
            with self._commit() as db:
                migration(db)
                db.execute(f"PRAGMA user_version = {number}")

    def _unusable(self, error: Exception) -> StoreError:
        return StoreError(
            f"{self.path}: {error}",
            "check disk space and permissions; nothing that was acknowledged is lost, the same command goes on",
        )

    @contextlib.contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        """One transaction from synchronous code; answers already handed over by `put` may share it.

        Only the database may fail inside: whatever else can (making JSON) belongs before it.
        """
        with self._turn:
            try:
                self._start()
                yield self._writer
                self._writer.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._give_up(error) from None

    def _start(self) -> None:
        if self._broken is not None:
            raise self._broken
        if not self._writer.in_transaction:
            self._writer.execute("BEGIN")

    def _give_up(self, error: sqlite3.Error) -> StoreError:
        # a failed write fails all later ones: an answer that shared its transaction must not pass for written
        self._broken = error
        with contextlib.suppress(sqlite3.Error):  # the connection may have rolled back, or be closed
            self._writer.execute("ROLLBACK")
        return self._unusable(error)

    # completions

    def get(self, key: str) -> Filed | None:
        row = self._reader.execute(
            "SELECT completion, cost_nano, seconds FROM completions WHERE key = ?", (key,)
        ).fetchone()
        return Filed(_completion(key, row[0]), row[1], row[2]) if row else None

    def request(self, key: str) -> dict[str, Any] | None:
        """The request filed under `key`, as `Request.to_row` gave it."""
        row = self._reader.execute("SELECT request FROM completions WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    async def put(self, request: Request, filed: Filed) -> None:
        """File an answer; returns when it is on disk. Raises StoreError when it can't be."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        completion = filed.completion
        usage = completion.usage
        row = (
            request.key,
            json.dumps(request.to_row()),
            json.dumps(
                [
                    completion.text,
                    completion.finish_reason,
                    completion.model,
                    completion.refusal,
                    usage.input_tokens,
                    usage.output_tokens,
                    usage.cached_tokens,
                    usage.cache_write_tokens,
                    usage.reasoning_tokens,
                ]
            ),
            filed.cost_nano,
            filed.seconds,
        )
        self._waiting.append((row, done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await done

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                with self._turn:
                    self._start()
                    self._writer.executemany(
                        "INSERT OR IGNORE INTO completions VALUES (?, ?, ?, ?, ?)", [row for row, _ in batch]
                    )
                # only the fsync leaves this thread: rows written from another one would fight for the interpreter
                await asyncio.to_thread(self._sync)
            except sqlite3.Error as error:
                trouble = self._give_up(error)
                for _, done in batch:
                    if not done.done():
                        done.set_exception(trouble)
            else:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)

    def _sync(self) -> None:
        with self._turn:
            if self._broken is not None:
                raise self._broken
            if self._writer.in_transaction:
                self._writer.execute("COMMIT")

    def spent(self, n: int | None = None) -> Spent:
        """What step `n` used, or what the whole run has paid for."""
        of = "completions" if n is None else "uses JOIN completions USING (key)"
        where = "" if n is None else " WHERE n = ?"
        calls, read, written, cost, priced = self._reader.execute(
            "SELECT count(*), coalesce(sum(json_extract(completion, '$[4]')), 0),"  # noqa: S608 (no outside text)
            " coalesce(sum(json_extract(completion, '$[5]')), 0),"
            f" coalesce(sum(cost_nano), 0), count(cost_nano) FROM {of}{where}",
            () if n is None else (n,),
        ).fetchone()
        return Spent(calls, read, written, cost, calls - priced)

    # steps

    def fact(self, key: str) -> Any:
        row = self._reader.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def set_fact(self, key: str, value: Any) -> None:
        text = json.dumps(value)
        with self._commit() as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, text))

    def begin(self, n: int, name: str, options: dict[str, Any], fingerprint: str) -> None:
        """Start step `n` anew: what it and the steps after it had is forgotten; completions stay."""
        row = (n, name, json.dumps(options), fingerprint)
        with self._commit() as db:
            for table in ("steps", "rows", "drops", "uses"):
                db.execute(f"DELETE FROM {table} WHERE n >= ?", (n,))  # noqa: S608 (fixed names)
            db.execute("INSERT INTO steps (n, name, options, fingerprint) VALUES (?, ?, ?, ?)", row)

    def add(
        self, n: int, kept: Iterable[tuple[int, Sample]] = (), dropped: Iterable[tuple[int, Drop]] = ()
    ) -> None:
        """Append rows and drops of step `n`, each with its position."""
        rows = [(n, pos, sample.id, json.dumps(sample.to_row())) for pos, sample in kept]
        drops = [
            (
                n,
                pos,
                drop.reason,
                json.dumps(drop.detail),
                json.dumps(drop.sample if isinstance(drop.sample, str) else drop.sample.to_row()),
            )
            for pos, drop in dropped
        ]
        with self._commit() as db:
            db.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", rows)
            db.executemany("INSERT INTO drops VALUES (?, ?, ?, ?, ?)", drops)

    def record(
        self,
        n: int,
        *,
        came: int,
        made: int,
        seconds: float,
        facts: dict[str, Any],
        uses: Iterable[str],
        done: bool,
    ) -> None:
        """Write down how far step `n` got; `done` makes its rows final."""
        row = (came, made, seconds, json.dumps(facts), int(done), n)
        with self._commit() as db:
            db.execute(
                "UPDATE steps SET came = ?, made = ?, seconds = ?, facts = ?, done = ? WHERE n = ?", row
            )
            db.executemany("INSERT OR IGNORE INTO uses VALUES (?, ?)", [(n, key) for key in uses])

    def forget_from(self, n: int) -> None:
        """Drop the records of step `n` and later: the pipeline has become shorter."""
        with self._commit() as db:
            for table in ("steps", "rows", "drops", "uses"):
                db.execute(f"DELETE FROM {table} WHERE n >= ?", (n,))  # noqa: S608 (fixed names)

    def steps(self) -> list[StepRecord]:
        found = self._reader.execute(
            "SELECT n, name, options, fingerprint, came, made, seconds, facts, done FROM steps ORDER BY n"
        ).fetchall()
        return [
            StepRecord(n, name, json.loads(options), mark, came, made, seconds, json.loads(facts), bool(done))
            for n, name, options, mark, came, made, seconds, facts, done in found
        ]

    def count(self, n: int) -> int:
        (rows,) = self._reader.execute("SELECT count(*) FROM rows WHERE n = ?", (n,)).fetchone()
        return int(rows)

    def samples(self, n: int, first: int = 0, count: int | None = None) -> Iterator[Sample]:
        """The rows of step `n` in order, from position `first`; read by the page, so that no snapshot stays open."""
        last = sys.maxsize if count is None else first + count
        while first < last:
            page = self._reader.execute(
                "SELECT sample FROM rows WHERE n = ? AND pos >= ? AND pos < ? ORDER BY pos",
                (n, first, min(first + _PAGE, last)),
            ).fetchall()
            if not page:
                return
            for (row,) in page:
                yield Sample.from_row(json.loads(row))
            first += _PAGE

    def find(self, id: str) -> tuple[int, int, Sample] | None:
        """The first step, position and row whose id begins with `id`."""
        row = self._reader.execute(
            "SELECT n, pos, sample FROM rows WHERE id >= ? AND id < ? ORDER BY n, pos LIMIT 1", (id, id + "g")
        ).fetchone()
        return (row[0], row[1], Sample.from_row(json.loads(row[2]))) if row else None

    def reasons(self, n: int) -> Counter[str]:
        """How many rows step `n` dropped, by reason, most frequent first."""
        return Counter(
            dict(
                self._reader.execute(
                    "SELECT reason, count(*) FROM drops WHERE n = ? GROUP BY reason ORDER BY 2 DESC, 1", (n,)
                )
            )
        )

    def drops(self, n: int, first: int = 0) -> Iterator[Drop]:
        """What step `n` dropped, in order, from position `first`."""
        for why, detail, sample in self._reader.execute(
            "SELECT reason, detail, sample FROM drops WHERE n = ? AND pos >= ? ORDER BY pos", (n, first)
        ):
            row = json.loads(sample)
            yield Drop(why, json.loads(detail), row if isinstance(row, str) else Sample.from_row(row))

    # memos

    def memo(self, key: str) -> Any:
        row = self._reader.execute("SELECT value FROM memos WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def set_memo(self, key: str, value: Any) -> None:
        text = json.dumps(value)
        with self._commit() as db:
            db.execute("INSERT OR REPLACE INTO memos VALUES (?, ?)", (key, text))


def _completion(key: str, row: str) -> Completion:
    text, finish_reason, model, refusal, *usage = json.loads(row)
    return Completion(text, finish_reason, Usage(*usage), model, refusal, key)
