"""Connections that belong to event loops: a driver binds each one to the loop it was opened in."""

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from headrace.errors import StoreUnavailable, UsedAfterFork


class Connections(Protocol):
    """All connections of one loop."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop."""
        ...

    async def close(self) -> None:
        """Closes those that are not in use."""
        ...


C = TypeVar("C", bound=Connections)


class PerLoop(Generic[C]):
    """Makes a loop's connections when it first asks. Usable from all threads of one process."""

    def __init__(self, make: Callable[[], C], name: str) -> None:
        self._make = make
        self._name = name
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._known: dict[asyncio.AbstractEventLoop, C] = {}
        self._closed = False

    def here(self) -> C:
        """Those of the running loop. Raises UsedAfterFork, and StoreUnavailable once closed."""
        if self._pid != os.getpid():
            raise UsedAfterFork("this store was opened before a fork; open a new one in the child")
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"the store on {self._name} is closed")
            found = self._known.get(loop)
            if found is None:
                self._forget_closed_loops()
                found = self._known[loop] = self._make()
            return found

    async def close(self) -> None:
        """Closes those of all loops. Idempotent."""
        with self._lock:
            self._closed = True
            known = list(self._known.values())
            self._known.clear()
        for one in known:
            if one.loop is asyncio.get_running_loop():
                await one.close()
            elif one.loop.is_running():
                with suppress(RuntimeError):  # it ended just now, and its connections with it
                    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(one.close(), one.loop))

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._known if loop.is_closed()]:
            del self._known[loop]
