"""Other users of a store: ``python -m tests.crash.kit.neighbours <what> <url> <history> <stop file>``."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import apsw

from headrace.clock import StoreClock
from headrace.core.filters import JobFilter, Page
from headrace.core.request import EnqueueRequest
from headrace.engine.context import Context
from headrace.engine.local import LocalOperations
from headrace.engine.work import LocalWork
from headrace.errors import HeadraceError
from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from headrace.stores.sqlite.location import parse
from headrace.worker.settings import WorkerSettings
from headrace.worker.worker import Worker
from tests.crash.kit.children import tie_to_parent
from tests.crash.kit.history import Client, History
from tests.crash.kit.jobs import job, registry
from tests.crash.kit.ledger import Phase, tell

MODULE: Final = "tests.crash.kit.neighbours"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An open store, its client, and when to stop."""

    store: Store
    client: Client
    stop: Path
    url: str

    @property
    def goes_on(self) -> bool:
        return not self.stop.exists()


async def produce(at: Neighbour) -> None:
    """Enqueues one job after the other, now and then many."""
    number = 0
    while at.goes_on:
        number += 1
        count = 50 if number % 20 == 0 else 1
        await at.client.enqueue(*(EnqueueRequest(type="on_loop", payload={"ms": 0}) for _ in range(count)))
        await asyncio.sleep(0.005)


async def list_jobs(at: Neighbour) -> None:
    """Looks at everything, page by page, as a dashboard does."""
    while at.goes_on:
        cursor = None
        for _ in range(20):
            with at.client.history.call("list"):
                page = await at.client.operations.jobs(JobFilter(), Page(limit=100, before=cursor))
            cursor = page.cursor
            if cursor is None:
                break
        with at.client.history.call("stats"):
            await at.client.operations.stats()
        await asyncio.sleep(0.02)


async def checkpoint(at: Neighbour) -> None:
    """Forces checkpoints on a connection of its own, and writes through the store between them."""
    db = apsw.Connection(str(parse(at.url).path))
    number = 0
    while at.goes_on:
        number += 1
        try:
            db.pragma("wal_checkpoint", "restart" if number % 2 else "truncate")
        except apsw.BusyError:
            await asyncio.sleep(0.005)
        await at.client.enqueue(EnqueueRequest(type="on_loop", payload={"ms": 0}))
        await asyncio.sleep(0.02)
    db.close()


async def fork(at: Neighbour) -> None:
    """Runs one job that forks, and ends when it is done."""
    (job_id,) = await at.client.enqueue(EnqueueRequest(type="forks", payload={}))
    work = LocalWork(at.store, at.client.operations._clock, at.client.operations)
    async with Worker(work, registry, WorkerSettings(poll_ms=20, lifespan=None)):
        done = await at.client.operations.wait(job_id, timeout_ms=60_000)
    assert done.placement.result == '"the parent goes on"', done
    await at.client.operations.stats()


@job()
async def forks(ctx: Context) -> str:
    """Forks as a careless handler does. The child tries the store it inherited."""
    tell(ctx, Phase.START)
    inherited: Store = INHERITED[0]
    pid = os.fork()  # noqa: TID251 - what a careless handler does
    if pid == 0:
        try:
            inherited.wake("default", frozenset({"default"}))
            told = "nothing"
        except HeadraceError as error:
            told = type(error).__name__
        tell(ctx, Phase.LATE, told)
        os._exit(0)
    os.waitpid(pid, 0)
    tell(ctx, Phase.EFFECT)
    return "the parent goes on"


INHERITED: Final[list[Store]] = []

NEIGHBOURS: Final[Mapping[str, Callable[[Neighbour], Awaitable[None]]]] = MappingProxyType(
    {"produce": produce, "list": list_jobs, "checkpoint": checkpoint, "fork": fork}
)


async def main(what: str, url: str, history: str, stop: str) -> None:
    store = await open_store(url)
    INHERITED.append(store)
    operations = LocalOperations(store, StoreClock(await store.now()), registry=registry)
    client = Client(operations, History(Path(history)))
    await NEIGHBOURS[what](Neighbour(store, client, Path(stop), url))
    await store.close()


if __name__ == "__main__":
    tie_to_parent()
    asyncio.run(main(*sys.argv[1:]))
