"""The least that can be called an engine.

Batched claims one batch ahead, a task and a time limit per job, at most 100 at once, batched completion. No
retries, history, results, fences or heartbeats: what this reaches bounds what a whole engine can reach here.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import pydantic_core

BATCH = 500
AT_ONCE = 100


class Table(Protocol):
    """Where the jobs wait. Both calls may be under way at the same time."""

    async def claim(self) -> list[tuple[int, str]]:
        """The next jobs, as many as the table claims in one batch."""
        ...

    async def settle(self, ids: list[int]) -> None:
        """Marks jobs as done, or deletes them."""
        ...


@dataclass(slots=True)
class Engine:
    """Drains a table, which claims ``batch`` jobs at most."""

    table: Table
    total: int
    batch: int = BATCH
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
        while rows := await self.table.claim():
            self.ahead.extend(rows)
            self.arrived.set()
            while len(self.ahead) > self.batch:
                self.taken.clear()
                await self.taken.wait()

    async def _start(self) -> None:
        for _ in range(self.total):
            while not self.ahead:
                self.arrived.clear()
                await self.arrived.wait()
            one, payload = self.ahead.popleft()
            if len(self.ahead) <= self.batch:
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
                await self.table.settle(ids)
                self.settled += len(ids)


async def _handler(n: int) -> None:
    pass
