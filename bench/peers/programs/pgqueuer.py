"""PgQueuer over an asyncpg pool, 100 jobs a batch (10 by default). It runs in PgQueuer's environment."""

import json
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer import PgQueuer, Queries
from pgqueuer.models import Job

from bench import probe
from bench.peers.programs import driver

BATCH = 100


def pool() -> asyncpg.pool.Pool:
    """A pool for a producer or a worker."""
    return asyncpg.create_pool(os.environ["HEADRACE_URL"], min_size=4, max_size=16)


async def prepare() -> None:
    """Makes the schema."""
    async with pool() as connections:
        await Queries.from_asyncpg_pool(connections).install()


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through the pool."""
    async with pool() as connections:
        queries = Queries.from_asyncpg_pool(connections)

        async def many(numbers: Sequence[int]) -> None:
            payloads: list[bytes | None] = [_payload(n=number) for number in numbers]
            await queries.enqueue(["noop"] * len(payloads), payloads, [0] * len(payloads))

        yield driver.Producer(
            one=lambda n: queries.enqueue("noop", _payload(n=n)),
            stamp=lambda t: queries.enqueue("stamp", _payload(t=t)),
            many=many,
        )


async def work() -> None:
    """Works until it is told to end."""
    logging.disable(logging.INFO)
    async with pool() as connections:
        queuer = PgQueuer.from_asyncpg_pool(connections)

        @queuer.entrypoint("noop")
        async def noop(job: Job) -> None:
            json.loads(job.payload or b"")
            probe.hit()

        @queuer.entrypoint("stamp")
        async def stamp(job: Job) -> None:
            probe.delay(json.loads(job.payload or b"")["t"])

        await queuer.run(batch_size=BATCH)


def _payload(**values: float) -> bytes:
    return json.dumps(values).encode()


if __name__ == "__main__":
    driver.main(prepare=prepare, opened=opened, work=work)
