"""A worker process of the crash tests: ``python -m tests.crash.storm <database> <ledger>``.

Its handlers write to a ledger of their own, so that what really ran can be compared with what the
store says.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from headrace.clock import StoreClock
from headrace.engine.context import Context
from headrace.engine.local import LocalOperations
from headrace.engine.registry import JobOptions, Registry, registered
from headrace.engine.work import LocalWork
from headrace.stores.open import open_store
from headrace.upkeep.upkeep import Upkeep, usual_chores
from headrace.worker.settings import WorkerSettings
from headrace.worker.signals import run_until_signalled
from headrace.worker.worker import Worker

LEASE_MS = 1_000
LEDGER = "HEADRACE_TEST_LEDGER"

registry = Registry()


def write(job_id: str, what: str) -> None:
    """One line in one write: whole or not there."""
    line = f"{job_id} {what} {time.time_ns() // 1_000_000} {os.getpid()}\n"
    ledger = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(ledger, line.encode())
    finally:
        os.close(ledger)


async def on_loop(ctx: Context, ms: int) -> str:
    write(ctx.job.id, "start")
    await asyncio.sleep(ms / 1000)
    write(ctx.job.id, "end")
    return ctx.job.id


def in_thread(ctx: Context, ms: int) -> str:
    write(ctx.job.id, "start")
    time.sleep(ms / 1000)
    write(ctx.job.id, "end")
    return ctx.job.id


async def poison(ctx: Context) -> None:
    write(ctx.job.id, "start")
    os._exit(66)


for handler in (on_loop, in_thread, poison):
    registry.add(registered(handler, JobOptions(name=handler.__name__)))


async def main(database: str, *, children: bool) -> int:
    store = await open_store(f"sqlite:///{database}")
    clock = StoreClock(await store.now())
    work = LocalWork(store, clock, LocalOperations(store, clock, registry=registry))
    settings = WorkerSettings(
        lease_ms=LEASE_MS,
        renew_every_ms=300,
        poll_ms=50,
        concurrency=8,
        threads=4,
        processes=2,
        app_path="tests.crash.storm:registry" if children else None,
        grace_ms=10_000,
    )
    chores = usual_chores(store, clock, namespace="default", lease_ms=LEASE_MS)
    async with Upkeep(chores):
        code = await run_until_signalled(Worker(work, registry, settings))
    await store.close()
    return code


if __name__ == "__main__":
    Path(os.environ[LEDGER]).touch()
    sys.exit(asyncio.run(main(sys.argv[1], children=sys.argv[2] == "children")))
