"""What is particular to SQLite: the time limit, the program's own connections, who may not wait inside."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import apsw
import pytest

from headrace import App, Settings
from headrace.core.request import EnqueueRequest
from headrace.engine.work import Claim, Holder
from headrace.errors import MisuseError
from headrace.stores.sqlite import transact_limit
from headrace.stores.sqlite.inbox import Inbox
from headrace.stores.sqlite.transact_limit import TimeLimit
from tests.worker.rig import until

PATIENCE = 60
ENDLESS = "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n"


@pytest.fixture(params=["file", "memory"])
async def app(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[App]:
    url = f"sqlite:///{tmp_path}/jobs.db" if request.param == "file" else "sqlite://"
    async with App(url, settings=Settings()) as opened:
        yield opened
    opened.portal.close()


def add_to(app: App):
    @app.job()
    async def add(a: int) -> int:
        return a

    return add


async def count(app: App) -> int:
    return (await (await app.operations()).stats()).count()


def in_sql(connection):
    connection.execute(ENDLESS).fetchall()


def in_python(connection):
    while True:
        pass


def in_python_that_catches_errors(connection):
    while True:
        try:
            sum(range(100))
        except Exception:
            continue


def in_one_call(connection):
    time.sleep(0.06)


def in_sql_that_hides_the_interruption(connection):
    try:
        connection.execute(ENDLESS).fetchall()
    except apsw.InterruptError:
        return


@pytest.mark.parametrize(
    "endless",
    [in_sql, in_python, in_python_that_catches_errors, in_one_call, in_sql_that_hides_the_interruption],
)
async def test_function_that_takes_too_long_is_ended_and_undone(
    app: App, endless, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(transact_limit, "LIMIT_S", 0.05)
    add = add_to(app)

    def work(connection):
        connection.execute("create table ledger (what text)")
        add.using(tx=connection).enqueue_sync(1)
        endless(connection)

    with pytest.raises(MisuseError, match=r"more than 0\.05 s"):
        await app.transaction(work)

    tables = await app.transaction(
        lambda c: c.execute("select name from sqlite_schema where name = 'ledger'").fetchall()
    )
    assert (tables, await count(app)) == ([], 0)
    await add.enqueue(2)
    assert await count(app) == 1


async def test_limit_is_a_second_unless_a_test_says_otherwise():
    db = apsw.Connection(":memory:")
    assert TimeLimit(db)._seconds == 1.0
    db.close()


async def test_exception_that_comes_too_late_strikes_nobody(app: App, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transact_limit, "LIMIT_S", 0.002)
    outcomes = {"in time": 0, "too long": 0}

    for turn in range(300):

        def work(connection, turn=turn):
            connection.execute("select 1").fetchall()
            until = time.monotonic() + (turn % 40) / 10_000
            while time.monotonic() < until:
                pass

        try:
            await app.transaction(work)
            outcomes["in time"] += 1
        except MisuseError:
            outcomes["too long"] += 1
        await app.wake("default")
        assert await count(app) == 0  # the writer thread lives, and the store answers

    assert sum(outcomes.values()) == 300
    assert outcomes["in time"]
    assert outcomes["too long"]


async def test_others_wait_for_one_function_at_most(app: App, monkeypatch: pytest.MonkeyPatch):
    """Renewals go between two functions, however many wait: each has a commit of its own."""
    add = add_to(app)
    handle = await add.enqueue(1)
    opened = await app.open()
    work = await app.work()
    (job,) = await work.claim(
        Claim(worker="w", queues={"default": 1}, types=frozenset({"add"}), limit=1, lease_ms=30_000)
    )
    until_then = opened.clock.now() + 90_000
    leases: list[int] = []
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    arrived = threading.Event()
    monkeypatch.setattr(transact_limit, "LIMIT_S", PATIENCE)

    def first(connection):
        loop.call_soon_threadsafe(gate.set)
        arrived.wait(PATIENCE)
        later(connection)

    def later(connection):
        leases.append(connection.execute("select lease_until from job").fetchone()[0])

    put, arriving = Inbox[object].put, 0

    def counted(inbox: Inbox[object], what: object) -> bool:
        nonlocal arriving
        arriving += 1
        return put(inbox, what)

    async def renewed():
        async with opened.store.renewer() as renewer:
            holder = Holder(job_id=handle.id, fence=job.fence)
            answer = await renewer.renew([holder], now=opened.clock.now(), lease_until=until_then)
            assert not answer.lost

    under_way = asyncio.create_task(app.transaction(first))
    await gate.wait()
    monkeypatch.setattr(Inbox, "put", counted)
    waiting = [asyncio.create_task(app.transaction(later)) for _ in range(5)]
    await until(lambda: arriving == 5)
    renewal = asyncio.create_task(renewed())
    await until(lambda: arriving == 6)
    arrived.set()
    await asyncio.gather(under_way, renewal, *waiting)

    assert leases == [job.placement.lease_until] + 5 * [until_then]


@pytest.mark.parametrize("how", ["portal", "own loop"])
async def test_function_that_would_wait_for_its_own_transaction_is_refused(app: App, how: str):
    add = add_to(app)

    def work(connection):
        wait = add.enqueue_sync if how == "portal" else lambda a: asyncio.run(add.enqueue(a))
        with pytest.raises(MisuseError, match="wait for the transaction"):
            wait(1)

    await app.transaction(work)

    assert await count(app) == 0


async def test_base_exception_of_a_function_reaches_its_caller_and_nobody_else(app: App):
    def work(connection):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await app.transaction(work)

    assert await count(app) == 0


async def test_rule_of_the_programs_own_speaks_for_itself(app: App):
    def work(connection):
        connection.execute("create table one (n integer primary key)")
        connection.executemany("insert into one values (?)", [(1,), (2,)])
        assert connection.changes() == 1
        assert connection.last_insert_rowid() == 2
        connection.execute("insert into one values (1)")

    with pytest.raises(apsw.ConstraintError, match=r"one\.n"):
        await app.transaction(work)


async def test_statement_that_undoes_everything_is_told(app: App):
    add = add_to(app)

    def work(connection):
        connection.execute("create table one (n integer primary key)")
        connection.execute("insert into one values (1)")
        try:
            connection.execute("insert or rollback into one values (1)")
        except apsw.ConstraintError:
            return

    with pytest.raises(MisuseError, match="undid the transaction"):
        await app.transaction(work)

    await add.enqueue(1)
    assert await count(app) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "pragma synchronous = off",
        "pragma query_only = on",
        "attach ':memory:' as other",
        "release op",
        "rollback to op",
        "savepoint application",
    ],
)
async def test_what_would_change_the_connection_for_others_is_refused(app: App, sql: str):
    def work(connection):
        with pytest.raises(MisuseError):
            connection.execute(sql)
        return connection.execute("pragma table_info(job)").fetchall()

    assert len(await app.transaction(work)) > 5


async def test_savepoints_of_the_connection_are_free_to_use(app: App):
    def work(connection):
        connection.execute("create table ledger (what text)")
        with pytest.raises(ZeroDivisionError), connection:  # noqa: PT012 - a block is what is tested
            connection.execute("insert into ledger values ('undone')")
            raise ZeroDivisionError
        with connection:
            connection.execute("insert into ledger values (?)", ("kept",))
        rows = connection.execute("select what from ledger")
        return rows.fetchone(), rows.fetchone()

    assert await app.transaction(work) == (("kept",), None)


async def test_rows_cannot_be_read_on_after_the_function(app: App):
    kept = []

    def work(connection):
        kept.append(connection.execute("values (1), (2)"))

    await app.transaction(work)

    with pytest.raises(MisuseError, match="only inside"):
        next(kept[0])


async def test_there_is_no_statement_for_other_drivers(app: App):
    with pytest.raises(MisuseError, match=r"app\.transaction"):
        app.insert_statement([add_to(app).request(1)])


async def test_types_of_another_program_are_not_looked_up_inside(app: App):
    request = EnqueueRequest(type="elsewhere", payload={})

    def work(connection):
        with pytest.raises(MisuseError, match="wait for the transaction"):
            app.enqueue_many_sync([request], tx=connection)

    await app.transaction(work)
