"""Procrastinate: its asynchronous worker with 20 jobs at once over a psycopg pool; ended jobs stay, as they
do by default. It runs in procrastinate's environment.
"""

import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from procrastinate import App, PsycopgConnector

from bench import probe
from bench.peers.programs import driver

AT_ONCE = 20
app = App(connector=PsycopgConnector(conninfo=os.environ["HEADRACE_URL"], min_size=4, max_size=AT_ONCE))


@app.task(name="noop", queue="bench")
async def noop(n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


@app.task(name="stamp", queue="bench")
async def stamp(t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)


async def prepare() -> None:
    """Makes the schema."""
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through the pool."""

    async def many(numbers: Sequence[int]) -> None:
        await noop.batch_defer_async(*({"n": number} for number in numbers))

    async with app.open_async():
        yield driver.Producer(
            one=lambda n: noop.defer_async(n=n), stamp=lambda t: stamp.defer_async(t=t), many=many
        )


async def work() -> None:
    """Works until it is told to end."""
    logging.disable(logging.INFO)
    async with app.open_async():
        await app.run_worker_async(concurrency=AT_ONCE)


if __name__ == "__main__":
    driver.main(prepare=prepare, opened=opened, work=work)
