"""One SQLite file per run: every attempt at a request, every completion, and the rows and drops of every step.

Durability: `intend` and `put` return only after their commit is on disk (WAL, synchronous=FULL). What arrives while a
commit is under way shares the next one, so a thousand answers a second cost a few dozen fsyncs. Nothing here ever
expires, evicts or fails quietly; what the disk has altered is found by its seal. One process per run directory:
`Store.open` takes a lock that dies with its holder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from selfinstruct.errors import StoreError
from selfinstruct.sample import Sample, digest
from selfinstruct.store import layout
from selfinstruct.store.layout import ATTEMPTS, DROPS, ROWS, STEPS, insert, seal, sealed
from selfinstruct.store.lock import Lock
from selfinstruct.store.records import (
    Attempt,
    Batch,
    Booked,
    Drop,
    Filed,
    Settled,
    Spent,
    Station,
    StepRecord,
)
from selfinstruct.teachers import Completion, Request, Usage

__all__ = [
    "FILE",
    "Attempt",
    "Batch",
    "Booked",
    "Drop",
    "Filed",
    "Settled",
    "Spent",
    "Station",
    "StepRecord",
    "Store",
]

FILE = "run.db"
_PAGE = 1_000  # rows read at a time
# what SQLite says of a file that is not as it was left, where it has no error of its own for that
_CONFUSED = re.compile("decode to UTF-8|already exists|duplicate column|no such (?:table|column)")
_Write = tuple[str, Sequence[Any]]
_SETTLE = "UPDATE attempts SET {} WHERE id = ?".format(  # noqa: S608 (fixed names)
    ", ".join(f"{column} = ?" for column in (*ATTEMPTS[ATTEMPTS.index("outcome") :], "seal"))
)
# what an attempt counts for: what was reserved, when nobody knows what became of it
_IN_DOUBT = "(outcome IS NULL OR outcome = 'doubt')"
_NANO = f"CASE WHEN {_IN_DOUBT} THEN reserved_nano ELSE cost_nano END"


class Store:
    """The run's memory: a connection that writes, and another that reads beside a commit under way."""

    def __init__(self, folder: Path, lock: Lock | None) -> None:
        self.path = folder / FILE
        self._lock = lock
        self._waiting: list[tuple[Sequence[_Write], asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._turn = threading.Lock()
        self._broken: sqlite3.Error | None = None
        self._intended: dict[int, Attempt] = {}
        try:
            if lock is not None:
                _private(self.path)
                self._writer = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
                self._writer.execute("PRAGMA journal_mode=WAL")
                self._writer.execute("PRAGMA synchronous=FULL")
                self._migrate()
            self._reader = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)
            if self._version(self._reader) < len(layout.MIGRATIONS):
                raise StoreError(
                    f"{self.path}: made by an older version of selfinstruct",
                    "`selfinstruct run` brings it up to date, and loses nothing",
                )
            if lock is not None:
                self._last: int = self._one("SELECT coalesce(max(id), 0) FROM attempts")[0]
                self._written = self._last
                self._audit(lock)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open for writing, making the folder (mode 0700) when it is new.

        Raises StoreError when another process holds it, when it can't be written, when a newer version made it, or
        when something is missing from it.
        """
        lock = Lock.take(folder)
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
            with contextlib.suppress(sqlite3.Error):  # a full disk: what was committed stays in the -wal
                self._writer.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _version(self, db: sqlite3.Connection) -> int:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        known = len(layout.MIGRATIONS)
        if version > known:
            raise StoreError(
                f"{self.path}: made by a newer version (its format is {version}, this one knows {known})",
                "upgrade: pip install -U selfinstruct",
            )
        return int(version)

    def _migrate(self) -> None:
        version = self._version(self._writer)
        for number, migration in enumerate(layout.MIGRATIONS[version:], start=version + 1):
            with self._commit() as db:
                migration(db)
                db.execute(f"PRAGMA user_version = {number}")

    def _audit(self, lock: Lock) -> None:
        """Two counts that hold in a whole file, and cost next to nothing to look at."""
        if self._last < lock.seen:
            raise StoreError(
                f"{self.path}: is older than the work that was done: {lock.seen:,} requests were sent, and it knows of"
                f" {self._last:,}",
                f"was {FILE}-wal removed, or a copy put back? Restore it;"
                " `selfinstruct repair` goes on with what is there",
            )
        (answers,) = self._one("SELECT count(*) FROM completions")
        (booked,) = self._one("SELECT count(*) FROM attempts WHERE outcome = 'answered'")
        if answers != booked:
            raise self._damaged(f"{booked:,} answers are booked, and {answers:,} are there")

    def _unusable(self, error: Exception) -> StoreError:
        if type(error) is sqlite3.DatabaseError or _CONFUSED.search(str(error)):
            return self._damaged(str(error)[:200])
        return StoreError(
            f"{self.path}: {error}",
            "check disk space and permissions; nothing that was acknowledged is lost, the same command goes on",
        )

    def _damaged(self, what: str) -> StoreError:
        return StoreError(
            f"{self.path}: is damaged: {what}",
            f"`selfinstruct check {self.path.parent}` lists what is, `selfinstruct repair {self.path.parent}` saves"
            " all answers that are whole",
        )

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._reader.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        found = self._all(sql, values)
        return found[0] if found else None

    def _whole(self, table: str, row: Sequence[Any]) -> Sequence[Any]:
        """The row without its seal, which stands last. Raises StoreError when they do not fit."""
        *values, mark = row
        if seal(table, *values) != mark:
            raise self._damaged(
                f"a row of {table} ({', '.join(map(str, values[:2]))}) is not what was written"
            )
        return values

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

    # completions and the attempts at them

    def get(self, key: str) -> Filed | None:
        row = self._one(
            "SELECT key, request, completion, cost_nano, seconds, seal FROM completions WHERE key = ?", (key,)
        )
        if row is None:
            return None
        _, _, completion, cost_nano, seconds = self._whole("completions", row)
        return Filed(_completion(key, completion), cost_nano, seconds)

    def request(self, key: str) -> dict[str, Any] | None:
        """The request filed under `key`, as `Request.to_row` gave it."""
        row = self._one("SELECT request FROM completions WHERE key = ?", (key,))
        return json.loads(row[0]) if row else None

    async def intend(self, attempt: Attempt) -> int:
        """Book an attempt that is about to be made; returns its number when it is on disk."""
        self._last += 1
        number = self._last
        self._intended[number] = attempt
        await self._write([_booked(number, attempt, None)])
        return number

    async def settle(self, number: int, settled: Settled) -> None:
        """Book how an attempt ended that brought no answer."""
        await self._write([self._settlement(number, settled)])

    async def put(
        self, request: Request, filed: Filed, number: int | None = None, settled: Settled | None = None
    ) -> None:
        """File an answer and how the attempt `number` at it ended; returns when both are on disk. Raises StoreError
        when they can't be. An answer that no attempt was booked for is booked now.
        """
        completion = filed.completion
        usage = completion.usage
        answer = [
            completion.text,
            completion.finish_reason,
            completion.model,
            completion.refusal,
            *_used(usage),
        ]
        key = completion.key or request.key
        row = (key, json.dumps(request.to_row()), json.dumps(answer), filed.cost_nano, float(filed.seconds))
        filing = (insert("completions", how="INSERT OR IGNORE"), sealed("completions", row))
        settled = settled or Settled("answered", filed.seconds, usage, filed.cost_nano)
        if number is None:
            if self._one("SELECT 1 FROM completions WHERE key = ?", (key,)):
                return
            self._last += 1
            model = request.model.encode("utf-8", "replace").decode()
            attempt = Attempt(key, "", "", model, 0.0, filed.cost_nano, 0, "")
            await self._write([filing, _booked(self._last, attempt, settled)])
        else:
            await self._write([filing, self._settlement(number, settled)])

    def _settlement(self, number: int, settled: Settled) -> _Write:
        attempt = self._intended.pop(number)
        _, row = _booked(number, attempt, settled)
        return _SETTLE, (*row[ATTEMPTS.index("outcome") :], number)

    async def _write(self, writes: Sequence[_Write]) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((writes, done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await done

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                with self._turn:
                    self._start()
                    for writes, _ in batch:
                        for sql, values in writes:
                            self._writer.execute(sql, values)
                    self._written = self._last  # numbers are given out in the order of writing
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
            if self._lock is not None:
                self._lock.note(self._written)

    def pending(self, key: str) -> int | None:
        """The number of an attempt at this request that was handed in with a batch and has no end yet."""
        row = self._one(
            "SELECT id, key, step, role, model, sent, reserved_nano, reserved_tokens, price FROM attempts"
            " WHERE key = ? AND way = 'batch' AND outcome IS NULL ORDER BY id DESC",
            (key,),
        )
        if row is None:
            return None
        number, *meant = row
        key, step, role, model, sent, reserved_nano, reserved_tokens, price = meant
        self._intended[number] = Attempt(
            key, step, role, model, sent, reserved_nano, reserved_tokens, price, "batch"
        )
        return int(number)

    async def release(self, key: str) -> Booked:
        """Its batch is taken up by another attempt: what earlier ones had set aside is free, and returned."""
        nano = tokens = 0
        while (number := self.pending(key)) is not None:
            attempt = self._intended[number]
            nano, tokens = nano + (attempt.reserved_nano or 0), tokens + attempt.reserved_tokens
            await self.settle(number, Settled("failed", 0.0, detail="its batch was taken up again"))
        return Booked(nano, tokens)

    def spent(self, n: int | None = None) -> Spent:
        """What the answers took that step `n` used, or what the whole run has spent, failed attempts included."""
        if n is not None:
            calls, read, written, cost, priced = self._one(
                "SELECT count(*), coalesce(sum(json_extract(completion, '$[4]')), 0),"
                " coalesce(sum(json_extract(completion, '$[5]')), 0), coalesce(sum(cost_nano), 0), count(cost_nano)"
                " FROM uses JOIN completions USING (key) WHERE n = ?",
                (n,),
            )
            return Spent(calls, read, written, cost, calls - priced)
        (answers,) = self._one("SELECT count(*) FROM completions")
        read, written, nano, unpriced, doubt = self._one(
            "SELECT coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),"  # noqa: S608 (fixed text)
            f" coalesce(sum({_NANO}), 0), coalesce(sum(outcome = 'answered' AND cost_nano IS NULL), 0),"
            f" coalesce(sum(CASE WHEN {_IN_DOUBT} THEN reserved_nano END), 0) FROM attempts"
        )
        return Spent(answers, read, written, nano, unpriced, doubt)

    def latency(self, n: int) -> float:
        """Seconds that the answers took that step `n` used, all of them together."""
        (seconds,) = self._one(
            "SELECT coalesce(sum(seconds), 0.0) FROM uses JOIN completions USING (key) WHERE n = ?", (n,)
        )
        return float(seconds)

    def booked(self, step: str | None = None) -> Booked:
        """What counts against a budget: of the step of that label, or of the whole run."""
        where, values = ("", ()) if step is None else (" WHERE step = ?", (step,))
        return Booked(
            *self._one(
                f"SELECT coalesce(sum({_NANO}), 0),"  # noqa: S608 (fixed text)
                f" coalesce(sum(CASE WHEN {_IN_DOUBT} THEN reserved_tokens"
                f" ELSE input_tokens + output_tokens END), 0) FROM attempts{where}",
                values,
            )
        )

    # steps

    def fact(self, key: str) -> Any:
        row = self._one("SELECT key, value, seal FROM facts WHERE key = ?", (key,))
        return json.loads(self._whole("facts", row)[1]) if row else None

    def set_fact(self, key: str, value: Any) -> None:
        row = sealed("facts", (key, json.dumps(value)))
        with self._commit() as db:
            db.execute(insert("facts", how="INSERT OR REPLACE"), row)

    def begin(self, n: int, name: str, options: dict[str, Any], fingerprint: str) -> None:
        """Start step `n` anew: what it and the steps after it had is forgotten; completions stay."""
        row = sealed("steps", (n, name, json.dumps(options), fingerprint, 0, 0, 0, 0, 0.0, "{}", 0))
        with self._commit() as db:
            _forget(db, n)
            db.execute(insert("steps"), row)

    def add(
        self, n: int, kept: Iterable[tuple[int, Sample]] = (), dropped: Iterable[tuple[int, Drop]] = ()
    ) -> None:
        """Append rows and drops of step `n`, each with its position."""
        rows = [sealed("rows", (n, pos, row.id, json.dumps(row.to_row()))) for pos, row in kept]
        drops = [
            sealed("drops", (n, pos, *_dropped(drop.sample, drop.reason, json.dumps(drop.detail))))
            for pos, drop in dropped
        ]
        with self._commit() as db:
            db.executemany(insert("rows"), rows)
            db.executemany(insert("drops"), drops)

    def record(
        self,
        n: int,
        *,
        came: int,
        made: int,
        kept: int,
        dropped: int,
        seconds: float,
        facts: dict[str, Any],
        uses: Iterable[str],
        done: bool,
    ) -> None:
        """Write down how far step `n` got; `done` makes its rows final."""
        n, name, options, fingerprint = self._one(
            "SELECT n, name, options, fingerprint FROM steps WHERE n = ?", (n,)
        )
        counts = (came, made, kept, dropped, float(seconds), json.dumps(facts), int(done))
        row = sealed("steps", (n, name, options, fingerprint, *counts))
        with self._commit() as db:
            db.execute(insert("steps", how="INSERT OR REPLACE"), row)
            db.executemany("INSERT OR IGNORE INTO uses VALUES (?, ?)", [(n, key) for key in uses])

    def forget_from(self, n: int) -> None:
        """Drop the records of step `n` and later: the pipeline has become shorter."""
        with self._commit() as db:
            _forget(db, n)

    def steps(self) -> list[StepRecord]:
        found = []
        for row in self._all(f"SELECT {', '.join(STEPS)}, seal FROM steps ORDER BY n"):  # noqa: S608 (fixed names)
            n, name, options, mark, came, made, _, _, seconds, facts, done = self._whole("steps", row)
            found.append(
                StepRecord(
                    n, name, json.loads(options), mark, came, made, seconds, json.loads(facts), bool(done)
                )
            )
        return found

    def count(self, n: int) -> int:
        """How many rows step `n` has. Raises StoreError when that is not what a finished step recorded."""
        (rows,) = self._one("SELECT count(*) FROM rows WHERE n = ?", (n,))
        step = self._one("SELECT done, kept FROM steps WHERE n = ?", (n,))
        if step is not None and step[0] and step[1] != rows:
            raise self._damaged(f"step {n + 1} kept {step[1]:,} rows, and {rows:,} are there")
        return int(rows)

    def samples(self, n: int, first: int = 0, count: int | None = None) -> Iterator[Sample]:
        """The rows of step `n` in order, from position `first`; read by the page, so that no snapshot stays open."""
        last = sys.maxsize if count is None else first + count
        while first < last:
            page = self._all(
                f"SELECT {', '.join(ROWS)}, seal FROM rows WHERE n = ? AND pos >= ? AND pos < ? ORDER BY pos",  # noqa: S608
                (n, first, min(first + _PAGE, last)),
            )
            for place, row in enumerate(page, start=first):
                _, pos, _, sample = self._whole("rows", row)
                if pos != place:
                    raise self._damaged(f"row {place + 1:,} of step {n + 1} is missing")
                yield Sample.from_row(json.loads(sample))
            if len(page) < _PAGE:
                return
            first += _PAGE

    def find(self, id: str) -> tuple[int, int, Sample] | None:
        """The first step, position and row whose id begins with `id`."""
        row = self._one(
            f"SELECT {', '.join(ROWS)}, seal FROM rows WHERE id >= ? AND id < ? ORDER BY n, pos LIMIT 1",  # noqa: S608
            (id, id + "g"),
        )
        if row is None:
            return None
        n, pos, _, sample = self._whole("rows", row)
        return n, pos, Sample.from_row(json.loads(sample))

    def reasons(self, n: int) -> Counter[str]:
        """How many rows step `n` dropped, by reason, most frequent first."""
        return Counter(
            dict(
                self._all(
                    "SELECT reason, count(*) FROM drops WHERE n = ? GROUP BY reason ORDER BY 2 DESC, 1", (n,)
                )
            )
        )

    def drops(self, n: int, first: int = 0) -> Iterator[Drop]:
        """What step `n` dropped, in order, from position `first`."""
        while page := self._all(
            f"SELECT {', '.join(DROPS)}, seal FROM drops WHERE n = ? AND pos >= ? ORDER BY pos LIMIT ?",  # noqa: S608
            (n, first, _PAGE),
        ):
            for row in page:
                _, pos, _, why, detail, sample = self._whole("drops", row)
                value = json.loads(sample)
                yield Drop(
                    why, json.loads(detail), value if isinstance(value, str) else Sample.from_row(value)
                )
            first = pos + 1

    def trail(self, prefix: str) -> list[Station]:
        """Where the rows were seen whose id begins with `prefix`, in the order of the steps. Reads all ids: an index of
        them would cost every run more than it would ever save.
        """
        return self._stations("id >= ? AND id < ?", (prefix, prefix + "g"))

    def holding(self, text: str, after: int = -1) -> list[Station]:
        """The rows of steps behind `after` in whose content or lineage the text stands. Reads them all."""
        return self._stations("n > ? AND instr(sample, ?)", (after, json.dumps(text)[1:-1]))

    def _stations(self, where: str, values: Sequence[Any]) -> list[Station]:
        found = []
        for row in self._all(f"SELECT {', '.join(ROWS)}, seal FROM rows WHERE {where}", values):  # noqa: S608
            n, pos, id, sample = self._whole("rows", row)
            found.append(Station(n, pos, id, Sample.from_row(json.loads(sample)), None))
        for row in self._all(f"SELECT {', '.join(DROPS)}, seal FROM drops WHERE {where}", values):  # noqa: S608
            n, pos, id, reason, detail, text = self._whole("drops", row)
            value = json.loads(text)
            if not isinstance(value, str):  # a text that never became a row
                sample = Sample.from_row(value)
                found.append(Station(n, pos, id, sample, Drop(reason, json.loads(detail), sample)))
        return sorted(found, key=lambda station: (station.n, station.drop is None, station.pos))

    # memos

    def memo(self, key: str) -> Any:
        row = self._one("SELECT key, value, seal FROM memos WHERE key = ?", (key,))
        return json.loads(self._whole("memos", row)[1]) if row else None

    def set_memo(self, key: str, value: Any) -> None:
        row = sealed("memos", (key, json.dumps(value)))
        with self._commit() as db:
            db.execute(insert("memos", how="INSERT OR REPLACE"), row)


def _private(path: Path) -> None:
    """Make the file, readable by its owner only, where there is none; SQLite gives its logs the same mode. Raises
    OSError for a link: what a run holds is written nowhere else.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    os.close(os.open(path, flags, 0o600))


def _forget(db: sqlite3.Connection, n: int) -> None:
    for table in ("steps", "rows", "drops", "uses"):
        db.execute(f"DELETE FROM {table} WHERE n >= ?", (n,))  # noqa: S608 (fixed names)


def _dropped(sample: Sample | str, reason: str, detail: str) -> tuple[str, str, str, str]:
    if isinstance(sample, str):
        return digest(sample), reason, detail, json.dumps(sample)
    return sample.id, reason, detail, json.dumps(sample.to_row())


def _used(usage: Usage) -> tuple[int, ...]:
    cached = usage.cached_tokens, usage.cache_write_tokens
    return usage.input_tokens, usage.output_tokens, *cached, usage.reasoning_tokens


def _booked(number: int, attempt: Attempt, settled: Settled | None) -> _Write:
    """The ledger's row of an attempt: how it was meant, and how it ended where that is known."""
    end: tuple[Any, ...] = (None, "", None, None, None, None, None, None, None)
    if settled is not None:
        end = (
            settled.outcome,
            settled.detail.encode("utf-8", "replace").decode(),
            float(settled.seconds),
            *_used(settled.usage),
            settled.cost_nano,
        )
    meant = (
        *(number, attempt.key, attempt.step, attempt.role, attempt.model, attempt.way, float(attempt.sent)),
        *(attempt.reserved_nano, attempt.reserved_tokens, attempt.price),
    )
    row = (*meant, *end)
    return insert("attempts"), sealed("attempts", row)


def _completion(key: str, row: str) -> Completion:
    text, finish_reason, model, refusal, *usage = json.loads(row)
    return Completion(text, finish_reason, Usage(*usage), model, refusal, key)
