"""A worker whose handlers complete jobs in transactions: ``python -m tests.crash.transactions_storm URL``.

Each handler writes one row into a ledger that has no constraint at all. The process may be told to kill
itself at the worst moment: all is written, the completion of the job too, and nothing is committed yet.
"""

import asyncio
import os
import random
import signal
import sys
from typing import Any

import asyncpg

from headrace.clock import StoreClock
from headrace.engine.context import Context
from headrace.engine.local import LocalOperations
from headrace.engine.registry import JobOptions, Registry, registered
from headrace.engine.work import LocalWork
from headrace.stores.open import open_store
from headrace.stores.redis.connecting import Connection
from headrace.stores.sqlite import committing
from headrace.upkeep.upkeep import Upkeep, usual_chores
from headrace.worker.settings import WorkerSettings
from headrace.worker.signals import run_until_signalled
from headrace.worker.worker import Worker

LEASE_MS = 1_000
CHANCE = "HEADRACE_TEST_DEATHS_BEFORE_COMMIT"

registry = Registry()
chance = float(os.environ.get(CHANCE, "0"))


async def on_postgres(ctx: Context, ms: int) -> str:
    async def book(connection: Any) -> str:
        await connection.execute("insert into ledger (job, pid) values ($1, $2)", ctx.job.id, os.getpid())
        await asyncio.sleep(ms / 1000)
        return ctx.job.id

    return await ctx.transaction(book)


async def on_sqlite(ctx: Context, ms: int) -> str:
    def book(connection: Any) -> str:
        connection.execute("insert into ledger (job, pid) values (?, ?)", (ctx.job.id, os.getpid()))
        return ctx.job.id

    await asyncio.sleep(ms / 1000)
    return await ctx.transaction(book)


async def on_redis(ctx: Context, ms: int) -> str:
    async def book(pipe: Any) -> str:
        pipe.rpush("ledger", ctx.job.id)
        await asyncio.sleep(ms / 1000)
        return ctx.job.id

    return await ctx.transaction(book)


def die_before_commits() -> None:
    """Puts death between the last statement of a handler's transaction and its commit."""
    commit = asyncpg.transaction.Transaction.commit

    async def dying_commit(self: Any) -> None:
        if self._isolation == "read_committed":  # those of handlers say it, the store's own do not
            die_perhaps()
        await commit(self)

    asyncpg.transaction.Transaction.commit = dying_commit
    run = committing.run

    def dying_run(db: Any, query: str, values: Any = ()) -> Any:
        if query == "commit" and next(iter(db.execute("select 1 from temp.wrote limit 1")), None):
            db.execute("delete from temp.wrote")
            die_perhaps()
        return run(db, query, values)

    committing.run = dying_run
    ask_all = Connection.ask_all

    async def dying_ask_all(self: Any, commands: Any) -> Any:
        is_of_a_handler = commands[0][0] == "MULTI" and commands[1][0] == "RPUSH"
        if is_of_a_handler and random.random() < chance:
            await ask_all(self, commands[:-1])  # all but EXEC
            os.kill(os.getpid(), signal.SIGKILL)
        return await ask_all(self, commands)

    Connection.ask_all = dying_ask_all


def die_perhaps() -> None:
    if random.random() < chance:
        os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str) -> int:
    handler = {"postgresql": on_postgres, "redis": on_redis}.get(url.partition(":")[0], on_sqlite)
    registry.add(registered(handler, JobOptions(name="book")))
    store = await open_store(url)
    clock = StoreClock(await store.now())
    if chance:
        if handler is on_sqlite:  # tells the writer's commits with a row of the ledger from all others
            await store.transact(
                lambda c: c.execute(
                    "create temp table wrote (n); create temp trigger noticed after insert on main.ledger "
                    "begin insert into wrote values (1); end"
                ).fetchall()
            )
        die_before_commits()
    work = LocalWork(store, clock, LocalOperations(store, clock, registry=registry))
    settings = WorkerSettings(
        lease_ms=LEASE_MS, renew_every_ms=300, poll_ms=50, concurrency=8, grace_ms=10_000
    )
    async with Upkeep(usual_chores(store, clock, namespace="default", lease_ms=LEASE_MS)):
        code = await run_until_signalled(Worker(work, registry, settings))
    await store.close()
    return code


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
