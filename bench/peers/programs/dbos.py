"""DBOS: a workflow per job on a queue, 100 at once, a look every 0.1 s (1 s by default), on PostgreSQL or
SQLite. It runs in DBOS's environment.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dbos import DBOS, DBOSClient, DBOSConfig

from bench import probe
from bench.peers.programs import driver

AT_ONCE = 100
EVERY = 0.1
VERSION = "1"
URL = os.environ["HEADRACE_URL"]


@DBOS.workflow(name="noop")
def noop(n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


@DBOS.workflow(name="stamp")
def stamp(t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)


def launch() -> None:
    """Starts the library in this process."""
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": URL,
        "log_level": "ERROR",
        "application_version": VERSION,
        "executor_id": uuid.uuid4().hex,
        "run_admin_server": False,
    }
    DBOS(config=config)
    DBOS.launch()


async def prepare() -> None:
    """Makes the schema."""
    await asyncio.to_thread(launch)
    await asyncio.to_thread(DBOS.destroy)


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through a client; there is no call for many workflows."""
    client = DBOSClient(system_database_url=URL)

    async def enqueue(name: str, argument: float) -> None:
        await client.enqueue_async(
            {"workflow_name": name, "queue_name": "bench", "app_version": VERSION}, argument
        )

    try:
        yield driver.Producer(one=lambda n: enqueue("noop", n), stamp=lambda t: enqueue("stamp", t))
    finally:
        client.destroy()


async def work() -> None:
    """Works until it is killed."""
    await asyncio.to_thread(launch)
    await asyncio.to_thread(
        DBOS.register_queue, "bench", worker_concurrency=AT_ONCE, polling_interval_sec=EVERY
    )
    await asyncio.Event().wait()


if __name__ == "__main__":
    driver.main(prepare=prepare, opened=opened, work=work)
