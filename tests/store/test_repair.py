"""Bytes flipped, tails cut, logs removed: it is noticed, and every answer that is whole is saved."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fakes import python
from test_store import WRITER, ask, filed

from selfinstruct.errors import StoreError
from selfinstruct.sample import Sample
from selfinstruct.store import FILE, Drop, Filed, Store, layout
from selfinstruct.store.repair import check, repair
from selfinstruct.teachers import Completion, Usage

PAGE = 4096


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("sound") / "run")


def filled(folder: Path) -> Path:
    """A run with short and long answers (those that continue on further pages), rows, drops, memos and facts."""
    rng = random.Random(3)
    with Store.open(folder) as store:
        store.set_fact("pipeline", {"name": "sound"})

        async def fill() -> None:
            for i in range(150):
                text = " ".join(
                    rng.choice(["één", "two", "three"]) for _ in range(rng.choice([3, 40, 1_200, 3_000]))
                )
                usage = Usage(rng.randrange(100), rng.randrange(100))
                answer = Filed(
                    Completion(text, usage=usage, model="m"), rng.choice([0, 7, 2**40]), rng.random()
                )
                await store.put(ask(f"question {i}"), answer)

        asyncio.run(fill())
        store.begin(0, "read", {"path": "x"}, "mark")
        store.add(
            0, [(i, Sample.of(f"row {i}", "", "answer")) for i in range(60)], [(0, Drop("why", {}, "text"))]
        )
        store.record(
            0,
            came=0,
            made=61,
            kept=60,
            dropped=1,
            seconds=1.0,
            facts={},
            uses=[ask("question 1").key],
            done=True,
        )
        store.set_memo("memo", [1, 2])
    assert check(folder) == []
    return folder


def contents(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that a run's file says, read with nothing but SQLite."""
    with closing(sqlite3.connect(folder / FILE)) as db:
        return {table: sorted(db.execute(f"SELECT * FROM {table}"), key=repr) for table in layout.SEALED}


def encoded(row: tuple[Any, ...]) -> list[bytes]:
    """The pieces of bytes that a row of `completions` consists of in the file, by the rules of the format."""

    def varint(value: int) -> bytes:
        out = [value & 0x7F]
        while value := value >> 7:
            out.append(value & 0x7F | 0x80)
        return bytes(reversed(out))

    key, request, completion, cost, seconds, seal = row
    texts = [text.encode() for text in (key, request, completion, seal)]
    size = next((n for n in (1, 2, 3, 4, 6, 8) if -(1 << 8 * n - 1) <= cost < 1 << 8 * n - 1), 8)
    number = b"" if cost in (0, 1) else cost.to_bytes(size, "big", signed=True)
    kind = 8 + cost if cost in (0, 1) else {1: 1, 2: 2, 3: 3, 4: 4, 6: 5, 8: 6}[size]
    kinds = b"".join(
        varint(each)
        for each in (
            *(13 + 2 * len(text) for text in texts[:3]),
            kind,
            7,
            13 + 2 * len(texts[3]),
        )
    )
    body = b"".join(texts[:3]) + number + struct.pack(">d", seconds) + texts[3]
    payload = varint(len(kinds) + 1) + kinds + body
    if len(payload) <= PAGE - 35:
        return [payload]
    least = (PAGE - 12) * 32 // 255 - 23
    local = least + (len(payload) - least) % (PAGE - 4)
    local = local if local <= PAGE - 35 else least
    return [payload[:local], *(payload[at : at + PAGE - 4] for at in range(local, len(payload), PAGE - 4))]


def intact(folder: Path, data: bytes) -> set[str]:
    """The keys of the answers whose every byte is still in `data`."""
    with closing(sqlite3.connect(folder / FILE)) as db:
        rows = db.execute(
            "SELECT key, request, completion, cost_nano, seconds, seal FROM completions"
        ).fetchall()
    return {row[0] for row in rows if all(piece in data for piece in encoded(row))}


def damaged(sound: Path, folder: Path, data: bytes) -> Path:
    shutil.copytree(sound, folder)
    for name in (f"{FILE}-wal", f"{FILE}-shm"):
        (folder / name).unlink(missing_ok=True)
    (folder / FILE).write_bytes(data)
    return folder


def ordeal(sound: Path, folder: Path, data: bytes) -> str:
    """What the damage was: nothing that anybody reads, or noticed; then the repair is held to what is whole."""
    whole = intact(sound, (sound / FILE).read_bytes())
    folder = damaged(sound, folder, data)
    if not check(folder):
        assert contents(folder) == contents(sound)
        return "harmless"
    kept = repair(folder)
    assert kept is not None
    assert check(folder) == []
    with Store.open(folder) as store, Store.read(sound) as before:
        saved = {key for key in whole if (found := store.get(key)) and found == before.get(key)}
        assert store.spent().calls == len(saved)  # nothing but what was there
    pieces = intact(sound, data)
    assert pieces <= saved, f"{len(pieces - saved)} whole answers were not found"
    assert (kept.answers, kept.kept.is_file()) == (len(saved), True)
    return "saved"


def flips(sound: Path, count: int, seed: int) -> Iterator[bytes]:
    data = (sound / FILE).read_bytes()
    rng = random.Random(seed)
    for _ in range(count):
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        yield bytes(changed)


def cuts(sound: Path, count: int, seed: int) -> Iterator[bytes]:
    data = (sound / FILE).read_bytes()
    rng = random.Random(seed)
    for _ in range(count):
        yield data[: rng.randrange(1, len(data))]


def test_the_oracle_knows_the_format(sound: Path) -> None:
    assert len(intact(sound, (sound / FILE).read_bytes())) == 150


def test_a_flipped_byte_is_noticed_and_all_whole_answers_are_saved(sound: Path, tmp_path: Path) -> None:
    ends = [ordeal(sound, tmp_path / str(i), data) for i, data in enumerate(flips(sound, 40, 1))]
    assert ends.count("saved") >= 25


def test_a_cut_tail_is_noticed_and_all_whole_answers_are_saved(sound: Path, tmp_path: Path) -> None:
    ends = [ordeal(sound, tmp_path / str(i), data) for i, data in enumerate(cuts(sound, 20, 2))]
    assert set(ends) == {"saved"}


@pytest.mark.parametrize("page", [0, 1, 2, 3])
def test_a_page_of_zeros(sound: Path, tmp_path: Path, page: int) -> None:
    data = bytearray((sound / FILE).read_bytes())
    data[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    assert ordeal(sound, tmp_path / "run", bytes(data)) == "saved"


def test_a_damaged_answer_is_never_used(sound: Path, tmp_path: Path) -> None:
    with Store.read(sound) as store:
        text = store.get(ask("question 1").key).completion.text.encode()  # type: ignore[union-attr]
    data = (sound / FILE).read_bytes()
    at = data.index(text.replace("é".encode(), rb"\u00e9")[:40])
    folder = damaged(sound, tmp_path / "run", data[:at] + b"#" + data[at + 1 :])
    with Store.open(folder) as store:
        with pytest.raises(
            StoreError, match=r"is damaged: a row of completions .* is not what was written"
        ) as error:
            store.get(ask("question 1").key)
        assert f"selfinstruct repair {folder}" in error.value.hint


def test_rows_that_vanished_are_missed(sound: Path, tmp_path: Path) -> None:
    folder = damaged(sound, tmp_path / "run", (sound / FILE).read_bytes())
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute("DELETE FROM rows WHERE pos = 30")
        db.commit()
    assert any("rows: of read's 60 59 are there" in said for said in check(folder))
    with Store.open(folder) as store:
        with pytest.raises(StoreError, match="step 1 kept 60 rows, and 59 are there"):
            store.count(0)
        with pytest.raises(StoreError, match="row 31 of step 1 is missing"):
            list(store.samples(0))


def test_answers_that_vanished_are_missed_when_the_run_is_opened(sound: Path, tmp_path: Path) -> None:
    folder = damaged(sound, tmp_path / "run", (sound / FILE).read_bytes())
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute("DELETE FROM completions WHERE key = ?", (ask("question 7").key,))
        db.commit()
    with pytest.raises(StoreError, match="150 answers are booked, and 149 are there"):
        Store.open(folder)
    kept = repair(folder)
    assert kept is not None
    assert (kept.answers, kept.lost) == (149, 1)
    with Store.open(folder) as store:
        assert store.get(ask("question 7").key) is None
        assert store.booked() == (sum(row[-2] for row in contents(sound)["attempts"]), store.booked().tokens)


def test_a_removed_log_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    Store.open(folder).close()
    writer = python("-c", WRITER, str(folder), "40")
    writer.communicate(timeout=20)
    assert writer.returncode == -signal.SIGKILL
    log = (folder / f"{FILE}-wal").read_bytes()
    for left in (b"", log[: len(log) // 2]):
        (folder / f"{FILE}-wal").write_bytes(left)
        assert any("it is an older one" in said for said in check(folder))
        with pytest.raises(StoreError, match="is older than the work that was done: 40 requests") as refused:
            Store.open(folder)
        assert "repair" in refused.value.hint
    repair(folder)
    assert check(folder) == []
    with Store.open(folder) as store:  # goes on with what is there
        assert 0 < store.spent().calls < 40


def test_a_wrong_format_number_is_no_other_format(sound: Path, tmp_path: Path) -> None:
    for version in (0, 1):
        folder = damaged(sound, tmp_path / str(version), (sound / FILE).read_bytes())
        with closing(sqlite3.connect(folder / FILE)) as db:
            db.execute(f"PRAGMA user_version = {version}")
        with pytest.raises(StoreError, match="is damaged"):
            Store.open(folder)
        assert repair(folder) is not None
        assert contents(folder)["completions"] == contents(sound)["completions"]


def test_a_run_at_work_is_not_repaired(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        asyncio.run(store.put(ask("q"), filed("a")))
        assert check(tmp_path) == []  # looking is allowed
        with pytest.raises(StoreError, match="is working on this run"):
            repair(tmp_path)


def test_a_whole_file_is_left_alone(sound: Path, tmp_path: Path) -> None:
    folder = damaged(sound, tmp_path / "run", (sound / FILE).read_bytes())
    before = (folder / FILE).read_bytes()
    assert repair(folder) is None
    assert (folder / FILE).read_bytes() == before
    with pytest.raises(StoreError, match="holds no run"):
        repair(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="holds no run"):
        check(tmp_path / "nowhere")
