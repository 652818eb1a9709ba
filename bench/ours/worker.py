"""The worker on a chosen event loop: ``python -m bench.ours.worker asyncio|uvloop``."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop

from bench.ours import jobs
from headrace import App
from headrace.worker.worker import Worker


@asynccontextmanager
async def running(app: App) -> AsyncIterator[Worker]:
    """A worker for the app's job types, in this process."""
    async with app, Worker(await app.work(), app.registry) as worker:
        yield worker


async def main() -> None:
    """Works until it is told to end."""
    async with running(jobs.app) as worker:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.request_stop)
        await worker.run()


if __name__ == "__main__":
    (uvloop if sys.argv[1] == "uvloop" else asyncio).run(main())
