"""A worker for chunks, one message of which kills its process: ``python -m tests.crash.chunk_worker URL``."""

import asyncio
import os
import signal
import sys
from typing import Any

from headrace.app import App
from headrace.core.states import State
from headrace.engine.chunk import Chunk
from headrace.engine.job_type import JobType
from headrace.settings import Settings
from headrace.upkeep.upkeep import Upkeep, usual_chores
from headrace.worker.settings import WorkerSettings
from headrace.worker.signals import run_until_signalled
from headrace.worker.worker import Worker
from tests.crash.kit.children import tie_to_parent

LEASE_MS = 1_000
SIZE = 10


def delivering(app: App) -> JobType[..., Any]:
    """The type. It answers one message after the other, until it comes to the one that kills it."""

    @app.chunk(name="deliver", max_size=SIZE, max_wait=0.2)
    async def deliver(chunk: Chunk[dict[str, Any]]) -> None:
        acked: list[str] = []
        for message in chunk:
            if message.payload["kills"]:
                await in_the_store(app, acked)
                os.kill(os.getpid(), signal.SIGKILL)
            message.ack(len(chunk))
            acked.append(message.job.id)

    return deliver


async def in_the_store(app: App, acked: list[str]) -> None:
    """Waits until these are completed for everybody to see."""
    operations = await app.operations()
    for job_id in acked:
        while (await operations.job(job_id)).state is not State.COMPLETED:
            await asyncio.sleep(0.01)


async def main(url: str) -> int:
    app = App(url, settings=Settings())
    delivering(app)
    async with app:
        opened = await app.open()
        settings = WorkerSettings(
            lease_ms=LEASE_MS, renew_every_ms=300, poll_ms=50, concurrency=4, grace_ms=10_000
        )
        chores = usual_chores(opened.store, opened.clock, namespace="default", lease_ms=LEASE_MS)
        async with Upkeep(chores):
            return await run_until_signalled(Worker(await app.work(), app.registry, settings))


if __name__ == "__main__":
    tie_to_parent()
    sys.exit(asyncio.run(main(sys.argv[1])))
