"""Wake-ups of one process after another, for the tests that look at them closely."""

import asyncio
import heapq
import itertools
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from headrace.stores.listening import Channel, Heartbeat
from headrace.stores.waking import Wakeups
from tests.servers.proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]

NAMESPACE = "default"
ONE = frozenset({"one"})
LONG_MS = 60_000
"""How long a broken store would make a test hang."""
AT_ONCE_MS = 0

QUICK = Heartbeat(every=0.02, answer_within=0.2)

Heard = Callable[[], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HearingServer:
    """What tests of wake-ups need to know of a kind of server.

    ``heard_at``: the URL of a store that listens at another address than its own, or at the same by a name.
    ``named``: an address whose connections have a name; ``connected`` counts those that listen or did, and
    ``cut`` ends those that listen. ``deaf``: the option of a store that listens to nobody.
    """

    name: str
    url: Callable[[Path], str]
    wakeups: Callable[..., AbstractAsyncContextManager[Wakeups]]
    overheard: Callable[[str], AbstractAsyncContextManager[Heard]]
    proxy: Callable[[str], Proxy]
    heard_at: Callable[[str, str], str]
    named: Callable[[str, str], str]
    connected: Callable[[str, str], int]
    cut: Callable[[str, str], int]
    deaf: str


class Closing(Protocol):
    async def close(self) -> None: ...


@asynccontextmanager
async def wakeups_by(channel: Channel, database: Closing, **how: Any) -> AsyncGenerator[Wakeups]:
    """Wake-ups over a channel of a database, which is closed with them."""
    made = Wakeups(channel, **how)
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
