"""Dramatiq: one process with eight threads, no results. It runs in Dramatiq's environment."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

from dramatiq import actor, set_broker
from dramatiq.brokers.redis import RedisBroker

from bench import probe
from bench.peers.programs import driver

MODULE = "bench.peers.programs.dramatiq"
THREADS = "8"

set_broker(RedisBroker(url=os.environ["HEADRACE_URL"]))


@actor(queue_name="bench")
def noop(n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


@actor(queue_name="bench")
def stamp(t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through the broker; there is no call for many jobs."""
    yield driver.blocking(noop.send, stamp.send)


def work() -> NoReturn:
    """Dramatiq's own command."""
    driver.become("dramatiq", MODULE, "--processes", "1", "--threads", THREADS, "--skip-logging")


if __name__ == "__main__":
    driver.main(opened=opened, work=work)
