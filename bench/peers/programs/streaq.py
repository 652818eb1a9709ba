"""streaQ on streams: 100 jobs at once, silent, ended jobs dropped at once.

It runs in streaQ's environment.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn

from streaq import Worker

from bench import probe
from bench.peers.programs import driver

MODULE = "bench.peers.programs.streaq"
AT_ONCE = 100

worker = Worker(
    redis_url=os.environ["HEADRACE_URL"],
    queue_name="bench",
    concurrency=AT_ONCE,
    anyio_kwargs={"use_uvloop": True},
)


@worker.task(name="noop", ttl=0, silent=True)
async def noop(n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


@worker.task(name="stamp", ttl=0, silent=True)
async def stamp(t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through the worker's connections."""

    async def one(number: int) -> None:
        await noop.enqueue(number)

    async def late(start: float) -> None:
        await stamp.enqueue(start)

    async def many(numbers: Sequence[int]) -> None:
        await worker.enqueue_many([noop.enqueue(number) for number in numbers])

    async with worker:
        yield driver.Producer(one=one, stamp=late, many=many)


def work() -> NoReturn:
    """streaQ's own command."""
    driver.become("streaq", "run", f"{MODULE}:worker")


if __name__ == "__main__":
    driver.main(opened=opened, work=work)
