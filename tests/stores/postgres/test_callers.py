"""Jobs in the transactions of other libraries' connections (C7), each against a real server."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from headrace import App, DuplicateJob, IdempotencyMismatch, JobNotFound, OnConflict, Settings
from headrace.core.request import EnqueueRequest
from headrace.errors import MisuseError
from headrace.stores.values import InsertKind
from tests.servers.shared import SHARED
from tests.stores.postgres.calling import WAYS, Undo, django_database, sqlalchemy_url

PATIENCE = 60
SYNCHRONOUS = {name for name in WAYS if "async" not in name and "asyncpg" not in name}


@pytest.fixture
async def app(url: str, run_script) -> AsyncIterator[App]:
    run_script(url, "create table ledger (what text)")
    async with App(url, settings=Settings()) as opened:
        yield opened
    opened.portal.close()


@pytest.fixture
def add(app: App):
    @app.job(queue="sums")
    async def add(a: int, b: int = 1) -> int:
        return a + b

    return add


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, url: str):
    return lambda: WAYS[request.param](url)


async def count(app: App) -> int:
    return (await (await app.operations()).stats()).count()


async def test_committed_job_is_there_with_the_other_writes_and_runs(app, add, way, url, run_sql):
    async with way() as at:
        await at.send("insert into ledger values ('one')")
        handle = await add.using(tx=at.tx).enqueue(3)
        with pytest.raises(JobNotFound):
            await handle.job()

    assert [row["what"] for row in run_sql(url, "select what from ledger")] == ["one"]
    async with app.running_worker():
        assert await handle.result(timeout=PATIENCE) == 4


async def test_undone_job_was_never_there(app, add, way, url, run_sql):
    with pytest.raises(Undo):  # noqa: PT012 - a block is what is tested
        async with way() as at:
            await at.send("insert into ledger values ('one')")
            await add.using(tx=at.tx, unique_key="k", tags=("t",)).enqueue(3)
            raise Undo

    assert (run_sql(url, "select what from ledger"), await count(app)) == ([], 0)
    assert (await add.using(unique_key="k").enqueue(1)).kind is InsertKind.INSERTED


async def test_keys_receipts_and_replacement_work_in_every_library(app, add, way):
    draft = await add.using(unique_key="draft", on_conflict=OnConflict.REPLACE, tags=("old",)).enqueue(1)
    async with way() as at:
        first = await add.using(tx=at.tx, unique_key="k", idempotency_key="i").enqueue(1)
        again = await add.using(tx=at.tx, unique_key="k").enqueue(2)
        repeat = await add.using(tx=at.tx, unique_key="k", idempotency_key="i").enqueue(1)
        newer = await add.using(
            tx=at.tx, unique_key="draft", on_conflict=OnConflict.REPLACE, tags=("a", "b")
        ).enqueue(2)
        with pytest.raises(DuplicateJob):
            await add.using(tx=at.tx, unique_key="k", on_conflict=OnConflict.REJECT).enqueue(3)
        with pytest.raises(IdempotencyMismatch):
            await add.using(tx=at.tx, unique_key="k", idempotency_key="i").enqueue(9)
        await at.send("insert into ledger values ('still good')")

    assert {first.id} == {again.id, repeat.id}
    assert [one.kind for one in (first, again, repeat, newer)] == [
        InsertKind.INSERTED,
        InsertKind.EXISTING,
        InsertKind.EXISTING,
        InsertKind.REPLACED,
    ]
    replaced = await draft.job()
    assert (newer.id, replaced.facts.payload, replaced.facts.tags) == (draft.id, '{"a":2}', ("a", "b"))
    assert await count(app) == 2


async def test_savepoint_of_the_program_takes_its_jobs_with_it(app, add, way):
    async with way() as at:
        await add.using(tx=at.tx).enqueue(1)
        await at.send("savepoint mine")
        await add.using(tx=at.tx).enqueue(2)
        await at.send("rollback to savepoint mine")

    assert await count(app) == 1


async def test_many_jobs_go_in_one_call(app, add, way):
    requests = [add.request(n) for n in range(200)]

    async with way() as at:
        handles = await app.enqueue_many(requests, tx=at.tx)

    assert len({handle.id for handle in handles}) == await count(app) == 200


async def test_what_is_read_back_is_what_was_given(app, add, way):
    @app.job()
    async def keep(text: str) -> None: ...

    text = "100 % 'of' \"it\" :jobs $1 %s %(p1)s \\ \u00e4\u4e16\U0001f600 ? \n"
    async with way() as at:
        handle = await keep.using(tx=at.tx, tags=("t",)).enqueue(text)

    job = await handle.job()
    assert (keep.registered.payload.decode(job.facts.payload)["text"], job.facts.tags) == (text, ("t",))


@pytest.mark.parametrize("name", sorted(SYNCHRONOUS))
async def test_synchronous_connections_need_no_loop(app, add, url, name: str):
    """Also not where one runs, as inside ``AsyncSession.run_sync``."""
    async with WAYS[name](url) as at:
        here = add.using(tx=at.tx).enqueue_sync(1)
        (many,) = app.enqueue_many_sync([add.request(2)], tx=at.tx)

    assert {(await here.job()).id, (await many.job()).id} == {here.id, many.id}


@pytest.mark.parametrize("name", sorted(set(WAYS) - SYNCHRONOUS))
async def test_asynchronous_connections_must_be_awaited(app, add, url, name: str):
    async with WAYS[name](url) as at:
        with pytest.raises(MisuseError, match="await"):
            add.using(tx=at.tx).enqueue_sync(1)

    assert await count(app) == 0


def test_program_without_any_loop_enqueues_in_its_own_transaction(url: str):
    """The app is opened by the first call, and knows the types that another program has published."""
    with_code, without = App(url, settings=Settings()), App(url, settings=Settings())

    @with_code.job(name="elsewhere", queue="far")
    def elsewhere(n: int) -> int:
        return n

    async def publish():
        await (await with_code.work()).publish([elsewhere.registered.info])

    with_code.portal.call(publish)
    with psycopg.connect(url) as connection:
        request = EnqueueRequest(type="elsewhere", payload={"n": 1})
        (handle,) = without.enqueue_many_sync([request], tx=connection)

    assert without.portal.call(handle.job).facts.queue == "far"
    for app in (with_code, without):
        app.portal.call(app.close)
        app.portal.close()


async def test_run_sync_of_an_async_session(app, add, url):
    engine = create_async_engine(sqlalchemy_url(url, "asyncpg"), poolclass=NullPool)
    async with AsyncSession(engine) as session, session.begin():
        handle = await session.run_sync(lambda inner: add.using(tx=inner).enqueue_sync(1))

    assert (await handle.job()).id == handle.id


# ------------------------------------------------------------ connections that will not do


async def test_asyncpg_outside_of_a_transaction_is_refused(app, add, url):
    connection = await asyncpg.connect(url)
    with pytest.raises(MisuseError, match="no transaction is open"):
        await add.using(tx=connection).enqueue(1)
    await connection.close()


async def test_psycopg_in_autocommit_mode_is_refused(app, add, url):
    with (
        psycopg.connect(url, autocommit=True) as connection,
        pytest.raises(MisuseError, match="no transaction is open"),
    ):
        await add.using(tx=connection).enqueue(1)


async def test_sqlalchemy_in_autocommit_mode_is_refused(app, add, url):
    engine = sqlalchemy.create_engine(sqlalchemy_url(url, "psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, pytest.raises(MisuseError, match="no transaction is open"):
        await add.using(tx=connection).enqueue(1)
    with Session(engine) as session, pytest.raises(MisuseError, match="no transaction is open"):
        await add.using(tx=session).enqueue(1)
    engine.dispose()

    assert await count(app) == 0


async def test_django_outside_of_atomic_is_refused(app, add, url):
    with django_database(url) as connection, pytest.raises(MisuseError, match=r"atomic\(\)"):
        await add.using(tx=connection).enqueue(1)


@pytest.mark.parametrize("name", sorted(WAYS))
async def test_connection_to_another_database_is_refused(app, add, empty_url, name: str):
    async with WAYS[name](empty_url) as at:
        with pytest.raises(MisuseError, match="this connection is to the database"):
            await add.using(tx=at.tx).enqueue(1)


async def test_connection_to_the_database_of_another_store_is_refused(app, add, tmp_path_factory):
    other = SHARED.url(tmp_path_factory.mktemp("other"))
    async with WAYS["asyncpg"](other) as at:
        with pytest.raises(MisuseError, match="this connection is to the database"):
            await add.using(tx=at.tx).enqueue(1)


async def test_connections_of_sqlite_are_refused_on_postgres(app, add):
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection, Session(engine) as session:
        for stranger in (connection, session):
            with pytest.raises(MisuseError, match="cannot take jobs"):
                await add.using(tx=stranger).enqueue(1)
    engine.dispose()


async def test_transaction_that_has_failed_before_speaks_for_itself(app, add, url):
    connection = await asyncpg.connect(url)
    with pytest.raises(asyncpg.InFailedSQLTransactionError):  # noqa: PT012 - a block is what is tested
        async with connection.transaction():
            with pytest.raises(asyncpg.UndefinedTableError):
                await connection.execute("select 1 from nowhere")
            await add.using(tx=connection).enqueue(1)
    await connection.close()


# ------------------------------------------------------------ two transactions at once


async def test_two_open_transactions_with_the_same_keys_in_other_orders_do_not_deadlock(app, add, url):
    ab = [add.using(unique_key=key).request(1) for key in "ab"]
    one, other = await asyncpg.connect(url), await asyncpg.connect(url)
    for turn in range(10):
        first, second = one.transaction(), other.transaction()
        await first.start()
        await second.start()
        requests = ab if turn % 2 else ab[::-1]
        mine = await app.enqueue_many(requests, tx=one)
        theirs = asyncio.create_task(app.enqueue_many(requests[::-1], tx=other))
        while not theirs.done() and not await waits_for_a_lock(app, url):
            await asyncio.sleep(0.005)
        assert not theirs.done()
        await (first.rollback() if turn % 3 == 0 else first.commit())
        found = await theirs
        await second.rollback()
        if turn % 3:
            assert {handle.id for handle in found} == {handle.id for handle in mine}
            for handle in mine:
                await handle.cancel()
        else:
            assert {handle.kind for handle in found} == {InsertKind.INSERTED}
    await one.close()
    await other.close()


async def waits_for_a_lock(app: App, url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        sql = "select count(*) from pg_locks where not granted"
        return await connection.fetchval(sql) > 0
    finally:
        await connection.close()
