"""SAQ on Redis: 100 jobs at once, ended jobs dropped at once. It runs in an environment of its own."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from saq import Queue, Worker
from saq.types import Context

from bench import probe
from bench.peers.programs import driver

AT_ONCE = 100
DROP = -1


def queue() -> Queue:
    """A queue for a producer or a worker."""
    return Queue.from_url(os.environ["HEADRACE_URL"])


async def noop(_context: Context, *, n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


async def stamp(_context: Context, *, t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through the queue's connections; there is no call for many jobs."""
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
    driver.main(opened=opened, work=work)
