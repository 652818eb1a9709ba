"""The least that can be called an engine: ``python -m bench.limits.engine normal|full delete|keep N``.

Batched claims one batch ahead, a task and a time limit per job, at most 100 at once, batched
completion, SQLite on a thread of its own. No retries, history, results, fences or heartbeats: what
this reaches bounds what a whole engine can reach here.
"""

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import apsw
import pydantic_core
import uvloop

from bench.limits import sqlite
from bench.processes import tell

T = TypeVar("T")
BATCH = 500
AT_ONCE = 100


class File:
    """The table of ``limits.sqlite`` behind one thread."""

    def __init__(self, synchronous: str, *, keep: bool) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._keep = keep
        self._database: apsw.Connection = self._thread.submit(
            sqlite.opened, f"engine-{os.getpid()}.db", synchronous
        ).result()

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Runs work on the thread."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, work, self._database, *arguments
        )

    async def claim(self) -> list[tuple[int, str]]:
        """The next jobs."""
        return await self.run(lambda db: db.execute(sqlite.CLAIM, (_now(), BATCH)).fetchall())

    async def settle(self, ids: list[int]) -> None:
        """Marks jobs as done, or deletes them."""
        await self.run(self._settle, ids)

    def _settle(self, database: apsw.Connection, ids: list[int]) -> None:
        with sqlite.transaction(database):
            if self._keep:
                now = _now()
                database.executemany(sqlite.KEEP, [(now, one) for one in ids])
            else:
                database.executemany(sqlite.DELETE, [(one,) for one in ids])


@dataclass(slots=True)
class Engine:
    """Drains a file."""

    file: File
    total: int
    first: float = 0.0
    last: float = 0.0
    settled: int = 0
    ahead: deque[tuple[int, str]] = field(default_factory=deque)
    ended: list[int] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    to_settle: asyncio.Event = field(default_factory=asyncio.Event)

    async def drain(self) -> tuple[float, float]:
        """Jobs/s up to the last handler's end, and up to the last completion."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed())
            group.create_task(self._settle())
            group.create_task(self._start())
        return self.total / (self.last - self.first), self.total / (time.perf_counter() - self.first)

    async def _feed(self) -> None:
        while rows := await self.file.claim():
            self.ahead.extend(rows)
            self.arrived.set()
            while len(self.ahead) > BATCH:
                self.taken.clear()
                await self.taken.wait()

    async def _start(self) -> None:
        for _ in range(self.total):
            while not self.ahead:
                self.arrived.clear()
                await self.arrived.wait()
            one, payload = self.ahead.popleft()
            if len(self.ahead) <= BATCH:
                self.taken.set()
            await self.slots.acquire()
            task = asyncio.create_task(self._run(one, payload))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _run(self, one: int, payload: str) -> None:
        arguments = pydantic_core.from_json(payload)
        self.first = self.first or time.perf_counter()
        async with asyncio.timeout(30):
            await _handler(**arguments)
        self.last = time.perf_counter()
        self.ended.append(one)
        self.slots.release()
        self.to_settle.set()

    async def _settle(self) -> None:
        while self.settled < self.total:
            await self.to_settle.wait()
            self.to_settle.clear()
            ids, self.ended = self.ended, []
            if ids:
                await self.file.settle(ids)
                self.settled += len(ids)


async def _handler(n: int) -> None:
    pass


def _now() -> int:
    return time.time_ns() // 1_000_000


async def main() -> None:
    """Fills a file in the current folder and drains it."""
    synchronous, rows, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    file = File(synchronous, keep=rows == "keep")
    await file.run(sqlite.fill, count)
    handlers, settled = await Engine(file, count).drain()
    tell({"jobs/s": handlers, "jobs/s settled": settled})


if __name__ == "__main__":
    uvloop.run(main())
