from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import python
from hypothesis import given, settings
from hypothesis import strategies as st

from selfinstruct.errors import StoreError
from selfinstruct.sample import Message, Sample
from selfinstruct.store import FILE, Drop, Filed, Spent, Store, layout
from selfinstruct.teachers import Completion, Request, Usage


def ask(text: str) -> Request:
    return Request("m", (Message("user", text),))


def filed(text: str, cost: int | None = 7, usage: Usage = Usage(3, 2)) -> Filed:
    return Filed(Completion(text, usage=usage, model="m-1"), cost, 0.5)


def put(store: Store, *texts: str, cost: int | None = 7) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*(store.put(ask(text), filed(text, cost)) for text in texts))

    asyncio.run(all_of_them())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "run") as opened:
        yield opened


WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
from selfinstruct.errors import StoreError
from selfinstruct.store import Store
from test_store import ask, filed

async def main(folder, how):
    with Store.open(Path(folder)) as store:
        if how == "hold":
            print("held", flush=True)
            await asyncio.sleep(60)
        if how == "full":
            import resource
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
            kept, said = [], []
            async def one(i):
                try:
                    await store.put(ask(f"{i}" * 2000), filed(f"answer {i}"))
                except StoreError as error:
                    said.append(f"{error.message} / {error.hint}")
                else:
                    kept.append(i)
            for start in range(0, 400, 20):
                await asyncio.gather(*map(one, range(start, start + 20)))
            print(*kept)
            print(len(said), said[0])
            return
        if how == "together":
            await asyncio.gather(*(store.put(ask(f"{i}"), filed(f"answer {i}")) for i in range(200)))
        else:
            for i in range(int(how)):
                await store.put(ask(f"{i}"), filed(f"answer {i}"))
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(("how", "count"), [("1", 1), ("3", 3), ("40", 40), ("together", 200)])
def test_what_was_put_survives_a_kill_right_after(tmp_path: Path, how: str, count: int) -> None:
    writer = python("-c", WRITER, str(tmp_path), how)
    _, said = writer.communicate(timeout=20)
    assert writer.returncode == -signal.SIGKILL, said
    with Store.open(tmp_path) as store:
        answers = [store.get(ask(f"{i}").key) for i in range(count)]
    assert [found and found.completion.text for found in answers] == [f"answer {i}" for i in range(count)]


def test_commits_reach_the_disk_before_they_return(store: Store) -> None:
    assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL: an fsync for each commit
    assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_answers_that_arrive_together_share_commits(store: Store) -> None:
    commits: list[str] = []
    store._writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    put(store, *(f"{i}" for i in range(1_000)))
    assert 1 <= len(commits) <= 10
    assert store.spent().calls == 1_000


def test_put_returns_only_after_its_commit(store: Store) -> None:
    async def visible_at_once() -> None:
        for i in range(20):
            await store.put(ask(f"{i}"), filed("x"))
            with sqlite3.connect(store.path) as other:
                assert other.execute("SELECT count(*) FROM completions").fetchone() == (i + 1,)
            other.close()

    asyncio.run(visible_at_once())


def test_an_asker_who_is_gone_takes_nothing_with_him(store: Store) -> None:
    async def leave() -> None:
        gone = asyncio.create_task(store.put(ask("gone"), filed("gone")))
        stays = asyncio.create_task(store.put(ask("stays"), filed("stays")))
        await asyncio.sleep(0)
        gone.cancel()
        await stays

    asyncio.run(leave())
    assert store.spent().calls == 2


def test_a_second_process_is_refused_at_once_and_told_by_whom(tmp_path: Path) -> None:
    holder = python("-c", WRITER, str(tmp_path), "hold")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    began = time.monotonic()
    with pytest.raises(StoreError, match=f"process {holder.pid} on .* is working on this run") as refused:
        Store.open(tmp_path)
    assert time.monotonic() - began < 1
    assert "--out" in refused.value.hint
    with Store.read(tmp_path) as reader:
        assert reader.steps() == []
    holder.kill()
    holder.communicate()
    Store.open(tmp_path).close()  # a dead holder's lock is taken over


def test_the_lock_is_released(tmp_path: Path) -> None:
    for _ in range(2):
        with Store.open(tmp_path):
            pass


def test_a_full_disk_is_one_clear_error_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    writer = python("-c", WRITER, str(tmp_path), "full")
    out, err = writer.communicate(timeout=20)
    assert writer.returncode == 0, err
    kept = out.splitlines()[0].split()
    failed, said = out.splitlines()[1].split(" ", 1)
    assert len(kept) >= 20
    assert int(failed) == 400 - len(kept) >= 20  # after the first failure nothing passes for written
    assert FILE in said
    assert "disk space" in said
    with Store.open(tmp_path) as store:
        for i in kept:
            found = store.get(ask(i * 2000).key)
            assert found is not None
            assert found.completion.text == f"answer {i}"


def test_a_lost_connection_fails_every_later_put(store: Store) -> None:
    put(store, "before")
    store._writer.close()

    async def attempt() -> list[Any]:
        puts = [store.put(ask(text), filed(text)) for text in ("a", "b")]
        return await asyncio.wait_for(asyncio.gather(*puts, return_exceptions=True), 5)

    assert [type(result) for result in asyncio.run(attempt())] == [StoreError, StoreError]
    assert store.spent().calls == 1


def test_a_value_that_is_no_json_spoils_nothing_beside_it(store: Store) -> None:
    store.begin(0, "read", {}, "mark")
    with pytest.raises(TypeError):
        store.add(0, [(0, Sample.of("kept"))], [(0, Drop("why", {"bad": {1}}, "text"))])
    with pytest.raises(TypeError):
        store.begin(0, "read", {"bad": {1}}, "other")
    put(store, "later")  # its commit must not carry half of what failed
    assert [(record.name, record.fingerprint) for record in store.steps()] == [("read", "mark")]
    assert store.count(0) == 0


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    for opening in (Store.open, Store.read):
        with pytest.raises(StoreError, match=r"newer version .*99") as refused:
            opening(tmp_path)
        assert "upgrade" in refused.value.hint
    with pytest.raises(StoreError, match="newer"):  # not "somebody is working on this run"
        Store.open(tmp_path)


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"my thesis\n" * 1_000)
    for opening in (Store.open, Store.read):
        with pytest.raises(StoreError, match="not a database"):
            opening(tmp_path)
    assert (tmp_path / FILE).read_bytes() == b"my thesis\n" * 1_000


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "under"):
        with pytest.raises(StoreError, match="can't be written") as refused:
            Store.open(folder)
        assert str(folder) in refused.value.message
    with pytest.raises(StoreError, match="holds no run"):
        Store.read(tmp_path / "nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_an_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="can't be written"):
        Store.open(tmp_path / "run")


def test_the_folder_is_private(store: Store) -> None:
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_migrations_keep_the_rows_and_fail_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(tmp_path) as store:
        put(store, "old")

    def another(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE completions ADD COLUMN note TEXT DEFAULT 'new'")

    def broken(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (x)")
        db.execute("ALTER TABLE nowhere ADD COLUMN y")

    monkeypatch.setattr(layout, "MIGRATIONS", (*layout.MIGRATIONS, another, broken))
    with pytest.raises(StoreError, match="nowhere"):
        Store.open(tmp_path)
    with sqlite3.connect(tmp_path / FILE) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (4,)
        assert db.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchone() is None
        assert db.execute("SELECT note FROM completions").fetchall() == [("new",)]
    db.close()


def test_a_reader_beside_the_writer_sees_what_is_committed(store: Store) -> None:
    with Store.read(store.path.parent) as reader:
        put(store, "a")
        assert reader.spent() == Spent(1, 3, 2, priced_nano=7, unpriced=0)
        store.begin(0, "read", {"path": "x"}, "mark")
        store.add(0, [(0, Sample.of("q"))])
        assert reader.count(0) == 1


def test_the_first_answer_stands(store: Store) -> None:
    asyncio.run(store.put(ask("q"), filed("first")))
    asyncio.run(store.put(ask("q"), filed("second")))
    found = store.get(ask("q").key)
    assert found is not None
    assert found.completion.text == "first"


def test_unpriced_is_not_zero(store: Store) -> None:
    put(store, "a", "b", cost=0)
    assert store.spent().cost_nano == 0
    put(store, "c", cost=None)
    put(store, "d")
    assert store.spent() == Spent(4, 12, 8, priced_nano=7, unpriced=1)
    assert store.spent().cost_nano is None


def test_the_books_of_a_step(store: Store) -> None:
    put(store, "a", "b")
    store.begin(1, "judge", {"low": 0}, "mark")
    long, short = Drop("too_long", {"value": 9}, Sample.of("long")), Drop("too_short", {}, "raw text")
    store.add(1, [(i, Sample.of(f"row {i}")) for i in range(2_500)], [(0, short), (1, long), (2, long)])
    store.record(
        1,
        came=2_503,
        made=0,
        kept=2_500,
        dropped=3,
        seconds=2,  # a whole number comes back from SQLite as 2.0, and its seal holds
        facts={"mean": 4},
        uses=[ask("a").key, ask("a").key],
        done=True,
    )
    (record,) = store.steps()
    assert record == (1, "judge", {"low": 0}, "mark", 2_503, 0, 2.0, {"mean": 4}, True)
    assert [row.instruction for row in store.samples(1)] == [f"row {i}" for i in range(2_500)]
    assert [row.instruction for row in store.samples(1, first=999, count=3)] == [
        "row 999",
        "row 1000",
        "row 1001",
    ]
    assert list(store.reasons(1).items()) == [("too_long", 2), ("too_short", 1)]
    assert list(store.drops(1)) == [short, long, long]
    assert list(store.drops(1, first=1)) == [long, long]
    assert store.spent(1).calls == 1
    row = Sample.of("row 7")
    assert store.find(row.id[:12]) == (1, 7, row)
    assert store.find("zz") is None

    store.begin(1, "judge", {"low": 1}, "other")  # anew: its rows are gone, the answers are not
    assert (store.count(1), store.spent(1).calls, store.reasons(1)) == (0, 0, {})
    assert store.spent().calls == 2


def test_beginning_a_step_forgets_the_later_ones(store: Store) -> None:
    for n in range(3):
        store.begin(n, f"step{n}", {}, "mark")
        store.add(n, [(0, Sample.of(f"row of {n}"))])
    store.begin(1, "step1", {}, "changed")
    assert [(record.n, record.fingerprint) for record in store.steps()] == [(0, "mark"), (1, "changed")]
    assert [store.count(n) for n in range(3)] == [1, 0, 0]
    store.forget_from(0)
    assert store.steps() == []


def as_json_would_have_it(text: str) -> bool:
    """Two halves of one character next to each other come back joined: JSON has no other way to write the character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") == text


texts = st.text(st.characters(exclude_categories=()), max_size=40).filter(as_json_would_have_it)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
samples = st.builds(
    Sample,
    messages=st.lists(
        st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=texts), max_size=4
    ).map(tuple),
    rejected=st.none() | texts,
    scores=st.dictionaries(texts, st.floats(allow_nan=False), max_size=3),
    meta=st.dictionaries(texts, values, max_size=3),
    parents=st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), max_size=3).map(tuple),
)
counts = st.integers(0, 2**53)
completions = st.builds(
    Completion,
    text=texts,
    finish_reason=st.sampled_from(["stop", "length", "filtered", "rejected"]),
    usage=st.builds(Usage, counts, counts, counts, counts, counts),
    model=texts,
    refusal=st.none() | texts,
)
requests = st.builds(
    Request,
    model=texts,
    messages=st.lists(st.builds(Message, role=st.just("user"), content=texts), max_size=3).map(tuple),
    text=st.none() | texts,
    params=st.dictionaries(texts, values, max_size=3),
    schema=st.none() | st.dictionaries(texts, values, max_size=2),
    draw=st.integers(0, 2**40),
)


@pytest.fixture(scope="module")
def shelf() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as opened:
        yield opened


@settings(deadline=None, max_examples=60)
@given(kept=st.lists(samples, max_size=4), dropped=st.lists(st.tuples(texts, samples | texts), max_size=4))
def test_rows_come_back_as_they_went(
    shelf: Store, kept: list[Sample], dropped: list[tuple[str, Any]]
) -> None:
    shelf.begin(0, "step", {}, "mark")
    drops = [Drop("why", {"text": text}, row) for text, row in dropped]
    shelf.add(0, enumerate(kept), enumerate(drops))
    assert list(shelf.samples(0)) == kept
    assert list(shelf.drops(0)) == drops
    for row in kept:
        found = shelf.find(row.id)
        assert found is not None
        assert found[2].id == row.id


@settings(deadline=None, max_examples=60)
@given(request=requests, completion=completions, cost=st.none() | st.integers(0, 2**63 - 1))
def test_answers_come_back_as_they_went(
    shelf: Store, request: Request, completion: Completion, cost: int | None
) -> None:
    if shelf.get(request.key) is not None:
        return
    asyncio.run(shelf.put(request, Filed(completion, cost, 1.25)))
    found = shelf.get(request.key)
    assert found is not None
    assert found == Filed(
        Completion(
            completion.text,
            completion.finish_reason,
            completion.usage,
            completion.model,
            completion.refusal,
            request.key,
        ),
        cost,
        1.25,
    )
    assert shelf.request(request.key) == request.to_row()
