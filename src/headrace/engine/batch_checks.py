"""Has batches looked at soon after members ended: at once, then each at most every 100 ms."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final
from weakref import WeakKeyDictionary

from headrace.errors import StoreError

GAP_S: Final = 0.1

Check = Callable[[frozenset[str]], Awaitable[frozenset[str]]]
"""Looks at batches; returns those that must be looked at again without delay when told of."""


class Checks:
    """Looks at batches beside whoever tells of them, in the same event loop.

    A look that the store does not allow is dropped: the sweep finds what it would have found.
    """

    def __init__(self, check: Check, *, gap_s: float = GAP_S) -> None:
        self._check = check
        self._gap_s = gap_s
        self._rounds: WeakKeyDictionary[asyncio.AbstractEventLoop, _Rounds] = WeakKeyDictionary()

    def ask(self, batches: Collection[str]) -> None:
        """Has these batches looked at soon. Never blocks."""
        loop = asyncio.get_running_loop()
        rounds = self._rounds.get(loop)
        if rounds is None:
            rounds = self._rounds[loop] = _Rounds(self._check, self._gap_s)
        rounds.ask(batches)

    async def drained(self) -> None:
        """Waits until all that was asked for in this loop has been looked at."""
        rounds = self._rounds.get(asyncio.get_running_loop())
        if rounds is not None:
            await rounds.drained()


class _Rounds:
    def __init__(self, check: Check, gap_s: float) -> None:
        self._check = check
        self._gap_s = gap_s
        self._asked: set[str] = set()
        self._prompt: frozenset[str] = frozenset()
        self._looked: dict[str, float] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def ask(self, batches: Collection[str]) -> None:
        self._asked.update(batches)
        self._news.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="headrace-batches")

    async def drained(self) -> None:
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._asked:
            now = loop.time()
            self._looked = {name: at for name, at in self._looked.items() if at + self._gap_s > now}
            ready = frozenset(self._asked - (self._looked.keys() - self._prompt))
            if ready:
                self._asked -= ready
                await self._look(ready)
                self._looked.update(dict.fromkeys(ready, loop.time()))
            else:
                await self._news_within(min(self._looked[name] for name in self._asked) + self._gap_s - now)

    async def _look(self, ready: frozenset[str]) -> None:
        try:
            prompt = await self._check(ready)
        except StoreError:
            return
        self._prompt = (self._prompt - ready) | prompt

    async def _news_within(self, seconds: float) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._news.wait()
        except TimeoutError:
            return
