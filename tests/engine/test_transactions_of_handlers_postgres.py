"""``ctx.transaction`` on PostgreSQL: functions that take long, limits, and a lost reply of the commit."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from headrace import App, Context, LeaseLost, Settings, State
from headrace.core.job import AttemptOutcome
from headrace.errors import MisuseError, OutcomeUnknown
from tests.engine.scenes import ONCE, PATIENCE, Scene, arrives, ended, outcomes, rescue, settings
from tests.engine.transacting import Inside, Program
from tests.servers.behaviours import CutAfter, Pass
from tests.servers.proxy import Proxy
from tests.servers.shared import SHARED
from tests.worker.rig import until


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
async def on_postgres(tmp_path) -> AsyncIterator[Program]:
    async with App(SHARED.url(tmp_path), settings=Settings()) as app:
        one = Program(app, waits=True)
        await one.make_ledger()
        yield one
    app.portal.close()


async def test_open_transactions_of_handlers_stop_nobody(on_postgres, scene):
    """More functions than connections are open for longer than a lease, and all else goes on."""
    program = on_postgres
    open_ = 0

    @program.app.job()
    async def book(ctx: Context, n: int) -> int:
        async def body(tx: Inside):
            nonlocal open_
            open_ += 1
            if open_ == 5:
                scene.inside.set()
            await tx.note(f"{n}")
            await scene.go_on.wait()
            return n

        return await ctx.transaction(program.work(body))

    @program.app.job()
    async def quick(n: int) -> int:
        return n

    handles = [await book.enqueue(n) for n in range(8)]
    fast = settings(lease_ms=1_000, renew_every_ms=200)
    async with program.app.running_worker(fast):
        await arrives(scene.inside)
        leases = {one.id: (await one.job()).placement.lease_until or 0 for one in handles}
        for n in range(20):
            assert await (await quick.enqueue(n)).result(timeout=PATIENCE) == n
        async with asyncio.timeout(PATIENCE):
            for one in handles:
                while ((await one.job()).placement.lease_until or 0) <= leases[one.id] + 1_000:
                    await asyncio.sleep(0.01)
        assert {one.fence for one in [await one.job() for one in handles]} == {1}
        cancelled = handles[0]
        await cancelled.cancel()
        scene.go_on.set()
        jobs = [await ended(program, one) for one in handles]

    assert {job.placement.crashes for job in jobs} == {0}
    assert {job.state for job in jobs[1:]} == {State.COMPLETED}
    written = {f"{n}" for n, job in enumerate(jobs) if job.state is State.COMPLETED}
    assert set(await program.ledger()) == written


@pytest.mark.usefixtures("no_hints")
async def test_zombie_is_found_at_the_last_statement(on_postgres, scene):
    program = on_postgres

    @program.app.job()
    async def book(ctx: Context) -> None:
        async def body(tx: Inside):
            await tx.note("zombie")
            scene.inside.set()
            await scene.go_on.wait()

        try:
            await ctx.transaction(program.work(body))
        except LeaseLost:
            scene.said.append("lost")
            raise

    handle = await book.enqueue()
    async with program.app.running_worker(settings()):
        await arrives(scene.inside)
        await rescue(program, handle.id)
        scene.go_on.set()
        await until(lambda: bool(scene.said))

    assert await program.ledger() == []


async def test_time_limit_undoes_the_transaction_of_its_handler(on_postgres, scene):
    program = on_postgres

    @program.app.job(timeout=0.2, retry=ONCE)
    async def book(ctx: Context) -> None:
        async def body(tx: Inside):
            await tx.note("too long")
            try:
                await asyncio.Event().wait()
            finally:
                scene.said.append("stopped")

        await ctx.transaction(program.work(body))

    handle = await book.enqueue()
    async with program.app.running_worker(settings()):
        job = await ended(program, handle)
        await until(lambda: bool(scene.said))

    assert (job.state, await program.ledger()) == (State.FAILED, [])
    assert await outcomes(program, handle.id) == [AttemptOutcome.TIMED_OUT]


async def test_what_a_function_sets_for_its_session_is_gone_for_the_next(on_postgres):
    async def careless(connection: Any) -> None:
        await connection.execute("set search_path to pg_catalog")
        await connection.execute("select pg_advisory_lock(7)")

    async def look(connection: Any) -> tuple[str, int, str]:
        return (
            await connection.fetchval("show search_path"),
            await connection.fetchval("select count(*) from pg_locks where locktype = 'advisory'"),
            await connection.fetchval("show enable_seqscan"),
        )

    await on_postgres.app.transaction(careless)

    assert await on_postgres.app.transaction(look) == ('"$user", public', 0, "on")


@pytest.mark.parametrize("name", ["close", "terminate", "reset", "add_listener", "set_type_codec"])
async def test_what_is_others_business_is_refused(on_postgres, name: str):
    async def meddle(connection: Any) -> None:
        with pytest.raises(MisuseError, match="refused here"):
            getattr(connection, name)

    await on_postgres.app.transaction(meddle)


async def test_rule_that_is_checked_at_the_commit_speaks_for_itself(on_postgres):
    async def body(connection: Any) -> None:
        await connection.execute("create table one (n int primary key deferrable initially deferred)")
        await connection.execute("insert into one values (1), (1)")

    with pytest.raises(asyncpg.UniqueViolationError):
        await on_postgres.app.transaction(body)


# ------------------------------------------------------------ PostgreSQL: the reply of the commit is lost


def is_commit(message: bytes) -> bool:
    return b"COMMIT;" in message


@pytest.mark.usefixtures("no_hints")
@pytest.mark.parametrize("delivered", [True, False], ids=["commit arrives", "commit is lost"])
async def test_lost_reply_of_the_commit_is_told_and_the_store_knows(tmp_path, scene, delivered: bool):
    url = SHARED.url(tmp_path)
    with Proxy(url) as proxy:
        async with App(f"{proxy.url}?pool=2", settings=Settings()) as app:
            program = Program(app, waits=True)
            await program.make_ledger()

            @app.job()
            async def book(ctx: Context) -> str:
                async def body(tx: Inside):
                    await tx.note(f"attempt {ctx.attempt}")
                    if ctx.attempt == 1:
                        proxy.set(CutAfter(counts=is_commit, delivered=delivered))
                    return f"attempt {ctx.attempt}"

                try:
                    return await ctx.transaction(program.work(body))
                except OutcomeUnknown:
                    scene.said.append("unknown")
                    raise
                finally:
                    proxy.set(Pass())

            handle = await book.enqueue()
            # opens both connections now: the commit of an opening would be taken for the one that counts
            await asyncio.gather(handle.job(), handle.job())
            async with app.running_worker(settings()):
                result = await handle.result(timeout=PATIENCE)
            ledger = await program.ledger()
        app.portal.close()

    assert scene.said == ["unknown"]
    assert (
        ([result], ledger) == (["attempt 1"], ["attempt 1"]) if delivered else (["attempt 2"], ["attempt 2"])
    )
