"""``app.transaction`` and ``ctx.transaction`` on Redis: what only its pipelines have, and lost replies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest
from redis.exceptions import ResponseError

from headrace import App, Context, OrderBy, Settings, State
from headrace.core.job import AttemptOutcome
from headrace.errors import MisuseError, OutcomeUnknown, StoreFull, StoreUnavailable
from tests.engine.scenes import ONCE, PATIENCE, Scene, arrives, ended, outcomes, settings
from tests.engine.transacting import Inside, Program
from tests.servers.behaviours import CutAfter, Pass
from tests.servers.proxy import Proxy
from tests.servers.resp import RespCommands
from tests.servers.shared_valkey import SHARED_VALKEY
from tests.servers.valkey import ValkeyServer, client_of


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    async with App(SHARED_VALKEY.fresh_url(), settings=Settings()) as app:
        yield Program.on("redis", app)
    app.portal.close()


@pytest.fixture
def add(program: Program):
    @program.app.job(queue="sums")
    async def add(a: int, b: int = 1) -> int:
        return a + b

    return add


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def count(program: Program, *states: State) -> int:
    return (await (await program.app.operations()).stats()).count(*states)


async def read(program: Program, key: str) -> str | None:
    async def work(pipe: Any) -> str | None:
        await pipe.watch(key)
        return await pipe.get(key)

    return await program.app.transaction(work)


# ------------------------------------------------------------ what a function reads


async def test_function_runs_again_where_what_it_has_watched_changed(program, add):
    runs = 0

    async def work(pipe: Any) -> int:
        nonlocal runs
        runs += 1
        await pipe.watch("stock")
        left = int(await pipe.get("stock") or 0)
        pipe.multi()
        pipe.set("stock", left + 1)
        await add.using(tx=pipe).enqueue(left)
        return left

    seen = await asyncio.gather(*(program.app.transaction(work) for _ in range(8)))

    assert sorted(seen) == list(range(8))
    assert (await read(program, "stock"), await count(program)) == ("8", 8)
    assert runs >= 8


async def test_function_runs_again_where_a_unique_key_was_taken_meanwhile(program, add):
    async def work(pipe: Any) -> str:
        pipe.rpush("ledger", "one")
        handle = await add.using(tx=pipe, unique_key="sum").enqueue(1)
        taken.append((await add.using(unique_key="sum").enqueue(2)).id)
        return handle.id

    taken: list[str] = []

    assert await program.app.transaction(work) == taken[0]
    assert (await program.ledger(), await count(program), len(taken)) == (["one"], 1, 2)


async def test_enqueue_while_everything_is_done_at_once_is_refused(program, add):
    async def work(pipe: Any) -> None:
        await pipe.watch("stock")
        with pytest.raises(MisuseError, match="multi"):
            await add.using(tx=pipe).enqueue(1)

    await program.app.transaction(work)

    assert await count(program) == 0


async def test_answers_to_reads_are_texts_as_the_driver_makes_them(program):
    async def write(pipe: Any) -> None:
        pipe.hset("order", mapping={"number": 42, "name": "Zoë"})
        pipe.sadd("tags", "new")

    async def look(pipe: Any) -> tuple[Any, Any]:
        await pipe.watch("order", "tags")
        return await pipe.hgetall("order"), await pipe.smembers("tags")

    await program.app.transaction(write)

    assert await program.app.transaction(look) == ({"number": "42", "name": "Zoë"}, {"new"})


async def test_registered_script_runs_in_the_transaction(program):
    async def work(pipe: Any) -> None:
        await pipe.register_script("redis.call('RPUSH', KEYS[1], ARGV[1])")(
            keys=["ledger"], args=["one"], client=pipe
        )

    await program.app.transaction(work)

    assert await program.ledger() == ["one"]


# ------------------------------------------------------------ what a function may not do


@pytest.mark.parametrize("name", ["execute", "reset", "aclose", "unwatch", "discard"])
async def test_function_may_not_end_the_transaction(program, add, name: str):
    async def work(pipe: Any) -> None:
        await pipe.watch("stock")
        pipe.multi()
        pipe.rpush("ledger", "one")
        await add.using(tx=pipe).enqueue(1)
        with pytest.raises(MisuseError, match="refused here"):
            await getattr(pipe, name)()

    await program.app.transaction(work)

    assert (await program.ledger(), await count(program)) == (["one"], 1)


@pytest.mark.parametrize("command", ["EXEC", "multi", "SELECT", "RESET"])
async def test_function_may_not_change_the_connection(program, command: str):
    async def work(pipe: Any) -> None:
        with pytest.raises(MisuseError, match="refused here"):
            pipe.execute_command(command, 1)

    await program.app.transaction(work)


async def test_pipeline_is_good_only_inside_the_function(program, add):
    kept: list[Any] = []

    async def work(pipe: Any) -> None:
        kept.append(pipe)

    await program.app.transaction(work)

    with pytest.raises(MisuseError, match="only inside"):
        kept[0].set("order", 42)
    with pytest.raises(MisuseError, match="only inside"):
        await kept[0].watch("order")
    with pytest.raises(MisuseError, match="only inside"):
        await add.using(tx=kept[0]).enqueue(1)


async def test_command_that_cannot_be_undoes_everything_and_is_told_as_it_is(program, add):
    async def work(pipe: Any) -> None:
        pipe.rpush("ledger", "one")
        await add.using(tx=pipe).enqueue(1)
        pipe.execute_command("NOSUCHCOMMAND")

    with pytest.raises(ResponseError, match="unknown command"):
        await program.app.transaction(work)

    assert (await program.ledger(), await count(program)) == ([], 0)


async def test_command_that_fails_when_it_is_executed_is_told_and_the_rest_is_there(program, add):
    """Redis undoes nothing then; so the page about transactions says."""

    async def work(pipe: Any) -> None:
        pipe.rpush("ledger", "one")
        pipe.incr("ledger")
        await add.using(tx=pipe).enqueue(1)

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await program.app.transaction(work)

    assert (await program.ledger(), await count(program)) == (["one"], 1)


# ------------------------------------------------------------ a handler's transaction


async def test_open_transactions_of_handlers_stop_nobody(program, add, scene):
    """More functions than connections are open for as long as they like, and all else goes on."""
    inside = 0

    @program.app.job()
    async def book(ctx: Context, n: int) -> int:
        async def work(pipe: Any) -> int:
            nonlocal inside
            await pipe.watch(f"order:{n}")
            inside += 1
            if inside == 10:
                scene.inside.set()
            await scene.go_on.wait()
            pipe.multi()
            pipe.rpush("ledger", n)
            return n

        return await ctx.transaction(work)

    handles = [await book.enqueue(n) for n in range(12)]
    async with program.app.running_worker(settings(lease_ms=1_000, renew_every_ms=200)):
        await arrives(scene.inside)
        for n in range(20):
            assert await (await add.enqueue(n)).result(timeout=PATIENCE) == n + 1
        scene.go_on.set()
        jobs = [await ended(program, one) for one in handles]

    assert {(job.state, job.placement.crashes) for job in jobs} == {(State.COMPLETED, 0)}
    assert await program.ledger() == sorted(str(n) for n in range(12))


async def test_next_job_of_an_ordering_key_comes_back_when_one_is_completed(program):
    ran: list[int] = []

    @program.app.job(order_by=OrderBy("key"))
    async def book(ctx: Context, key: str, n: int) -> int:
        async def work(pipe: Any) -> int:
            pipe.rpush("ledger", n)
            return n

        ran.append(n)
        return await ctx.transaction(work)

    handles = [await book.enqueue("one", n) for n in range(5)]
    async with program.app.running_worker(settings()):
        assert [await one.result(timeout=PATIENCE) for one in handles] == list(range(5))

    assert ran == list(range(5))


async def test_failing_command_of_a_handler_is_told_and_its_job_is_completed(program, scene):
    @program.app.job(retry=ONCE)
    async def book(ctx: Context) -> None:
        async def work(pipe: Any) -> None:
            pipe.rpush("ledger", "one")
            pipe.incr("ledger")

        try:
            await ctx.transaction(work)
        except ResponseError as error:
            scene.said.append(str(error))
            raise

    handle = await book.enqueue()
    async with program.app.running_worker(settings()):
        job = await ended(program, handle)

    assert len(scene.said) == 1
    assert job.state is State.COMPLETED
    assert await outcomes(program, handle.id) == [AttemptOutcome.SUCCEEDED]


def executes(message: bytes) -> bool:
    return b"EXEC\r\n" in message


@pytest.mark.usefixtures("no_hints")
@pytest.mark.parametrize("delivered", [True, False], ids=["it arrives", "it is lost"])
async def test_lost_reply_of_the_execution_is_told_and_the_store_knows(scene, delivered: bool):
    url = SHARED_VALKEY.fresh_url()
    with Proxy(url, framing=RespCommands) as proxy, closing(client_of(url)) as direct:
        async with App(proxy.url, settings=Settings()) as app:
            program = Program.on("redis", app)

            @app.job()
            async def book(ctx: Context) -> str:
                async def body(tx: Inside):
                    await tx.connection.watch("ledger")
                    tx.connection.multi()
                    await tx.note(f"attempt {ctx.attempt}")
                    if ctx.attempt == 1:
                        proxy.set(CutAfter(counts=executes, delivered=delivered))
                    return f"attempt {ctx.attempt}"

                try:
                    return await ctx.transaction(program.work(body))
                except OutcomeUnknown:
                    scene.said.append("unknown")
                    while delivered and not direct.exists(
                        "ledger"
                    ):  # a report would be faster than the server
                        await asyncio.sleep(0.005)
                    raise
                finally:
                    proxy.set(Pass())

            handle = await book.enqueue()
            async with app.running_worker(settings()):
                result = await handle.result(timeout=PATIENCE)
            ledger = await program.ledger()
        app.portal.close()

    assert scene.said == ["unknown"]
    done = "attempt 1" if delivered else "attempt 2"
    assert (result, ledger) == (done, [done])


# ------------------------------------------------------------ a server that cannot


async def test_c7_transaction_on_a_server_without_memory_leaves_nothing():
    with ValkeyServer.start(settings={"maxmemory": "8mb", "maxmemory-policy": "noeviction"}) as server:
        async with App(server.url(), settings=Settings()) as app:
            program = Program.on("redis", app)
            await program.transaction(lambda tx: tx.note("kept"))

            @app.job()
            async def add(a: int) -> int:
                return a

            async def work(pipe: Any) -> None:
                pipe.delete("ledger")
                await add.using(tx=pipe).enqueue(1)
                server.run("CONFIG", "SET", "maxmemory", "1mb")

            with pytest.raises(StoreFull):
                await app.transaction(work)

            server.run("CONFIG", "SET", "maxmemory", "0")
            assert await program.ledger() == ["kept"]


async def test_c7_server_that_is_killed_inside_the_function_has_nothing_of_it(tmp_path):
    kept = {"appendonly": "yes", "appendfsync": "always"}
    with ValkeyServer.start(tmp_path, settings=kept) as server:
        async with App(server.url(), settings=Settings()) as app:
            program = Program.on("redis", app)

            async def work(pipe: Any) -> None:
                await pipe.watch("ledger")
                pipe.multi()
                pipe.rpush("ledger", "one")
                server.kill()

            with pytest.raises((StoreUnavailable, OutcomeUnknown)):
                await app.transaction(work)

            server.restart()
            assert await program.ledger() == []
