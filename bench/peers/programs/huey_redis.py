"""Huey on Redis: results off, four threads. It runs in an environment of its own."""

import importlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

from huey import RedisHuey

from bench import probe
from bench.peers.programs import driver

MODULE = "bench.peers.programs.huey_redis"
THREADS = "4"

huey = RedisHuey("bench", url=os.environ["HEADRACE_URL"], results=False)


@huey.task()
def noop(n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


@huey.task()
def stamp(t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues by calling; there is no call for many jobs."""
    yield driver.blocking(noop, stamp)


def work() -> NoReturn:
    """Huey's own consumer, quiet, without periodic tasks."""
    driver.become("huey.bin.huey_consumer", f"{MODULE}.huey", "-w", THREADS, "-k", "thread", "-q", "-n")


if __name__ == "__main__":
    # A job's name is the import path of its function, and that of this one would start with __main__.
    named = importlib.import_module(MODULE)

    driver.main(opened=named.opened, work=named.work)
