"""RQ: the worker that forks no process a job, ended jobs dropped at once. It runs in RQ's environment."""

import importlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis import Redis
from rq import Queue, SimpleWorker

from bench import probe
from bench.peers.programs import driver

DROP = 0
connection = Redis.from_url(os.environ["HEADRACE_URL"])
queue = Queue("bench", connection=connection)


def noop(n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


def stamp(t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through the queue."""

    def many(numbers: Sequence[int]) -> None:
        queue.enqueue_many([Queue.prepare_data(noop, (number,), result_ttl=DROP) for number in numbers])

    yield driver.blocking(
        lambda n: queue.enqueue(noop, n, result_ttl=DROP),
        lambda t: queue.enqueue(stamp, t, result_ttl=DROP),
        many,
    )


async def work() -> None:
    """Works until it is told to end."""
    SimpleWorker([queue], connection=connection).work(logging_level="ERROR")


if __name__ == "__main__":
    # A job's name is the import path of its function, and that of this one would start with __main__.
    named = importlib.import_module("bench.peers.programs.rq")

    driver.main(opened=named.opened, work=named.work)
