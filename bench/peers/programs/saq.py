"""SAQ on PostgreSQL: 20 jobs at once over a pool of 20, ended jobs dropped at once.

It runs in SAQ's environment.
"""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from saq import Queue, Worker
from saq.types import Context

from bench import probe
from bench.peers.programs import driver

AT_ONCE = 20
DROP = -1


def queue() -> Queue:
    """A queue for a producer or a worker."""
    return Queue.from_url(os.environ["HEADRACE_URL"], max_size=AT_ONCE)


async def noop(_context: Context, *, n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


async def stamp(_context: Context, *, t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)


async def prepare() -> None:
    """Makes the schema."""
    async with opened():
        pass


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through the queue's pool; there is no call for many jobs."""
    jobs = queue()
    await jobs.connect()
    try:
        yield driver.Producer(
            one=lambda n: jobs.enqueue("noop", n=n, ttl=DROP),
            stamp=lambda t: jobs.enqueue("stamp", t=t, ttl=DROP),
        )
    finally:
        await jobs.disconnect()


async def work() -> None:
    """Works until it is told to end."""
    logging.disable(logging.INFO)
    jobs = queue()
    await jobs.connect()
    await Worker(jobs, [noop, stamp], concurrency=AT_ONCE).start()


if __name__ == "__main__":
    driver.main(prepare=prepare, opened=opened, work=work)
