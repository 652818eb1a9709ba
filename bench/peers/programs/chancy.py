"""Chancy: asynchronous executor, 100 jobs at once, eager polling, and silent, because printing each job takes
half of its time. It runs in Chancy's environment.
"""

import importlib
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from chancy import Chancy, Queue, Worker, job

from bench import probe
from bench.peers.programs import driver

QUEUE = Queue(
    "default", concurrency=100, executor=Chancy.Executor.Async, polling_interval=1, eager_polling=True
)


@job(queue="default")
async def noop(*, n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


@job(queue="default")
async def stamp(*, t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)


def chancy() -> Chancy:
    """The application, without a word."""
    log = logging.getLogger("silent")
    log.setLevel(logging.ERROR)
    return Chancy(os.environ["HEADRACE_URL"], log=log)


async def prepare() -> None:
    """Makes the schema and the queue."""
    async with chancy() as app:
        await app.migrate()
        await app.declare(QUEUE, upsert=True)


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through the library's pool."""
    async with chancy() as app:

        async def many(numbers: Sequence[int]) -> None:
            async for _ in app.push_many([noop.job.with_kwargs(n=number) for number in numbers]):
                pass

        yield driver.Producer(
            one=lambda n: app.push(noop.job.with_kwargs(n=n)),
            stamp=lambda t: app.push(stamp.job.with_kwargs(t=t)),
            many=many,
        )


async def work() -> None:
    """Works until it is told to end."""
    async with chancy() as app:
        await app.declare(QUEUE, upsert=True)
        async with Worker(app) as worker:
            await worker.wait_for_shutdown()


if __name__ == "__main__":
    # A job's name is the import path of its function, and that of this one would start with __main__.
    named = importlib.import_module("bench.peers.programs.chancy")

    driver.main(prepare=named.prepare, opened=named.opened, work=named.work)
