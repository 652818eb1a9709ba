"""Wake-ups of one process after another, for the tests that look at them closely."""

import asyncio
import heapq
import itertools
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from headrace.stores.listening import Heartbeat
from headrace.stores.postgres.channel import NotifyChannel, channel_of
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.location import parse
from headrace.stores.waking import Wakeups

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = "default"
ONE = frozenset({"one"})
LONG_MS = 60_000
"""How long a broken store would make a test hang."""
AT_ONCE_MS = 0

QUICK = Heartbeat(every=0.02, answer_within=0.2)


@asynccontextmanager
async def wakeups(url: str, **how: Any) -> AsyncGenerator[Wakeups]:
    database = Database(parse(url))
    made = Wakeups(NotifyChannel(database), **how)
    try:
        yield made
    finally:
        await made.close()
        await database.close()


async def hears(made: Wakeups) -> None:
    """Returns when this process hears the others."""
    while await made.described() != "listening":
        await asyncio.sleep(0.001)


async def sent(made: Wakeups) -> None:
    """Returns when nothing is on its way to the server."""
    while made._notifier._sending is not None:
        await asyncio.sleep(0)


@asynccontextmanager
async def overheard(url: str) -> AsyncGenerator[Callable[[], Any]]:
    """All payloads that the server passed on so far, asked of it in order."""
    location = parse(url)
    connection = await asyncpg.connect(location.server.dsn)
    heard: list[str] = []
    await connection.add_listener(channel_of(location.schema), lambda *said: heard.append(said[3]))

    async def so_far() -> list[str]:
        await connection.fetchval("select 1")  # what was committed before comes before this answer
        await asyncio.sleep(0)
        return list(heard)

    yield so_far
    await connection.close()


class ManualTiming:
    """The clock and the timers of a loop, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, Callable[[], object]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> None:
        heapq.heappush(self._timers, (self.now + delay, next(self._order), callback))

    def advance(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 6)
        while self._timers and self._timers[0][0] <= self.now + 1e-9:
            heapq.heappop(self._timers)[2]()


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process that runs this code, and speaks on stderr of whatever it leaves open."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
