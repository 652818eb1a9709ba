"""Jobs through apsw connections of the program's own, and why those of other libraries are refused."""

import asyncio
import gc
import sqlite3
from collections.abc import AsyncIterator

import apsw
import pytest
import sqlalchemy
from django.db.backends.sqlite3.base import DatabaseWrapper
from sqlalchemy.orm import Session

from headrace import App, Settings
from headrace.errors import MisuseError, StoreUnavailable

PATIENCE = 60


@pytest.fixture
async def on_file(tmp_path) -> AsyncIterator[App]:
    async with App(f"sqlite:///{tmp_path}/jobs.db", settings=Settings()) as opened:
        yield opened
    opened.portal.close()


def add_to(app: App):
    @app.job()
    async def add(a: int) -> int:
        return a

    return add


async def count(app: App) -> int:
    return (await (await app.operations()).stats()).count()


@pytest.fixture
async def db(on_file: App, tmp_path) -> AsyncIterator[apsw.Connection]:
    connection = apsw.Connection(f"{tmp_path}/jobs.db")
    connection.set_busy_timeout(PATIENCE * 1000)
    connection.execute("create table ledger (what text)")
    yield connection
    connection.close()


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_job_lives_and_dies_with_the_transaction_of_an_own_connection(on_file: App, db, end: str):
    add = add_to(on_file)
    db.row_trace = lambda _cursor, row: {"row": row}
    db.exec_trace = lambda *_: True

    db.execute("begin immediate")
    db.execute("insert into ledger values ('one')")
    handle = await add.using(tx=db, unique_key="k", tags=("t",)).enqueue(1)
    again = add.using(tx=db, unique_key="k").enqueue_sync(1)
    seen_before = await count(on_file)
    db.execute(end)

    kept = end == "commit"
    assert (again.id, seen_before, await count(on_file)) == (handle.id, 0, int(kept))
    assert db.row_trace is not None
    if kept:
        async with on_file.running_worker():
            assert await handle.result(timeout=PATIENCE) == 1


async def test_waiting_worker_notices_the_commit_of_an_own_connection(on_file: App, db):
    add = add_to(on_file)
    store = (await on_file.open()).store
    queues = frozenset({"default"})
    await store.woken("default", queues, timeout_ms=0)
    waiting = asyncio.create_task(store.woken("default", queues, timeout_ms=PATIENCE * 1000))

    db.execute("begin immediate")
    await add.using(tx=db).enqueue(1)
    db.execute("commit")

    async with asyncio.timeout(PATIENCE):
        assert await waiting


async def test_own_connection_without_a_transaction_is_refused(on_file: App, db):
    with pytest.raises(MisuseError, match="begin one"):
        await add_to(on_file).using(tx=db).enqueue(1)


async def test_own_connection_to_another_file_or_memory_is_refused(on_file: App, db, tmp_path):
    other = apsw.Connection(f"{tmp_path}/other.db")
    other.execute("begin; create table t (n)")
    with pytest.raises(MisuseError, match=r"other\.db"):
        await add_to(on_file).using(tx=other).enqueue(1)
    other.close()
    async with App("sqlite://", settings=Settings()) as in_memory:
        db.execute("begin")
        with pytest.raises(MisuseError, match="memory"):
            await add_to(in_memory).using(tx=db).enqueue(1)
        db.execute("rollback")


async def test_snapshot_that_is_too_old_to_write_is_told(on_file: App, db):
    add = add_to(on_file)
    db.set_busy_timeout(0)
    db.execute("begin").execute("select * from ledger").fetchall()
    await add.enqueue(1)

    with pytest.raises(StoreUnavailable):
        await add.using(tx=db).enqueue(2)

    db.execute("rollback")
    assert await count(on_file) == 1


async def test_tallies_follow_a_savepoint_that_is_undone(on_file: App, db):
    add = add_to(on_file)
    db.execute("begin immediate")
    await add.using(tx=db).enqueue(1)
    db.execute("savepoint mine")
    await add.using(tx=db).enqueue(2)
    db.execute("rollback to mine")
    db.execute("commit")

    assert await count(on_file) == 1


async def test_connection_of_another_sqlite_library_is_refused_with_the_reason(on_file: App, tmp_path):
    stranger = sqlite3.connect(tmp_path / "own.db")

    with pytest.raises(MisuseError, match="destroy each other's locks"):
        await add_to(on_file).using(tx=stranger).enqueue(1)

    stranger.close()
    gc.collect()


async def test_sqlalchemy_and_django_over_sqlite_are_refused_with_the_reason(on_file: App, tmp_path):
    add = add_to(on_file)
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/own.db")
    with engine.connect() as connection, Session(engine) as session:
        strangers = [connection, session, DatabaseWrapper({"NAME": ":memory:"}, "default")]
        for stranger in strangers:
            with pytest.raises(MisuseError, match="destroy each other's locks"):
                await add.using(tx=stranger).enqueue(1)
    engine.dispose()
