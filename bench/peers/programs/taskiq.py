"""taskiq on a stream, whose jobs are acknowledged: 200 at once, 200 fetched ahead, no results.

It runs in taskiq's environment.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisStreamBroker

from bench import probe
from bench.peers.programs import driver

MODULE = "bench.peers.programs.taskiq"
AT_ONCE = "200"

# From the first message on: by default a group that a worker makes begins with the next one.
broker = RedisStreamBroker(os.environ["HEADRACE_URL"], queue_name="bench", consumer_id="0").with_serializer(
    ORJSONSerializer()
)


@broker.task(task_name="noop")
async def noop(n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


@broker.task(task_name="stamp")
async def stamp(t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through the broker; there is no call for many jobs."""
    await broker.startup()
    try:
        yield driver.Producer(one=noop.kiq, stamp=stamp.kiq)
    finally:
        await broker.shutdown()


def work() -> NoReturn:
    """taskiq's own worker, one process beside the one that watches it."""
    at_once = ["--max-async-tasks", AT_ONCE, "--max-prefetch", AT_ONCE]
    driver.become("taskiq", "worker", f"{MODULE}:broker", "--workers", "1", *at_once, "--log-level", "ERROR")


if __name__ == "__main__":
    driver.main(opened=opened, work=work)
