"""``.using(tx=pipeline)`` on Redis: jobs in pipelines of redis-py that the program executes itself (C7)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import WatchError
from redis.retry import Retry

from headrace import (
    App,
    DuplicateJob,
    IdempotencyMismatch,
    JobNotFound,
    OnConflict,
    QueueFull,
    Settings,
    State,
)
from headrace.errors import MisuseError
from headrace.stores.values import InsertKind
from tests.servers.behaviours import CutAfter
from tests.servers.proxy import Proxy
from tests.servers.resp import RespCommands
from tests.servers.shared_valkey import SHARED_VALKEY
from tests.servers.valkey import ValkeyServer

PATIENCE = 60


@pytest.fixture
def url() -> str:
    return SHARED_VALKEY.fresh_url()


@pytest.fixture
async def app(url: str) -> AsyncIterator[App]:
    async with App(url, settings=Settings()) as opened:
        await opened.operations()
        yield opened
    opened.portal.close()


@pytest.fixture
async def client(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.from_url(url) as opened:
        yield opened


@pytest.fixture
def sync_client(url: str) -> Iterator[redis.Redis]:
    with closing(redis.from_url(url)) as opened:
        yield opened


@pytest.fixture
def add(app: App):
    @app.job(queue="sums")
    async def add(a: int, b: int = 1) -> int:
        return a + b

    return add


async def count(app: App, *states: State) -> int:
    return (await (await app.operations()).stats()).count(*states)


# ------------------------------------------------------------ there if it is executed


async def test_c7_job_is_there_once_the_pipeline_is_executed_and_runs(app, add, client):
    async with client.pipeline() as pipe:
        pipe.set("order", 42)
        handle = await add.using(tx=pipe).enqueue(3)
        before = (await count(app), await client.get("order"))
        await pipe.execute()

    assert before == (0, None)
    assert await client.get("order") == b"42"
    assert (await handle.job()).facts.queue == "sums"
    async with app.running_worker():
        assert await handle.result(timeout=PATIENCE) == 4


async def test_c7_synchronous_pipeline_takes_jobs_without_a_loop_and_with_one(app, add, sync_client):
    with sync_client.pipeline() as pipe:
        pipe.set("order", 42)
        here = add.using(tx=pipe).enqueue_sync(1)
        there = await add.using(tx=pipe).enqueue(2)
        before = await count(app)
        pipe.execute()

    assert before == 0
    assert {(await here.job()).state, (await there.job()).state} == {State.PENDING}


async def test_c7_pipeline_that_is_dropped_leaves_nothing(app, add, client):
    async with client.pipeline() as pipe:
        pipe.set("order", 42)
        handle = await add.using(tx=pipe).enqueue(3)
        await pipe.reset()
        pipe.set("other", 1)
        await pipe.execute()

    with pytest.raises(JobNotFound):
        await handle.job()
    assert (await client.get("order"), await count(app)) == (None, 0)


async def test_c7_exception_before_it_is_executed_leaves_nothing(app, add, client):
    async def write() -> None:
        async with client.pipeline() as pipe:
            pipe.set("order", 42)
            await add.using(tx=pipe, unique_key="sum").enqueue(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write()

    assert (await client.get("order"), await count(app)) == (None, 0)
    assert (await add.using(unique_key="sum").enqueue(3)).kind is InsertKind.INSERTED


async def test_c7_what_the_program_watches_decides_about_the_job_too(app, add, client):
    async with client.pipeline() as pipe:
        await pipe.watch("stock")
        stock = int(await pipe.get("stock") or 5)
        pipe.multi()
        pipe.set("stock", stock - 1)
        await add.using(tx=pipe).enqueue(3)
        await client.set("stock", 7)
        with pytest.raises(WatchError):
            await pipe.execute()

    assert (await client.get("stock"), await count(app)) == (b"7", 0)


async def test_c7_server_that_is_killed_before_it_hears_of_it_has_nothing(tmp_path):
    kept = {"appendonly": "yes", "appendfsync": "always"}
    with ValkeyServer.start(tmp_path, settings=kept) as server:
        async with App(server.url(), settings=Settings()) as app:

            @app.job()
            async def add(a: int) -> int:
                return a

            async with redis.asyncio.from_url(server.url()) as client:
                pipe = client.pipeline()
                await add.using(tx=pipe, unique_key="sum").enqueue(1)
                server.kill()
                with pytest.raises((WatchError, redis.ConnectionError)):
                    await pipe.execute()
                server.restart()

                async with client.pipeline() as again:
                    handle = await add.using(tx=again, unique_key="sum").enqueue(1)
                    await again.execute()

            assert handle.kind is InsertKind.INSERTED
            assert await count(app) == 1


async def test_many_jobs_in_one_pipeline_add_two_answers(app, add, client):
    async with client.pipeline() as pipe:
        pipe.set("order", 42)
        handles = await app.enqueue_many([add.request(n) for n in range(300)], tx=pipe)
        pipe.get("order")
        answers = await pipe.execute()

    assert (await count(app), len({handle.id for handle in handles})) == (300, 300)
    assert (len(answers), answers[0], answers[-1]) == (4, True, b"42")


@pytest.mark.parametrize("delivered", [True, False])
async def test_job_is_there_once_though_the_driver_executes_again(app, add, url, delivered: bool):
    """The driver repeats a transaction whose reply was lost: then all of it is done twice but our part."""
    with Proxy(url, framing=RespCommands) as proxy:
        retry = redis.asyncio.retry.Retry(NoBackoff(), 2)
        async with redis.asyncio.from_url(proxy.url, retry=retry) as client:
            pipe = client.pipeline()
            handle = await add.using(tx=pipe).enqueue(3)
            cut = CutAfter(counts=lambda message: b"EXEC" in message, delivered=delivered)
            proxy.set(cut, lambda connection: connection.number == 1)
            await pipe.execute()

    assert await count(app) == 1
    assert (await handle.job()).state is State.PENDING


async def test_workers_are_woken_by_the_execution(app, add, client):
    opened = await app.open()
    async with App(app.settings.url, settings=Settings()) as other:
        elsewhere = (await other.open()).store
        await elsewhere.check()  # it listens from here on
        pipe = client.pipeline()
        await add.using(tx=pipe).enqueue(3)
        waiting = asyncio.create_task(
            elsewhere.woken(opened.operations.namespace, frozenset({"sums"}), timeout_ms=PATIENCE * 1000)
        )
        await asyncio.sleep(0)
        await pipe.execute()

        assert await waiting is True


# ------------------------------------------------------------ keys


async def test_unique_key_that_is_taken_before_the_execution_undoes_it_all(app, add, client):
    async with client.pipeline() as pipe:
        pipe.set("order", 42)
        await add.using(tx=pipe, unique_key="sum").enqueue(1)
        first = await add.using(unique_key="sum").enqueue(2)
        with pytest.raises(WatchError):
            await pipe.execute()

        pipe.set("order", 43)
        again = await add.using(tx=pipe, unique_key="sum").enqueue(1)
        await pipe.execute()

    assert (again.id, again.kind) == (first.id, InsertKind.EXISTING)
    assert (await client.get("order"), await count(app)) == (b"43", 1)


async def test_unique_key_counts_among_the_jobs_that_wait_in_the_pipeline(app, add, sync_client):
    with sync_client.pipeline() as pipe:
        first = add.using(tx=pipe, unique_key="sum").enqueue_sync(1)
        again = add.using(tx=pipe, unique_key="sum").enqueue_sync(2)
        pipe.reset()
        anew = add.using(tx=pipe, unique_key="sum").enqueue_sync(3)
        pipe.execute()
        after = add.using(tx=pipe, unique_key="sum").enqueue_sync(4)

    assert (first.kind, again.kind, again.id) == (InsertKind.INSERTED, InsertKind.EXISTING, first.id)
    assert (anew.kind, after.kind, after.id) == (InsertKind.INSERTED, InsertKind.EXISTING, anew.id)
    assert await count(app) == 1


async def test_refused_key_leaves_the_pipeline_as_it_was(app, add, client):
    existing = await add.using(unique_key="sum").enqueue(1)
    async with client.pipeline() as pipe:
        pipe.set("order", 42)
        with pytest.raises(DuplicateJob) as refused:
            await add.using(tx=pipe, unique_key="sum", on_conflict=OnConflict.REJECT).enqueue(2)
        answers = await pipe.execute()

    assert (refused.value.existing_id, answers, await count(app)) == (existing.id, [True], 1)


async def test_waiting_job_is_replaced_twice_by_one_pipeline(app, add, client):
    drafting = {"unique_key": "draft", "on_conflict": OnConflict.REPLACE, "delay": 60}
    draft = await add.using(**drafting).enqueue(1)
    async with client.pipeline() as pipe:
        second = await add.using(tx=pipe, **drafting).enqueue(2)
        third = await add.using(tx=pipe, **drafting).enqueue(3)
        before = (await draft.job()).facts.payload
        await pipe.execute()

    assert (second.kind, third.kind) == (InsertKind.REPLACED, InsertKind.REPLACED)
    assert (before, (await draft.job()).facts.payload) == ('{"a":1}', '{"a":3}')
    assert await count(app) == 1


async def test_job_that_starts_before_its_replacement_is_executed_undoes_that(app, add, client):
    drafting = {"unique_key": "draft", "on_conflict": OnConflict.REPLACE}
    draft = await add.using(**drafting).enqueue(1)
    async with client.pipeline() as pipe:
        await add.using(tx=pipe, **drafting).enqueue(2)
        async with app.running_worker():
            assert await draft.result(timeout=PATIENCE) == 2
        with pytest.raises(WatchError):
            await pipe.execute()

    assert (await draft.job()).facts.payload == '{"a":1}'


async def test_idempotency_key_holds_when_the_pipeline_is_executed_and_only_then(app, add, client):
    keyed = {"idempotency_key": "order-1"}
    async with client.pipeline() as pipe:
        await add.using(tx=pipe, **keyed).enqueue(1)
        await pipe.reset()
        first = await add.using(tx=pipe, **keyed).enqueue(2)
        within = await add.using(tx=pipe, **keyed).enqueue(2)
        await pipe.execute()
        again = await add.using(tx=pipe, **keyed).enqueue(2)
        with pytest.raises(IdempotencyMismatch):
            await add.using(tx=pipe, **keyed).enqueue(3)

    assert (first.kind, within.id, again.id) == (InsertKind.INSERTED, first.id, first.id)


async def test_c8_pipeline_is_refused_a_job_where_no_room_is_left(app, add, client):
    app.queue("sums", max_length=1)
    await add.enqueue(1)
    async with client.pipeline() as pipe:
        with pytest.raises(QueueFull):
            await add.using(tx=pipe).enqueue(2)

        assert len(pipe) == 0


# ------------------------------------------------------------ what is refused


async def test_pipeline_that_is_no_transaction_is_refused(app, add, client):
    with pytest.raises(MisuseError, match="transaction=True"):
        await add.using(tx=client.pipeline(transaction=False)).enqueue(1)

    assert await count(app) == 0


async def test_pipeline_that_does_everything_at_once_is_refused(app, add, client):
    async with client.pipeline() as pipe:
        await pipe.watch("stock")
        with pytest.raises(MisuseError, match="multi"):
            await add.using(tx=pipe).enqueue(1)

    assert await count(app) == 0


async def test_clients_and_pipelines_of_other_places_are_refused(app, add, client, url):
    with pytest.raises(MisuseError, match="type Redis"):
        await add.using(tx=client).enqueue(1)
    async with (
        redis.asyncio.from_url(SHARED_VALKEY.fresh_url()) as elsewhere,
        elsewhere.pipeline() as pipe,
    ):
        with pytest.raises(MisuseError, match="are not"):
            await add.using(tx=pipe).enqueue(1)
    async with App(f"{url}?prefix=other", settings=Settings()) as other:
        await other.operations()

        async def work(pipe) -> None:
            await add.using(tx=pipe).enqueue(1)

        with pytest.raises(MisuseError, match="TransactionPipeline"):
            await other.transaction(work)


async def test_asynchronous_pipeline_cannot_be_used_synchronously(app, add, client):
    with pytest.raises(MisuseError, match="asynchronous"):
        add.using(tx=client.pipeline()).enqueue_sync(1)


async def test_there_is_no_statement_that_inserts_jobs(app, add):
    with pytest.raises(MisuseError, match="using"):
        app.insert_statement([add.request(1)])


# ------------------------------------------------------------ a server without memory


async def test_c7_full_server_does_not_execute_what_frees_memory_without_the_job():
    """Its memory fills up when all is sent but EXEC: else it would delete, and refuse the script alone."""
    with ValkeyServer.start(settings={"maxmemory": "8mb", "maxmemory-policy": "noeviction"}) as server:
        async with App(server.url(), settings=Settings()) as app:

            @app.job()
            async def add(a: int) -> int:
                return a

            await app.operations()
            with closing(redis.from_url(server.url(), retry=Retry(NoBackoff(), 0))) as client:
                client.set("order", 42)
                with client.pipeline() as pipe:
                    pipe.delete("order")
                    add.using(tx=pipe).enqueue_sync(1)
                    connection = client.connection_pool.get_connection()
                    for command in [("MULTI",), *(args for args, _ in pipe.command_stack)]:
                        connection.send_command(*command)
                        connection.read_response()
                    server.run("CONFIG", "SET", "maxmemory", "1mb")
                    connection.send_command("EXEC")
                    with pytest.raises(redis.ResponseError, match="OOM"):
                        connection.read_response()
                    client.connection_pool.release(connection)

                assert client.get("order") == b"42"
                server.run("CONFIG", "SET", "maxmemory", "0")
            assert await count(app) == 0
