"""Celery: one process beside the one that feeds it, 64 jobs fetched ahead, no results, no gossip.

It runs in Celery's environment.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

from celery import Celery

from bench import probe
from bench.peers.programs import driver

MODULE = "bench.peers.programs.celery"
ONE_PROCESS = ["--pool", "prefork", "--concurrency", "1", "--prefetch-multiplier", "64"]
ALONE = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"]

app = Celery("bench", broker=os.environ["HEADRACE_URL"])
app.conf.update(task_ignore_result=True, task_default_queue="bench", worker_hijack_root_logger=False)


@app.task(name="noop")
def noop(n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


@app.task(name="stamp")
def stamp(t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through the application's pool; there is no call for many jobs."""
    yield driver.blocking(noop.delay, stamp.delay)


def work() -> NoReturn:
    """Celery's own command."""
    driver.become("celery", "--app", f"{MODULE}:app", "worker", *ONE_PROCESS, *ALONE)


if __name__ == "__main__":
    driver.main(opened=opened, work=work)
