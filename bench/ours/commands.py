"""How Headrace is filled and started for a measurement."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from bench import probe
from bench.processes import BrokenRunError, Started, ask, ours, script, started, url, wait_for
from bench.scenario import Figures, Run
from headrace import App
from headrace.core.states import State
from headrace.engine.operations import Operations

APP = "bench.ours.jobs:app"
LIVE = (State.PENDING, State.PROCESSING)


def told(run: Run, what: str, count: int, kind: str = "noop") -> dict[str, float]:
    """Runs one of the commands of ``bench.ours.producer`` to its end."""
    return ask(run, ours("bench.ours.producer", what, count, kind))


@contextmanager
def worker(run: Run, *, count: int = 1, loop: str = "") -> Iterator[list[Started]]:
    """Worker processes: the product's command, or with ``loop`` the same worker on that event loop."""
    command = ours("bench.ours.worker", loop) if loop else [script("headrace"), "worker", "--app", APP]
    with started(run, command, count=count) as those:
        yield those


def drained(run: Run, count: int, *, workers: int = 1, loop: str = "") -> Figures:
    """Starts workers on a filled file: jobs/s from the first handler's start to the last one's end, and to
    the moment when the store itself says that nothing is left."""
    return asyncio.run(_drained(run, count, workers, loop))


async def _drained(run: Run, count: int, workers: int, loop: str) -> Figures:
    async with _watching(run) as operations:
        with worker(run, count=workers, loop=loop) as those:
            await asyncio.to_thread(wait_for, run, count, those)
            while (await operations.stats()).count(*LIVE):
                if not those[0].alive:
                    raise BrokenRunError(those[0].told())
                await asyncio.sleep(0.001)
            empty = time.monotonic()
            await asyncio.sleep(0.3)
            memory = sum(one.pss_mb() for one in those)
            cpu = sum(one.cpu_seconds() for one in those)
    readings = probe.read(run.space.probe)
    first, last = min(one.first for one in readings), max(one.last for one in readings)
    if (ran := sum(one.count for one in readings)) != count:
        raise BrokenRunError(f"{ran} handler calls for {count} jobs")
    return {
        "jobs/s": count / (last - first),
        "jobs/s settled": count / (empty - first),
        "CPU µs/job": cpu / count * 1e6,
        "MB": memory,
    }


@asynccontextmanager
async def _watching(run: Run) -> AsyncIterator[Operations]:
    app = App(url(run.space.database))
    async with app:
        yield await app.operations()
