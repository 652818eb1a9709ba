"""A job library that can be measured, ours or a peer, and the drain that is the same for all."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from dataclasses import dataclass

from bench import probe
from bench.processes import BrokenRunError, Started, wait_for
from bench.scenario import Figures, Run, Side

Left = Callable[[], Awaitable[int]]
EMPTY_WITHIN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """How a library is filled, started and watched.

    ``produce(run, what, count)`` runs a producer process to its end: ``prepare`` makes the schema, ``fill``
    enqueues as fast as it can, ``one``, ``conc`` and ``bulk`` enqueue and tell the rate, ``lat`` enqueues for
    an idle worker. ``work(run, processes)`` starts workers. ``watch`` opens a question to the store: how many
    jobs have not ended well? ``history(run, count)`` leaves about as many ended jobs behind, if the library
    keeps those at all. ``jobs`` and ``calls`` are how many jobs take it a second or more.
    """

    name: str
    side: Side
    produce: Callable[[Run, str, int], Figures]
    work: Callable[[Run, int], AbstractContextManager[list[Started]]]
    watch: Callable[[Run], AbstractAsyncContextManager[Left]]
    jobs: int
    calls: int
    history: Callable[[Run, int], None] | None = None
    bulk: bool = True
    samples: int = 400
    python: bool = True

    def left(self, run: Run) -> int:
        """How many jobs have not ended well."""

        async def ask() -> int:
            async with self.watch(run) as left:
                return await left()

        return asyncio.run(ask())


@contextmanager
def filled(run: Run, library: Library, jobs: int, *, ended: int = 0) -> Iterator[Run]:
    """The turn on a fresh store in which so many jobs wait, beside so many that have ended."""

    def fill(there: Run) -> None:
        library.produce(there, "prepare", 0)
        if ended:
            assert library.history is not None
            library.history(there, ended)
        if jobs:
            library.produce(there, "fill", jobs)
        if (waiting := library.left(there)) != jobs:
            raise BrokenRunError(f"{waiting} jobs wait, not {jobs}")

    if run.databases is None:
        fill(run)
        yield run
    else:
        with run.databases.copy(f"{library.name} {jobs} {ended}", lambda url: fill(run.at(url))) as url:
            yield run.at(url)


def drained(run: Run, library: Library, jobs: int, *, workers: int = 1) -> Figures:
    """Starts workers on a store where jobs wait: jobs/s from the first handler's start to the last one's end,
    and to the moment when the store itself says that nothing is left."""
    return asyncio.run(_drained(run, library, jobs, workers))


async def _drained(run: Run, library: Library, jobs: int, workers: int) -> Figures:
    async with library.watch(run) as left:
        with library.work(run, workers) as those:
            await asyncio.to_thread(wait_for, run, jobs, those)
            empty = await _empty(left, those)
            await asyncio.sleep(0.3)
            memory = sum(one.pss_mb() for one in those)
            cpu = sum(one.cpu_seconds() for one in those)
    readings = probe.read(run.space.probe)
    first, last = min(one.first for one in readings), max(one.last for one in readings)
    if (ran := sum(one.count for one in readings)) != jobs:
        raise BrokenRunError(f"{ran} handler calls for {jobs} jobs")
    return {
        "jobs/s": jobs / (last - first),
        "jobs/s settled": jobs / (empty - first),
        "CPU µs/job": cpu / jobs * 1e6,
        "MB": memory,
    }


async def _empty(left: Left, those: list[Started]) -> float:
    until = time.monotonic() + EMPTY_WITHIN
    while remaining := await left():
        if not those[0].alive or time.monotonic() > until:
            raise BrokenRunError(f"{remaining} jobs ran and did not end well:\n{those[0].told()}")
        await asyncio.sleep(0.001)
    return time.monotonic()
