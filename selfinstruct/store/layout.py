"""The tables of a run's file, the steps from one format to the next, and the seal on every row.

A seal is a digest of the row's own values and its table's name. It is made when the row is written and compared when
it is read: what the disk has altered never passes for an answer, and a row found anywhere in a damaged file is known
to be whole (`repair`).
"""

from __future__ import annotations

import functools
import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from selfinstruct.sample import Sample, digest

COMPLETIONS = ("key", "request", "completion", "cost_nano", "seconds")
ATTEMPTS = (
    "id",
    "key",
    "step",
    "role",
    "model",
    "way",
    "sent",
    "reserved_nano",
    "reserved_tokens",
    "price",
    "outcome",
    "detail",
    "seconds",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_nano",
)
STEPS = (
    "n",
    "name",
    "options",
    "fingerprint",
    "came",
    "made",
    "kept",
    "dropped",
    "seconds",
    "facts",
    "done",
)
ROWS = ("n", "pos", "id", "sample")
DROPS = ("n", "pos", "id", "reason", "detail", "sample")
MEMOS = FACTS = ("key", "value")
BATCHES = ("n", "model", "mark", "requests", "remote", "state", "sent")
SEALED = {
    "completions": COMPLETIONS,
    "attempts": ATTEMPTS,
    "steps": STEPS,
    "rows": ROWS,
    "drops": DROPS,
    "memos": MEMOS,
    "facts": FACTS,
    "batches": BATCHES,
}


def seal(table: str, *values: Any) -> str:
    """16 hex digits over a row's values, in the order of its columns."""
    text = "\x1f".join([table, *map(str, values)])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def sealed(table: str, values: Sequence[Any]) -> tuple[Any, ...]:
    return (*values, seal(table, *values))


def row_id(sample: str) -> str:
    """The id of a stored row, or the digest of a text that never became one."""
    value = json.loads(sample)
    return digest(value) if isinstance(value, str) else Sample.from_row(value).id


@functools.cache
def insert(table: str, *, how: str = "INSERT") -> str:
    columns = (*SEALED[table], "seal")
    return f"{how} INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


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


_SECOND = ("completions", "attempts", "steps", "rows", "drops", "memos", "facts")


def _second(db: sqlite3.Connection) -> None:
    """The ledger of attempts, the seals, and the ids of drops. Of a file of format 1 every answer becomes one
    attempt, sent at an unknown time.
    """
    db.create_function("seal", -1, seal, deterministic=True)
    db.create_function("row_id", 1, row_id, deterministic=True)
    db.execute(
        "CREATE TABLE attempts (id INTEGER PRIMARY KEY, key TEXT NOT NULL, step TEXT NOT NULL, role TEXT NOT NULL,"
        " model TEXT NOT NULL, way TEXT NOT NULL, sent REAL NOT NULL, reserved_nano INTEGER,"
        " reserved_tokens INTEGER NOT NULL, price TEXT NOT NULL, outcome TEXT, detail TEXT NOT NULL DEFAULT '',"
        " seconds REAL, input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER,"
        " cache_write_tokens INTEGER, reasoning_tokens INTEGER, cost_nano INTEGER, seal TEXT NOT NULL DEFAULT '')"
    )
    used = ", ".join(f"json_extract(completion, '$[{place}]')" for place in range(4, 9))
    db.execute(
        "INSERT INTO attempts (key, step, role, model, way, sent, reserved_nano, reserved_tokens, price, outcome,"  # noqa: S608 (fixed text)
        " detail, seconds, input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,"
        " cost_nano) SELECT key, '', '', coalesce(json_extract(request, '$.model'), ''), 'realtime', 0.0,"
        " cost_nano, 0, '', 'answered', '', seconds,"
        f" {used}, cost_nano FROM completions ORDER BY rowid"
    )
    for table, column in (
        ("steps", "kept INTEGER NOT NULL DEFAULT 0"),
        ("steps", "dropped INTEGER NOT NULL DEFAULT 0"),
        ("drops", "id TEXT NOT NULL DEFAULT ''"),
        *((table, "seal TEXT NOT NULL DEFAULT ''") for table in _SECOND if table != "attempts"),
    ):
        db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    db.execute("UPDATE drops SET id = row_id(sample)")
    db.execute(
        "UPDATE steps SET kept = (SELECT count(*) FROM rows WHERE rows.n = steps.n),"
        " dropped = (SELECT count(*) FROM drops WHERE drops.n = steps.n)"
    )
    for table in _SECOND:
        columns = SEALED[table]
        db.execute(f"UPDATE {table} SET seal = seal('{table}', {', '.join(columns)})")  # noqa: S608 (fixed names)


def _third(db: sqlite3.Connection) -> None:
    """The journal of batches at the providers."""
    db.execute(
        "CREATE TABLE batches (n INTEGER PRIMARY KEY, model TEXT NOT NULL, mark TEXT NOT NULL, requests TEXT NOT NULL,"
        " remote TEXT NOT NULL, state TEXT NOT NULL, sent REAL NOT NULL, seal TEXT NOT NULL)"
    )


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first, _second, _third)
