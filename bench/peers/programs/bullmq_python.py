"""BullMQ's port to Python: 100 jobs at once, ended jobs removed. It runs in its own environment."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bullmq import Job, Queue, Worker

from bench import probe
from bench.peers.programs import driver

AT_ONCE = 100
CONNECTION = {"connection": os.environ["HEADRACE_URL"]}
OPTIONS = {"removeOnComplete": True}


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through a queue."""
    queue = Queue("bench", CONNECTION)

    async def many(numbers: Sequence[int]) -> None:
        await queue.addBulk([{"name": "noop", "data": {"n": number}, "opts": OPTIONS} for number in numbers])

    try:
        yield driver.Producer(
            one=lambda n: queue.add("noop", {"n": n}, OPTIONS),
            stamp=lambda t: queue.add("stamp", {"t": t}, OPTIONS),
            many=many,
        )
    finally:
        await queue.close()


async def handle(job: Job, _token: str) -> None:
    """Does nothing, or tells how long ago ``t`` was."""
    if job.name == "stamp":
        probe.delay(job.data["t"])
    else:
        probe.hit()


async def work() -> None:
    """Works until it is killed."""
    worker = Worker("bench", handle, {**CONNECTION, "concurrency": AT_ONCE})
    await asyncio.Event().wait()
    await worker.close()


if __name__ == "__main__":
    driver.main(opened=opened, work=work)
