"""arq: 100 jobs at once, no results, a look every 0.5 s as it comes. It runs in arq's environment."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arq import Worker, create_pool
from arq.connections import RedisSettings

from bench import probe
from bench.peers.programs import driver

AT_ONCE = 100
SERVER = RedisSettings.from_dsn(os.environ["HEADRACE_URL"])


async def noop(_context: dict[str, object], n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


async def stamp(_context: dict[str, object], t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through a pool; there is no call for many jobs."""
    pool = await create_pool(SERVER)
    try:
        yield driver.Producer(
            one=lambda n: pool.enqueue_job("noop", n), stamp=lambda t: pool.enqueue_job("stamp", t)
        )
    finally:
        await pool.aclose()


async def work() -> None:
    """Works until it is told to end."""
    logging.disable(logging.INFO)
    await Worker([noop, stamp], redis_settings=SERVER, keep_result=0, max_jobs=AT_ONCE).async_run()


if __name__ == "__main__":
    driver.main(opened=opened, work=work)
