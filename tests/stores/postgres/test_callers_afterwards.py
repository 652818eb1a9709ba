"""Wake-ups after the commits of other libraries, and the one statement for all other drivers."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import psycopg
import pytest
import sqlalchemy
from django.db import transaction
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from headrace import App, OnConflict, Settings
from headrace.errors import InvalidInput
from tests.stores.postgres.calling import ALIAS, WAYS, Undo, django_database, sqlalchemy_url

PATIENCE = 60


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


async def count(app: App) -> int:
    return (await (await app.operations()).stats()).count()


async def happened_at(app: App, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    store = (await app.open()).store
    happened: list[object] = []
    monkeypatch.setattr(store, "wake", lambda namespace, queues: happened.append(queues))
    return happened


HOOKED = ["django", "sqlalchemy session", "sqlalchemy async session"]


@pytest.mark.parametrize("name", HOOKED)
async def test_libraries_with_a_hook_wake_after_the_commit(app, add, url, name: str, monkeypatch):
    happened = await happened_at(app, monkeypatch)
    async with WAYS[name](url) as at:
        await add.using(tx=at.tx).enqueue(1)
        await at.send("select 1")
        happened.append("block ends")

    assert happened == ["block ends", frozenset({"sums"})]


@pytest.mark.parametrize("name", sorted(WAYS))
async def test_undone_transaction_wakes_nobody(app, add, url, name: str, monkeypatch):
    happened = await happened_at(app, monkeypatch)
    with pytest.raises(Undo):  # noqa: PT012 - a block is what is tested
        async with WAYS[name](url) as at:
            await add.using(tx=at.tx).enqueue(1)
            raise Undo

    assert happened == []


async def test_session_wakes_for_each_transaction_and_not_for_savepoints(app, add, url, monkeypatch):
    happened = await happened_at(app, monkeypatch)
    engine = sqlalchemy.create_engine(sqlalchemy_url(url, "psycopg"), poolclass=NullPool)
    with Session(engine) as session:
        with session.begin():
            with session.begin_nested():
                await add.using(tx=session).enqueue(1)
            happened.append("savepoint ends")
            with pytest.raises(Undo), session.begin_nested():
                raise Undo
        with session.begin():
            happened.append("nothing in it")
        with pytest.raises(Undo), session.begin():  # noqa: PT012 - a block is what is tested
            await add.using(tx=session).enqueue(2)
            raise Undo
        with session.begin():
            await add.using(tx=session).enqueue(3)

    woken = frozenset({"sums"})
    assert happened == ["savepoint ends", woken, "nothing in it", woken]


def test_commit_without_a_loop_tells_other_processes_too(url: str, monkeypatch: pytest.MonkeyPatch):
    app = App(url, settings=Settings())

    @app.job(queue="sums")
    def add(a: int) -> int:
        return a

    store = app.portal.call(app.open).store
    loops: list[asyncio.AbstractEventLoop] = []

    async def told() -> bool:
        return bool(loops)

    monkeypatch.setattr(store, "wake", lambda *_: loops.append(asyncio.get_running_loop()))
    with django_database(url) as connection, transaction.atomic(using=ALIAS):
        add.using(tx=connection).enqueue_sync(1)
        assert loops == []

    assert app.portal.call(told)
    app.portal.call(app.close)
    app.portal.close()


# ------------------------------------------------------------ one statement for all other drivers


async def test_statement_inserts_jobs_by_any_driver(app, add, url):
    requests = [add.using(unique_key=f"k{n}", tags=("t",)).request(n) for n in range(3)]
    numeric = app.insert_statement(requests[:1])
    by_place = app.insert_statement(requests[1:2], style="format")
    by_name = app.insert_statement(requests[2:], style="named")

    connection = await asyncpg.connect(url)
    await connection.execute(numeric.sql, *numeric.params)
    await connection.close()
    with psycopg.connect(url) as sync:
        sync.execute(by_place.sql, by_place.params)
    engine = sqlalchemy.create_engine(sqlalchemy_url(url, "psycopg"), poolclass=NullPool)
    with engine.begin() as other:
        other.execute(sqlalchemy.text(by_name.sql), by_name.params)

    async with app.running_worker():
        operations = await app.operations()
        async with asyncio.timeout(PATIENCE):
            while (await operations.stats()).count() != 3 or any(
                state.counts.get(one, 0)
                for state in await operations.queues()
                for one in state.counts
                if one.value in {"pending", "processing"}
            ):
                await app.wake("sums")
                await asyncio.sleep(0.005)
    assert await count(app) == 3


async def test_statement_fails_on_a_unique_key_that_is_held(app, add, url):
    await add.using(unique_key="k").enqueue(1)
    statement = app.insert_statement([add.request(1), add.using(unique_key="k").request(2)])

    connection = await asyncpg.connect(url)
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(statement.sql, *statement.params)
    await connection.close()

    assert await count(app) == 1


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"idempotency_key": "i"}, "idempotency_key"),
        ({"unique_key": "k", "period": 60}, "period"),
        ({"unique_key": "k", "on_conflict": OnConflict.REPLACE}, "on_conflict"),
    ],
)
async def test_statement_refuses_what_takes_more_than_inserting(app, add, options, field: str):
    with pytest.raises(InvalidInput) as refused:
        app.insert_statement([add.request(1), add.using(**options).request(2)])

    assert (refused.value.field, refused.value.index) == (field, 1)
