"""Wake-up hints between whoever makes work and whoever waits for it.

A waiter is a task with the queues it asks about. Each hint gets a number, and each waiter keeps the
number up to which it knows, so a hint that comes between two of its calls is found by the next.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

Place = tuple[str, str | None]
"""A namespace with one of its queues, or with None for all of them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a waiter asks about; ``queues`` None: all of the namespace."""

    namespace: str
    queues: frozenset[str] | None

    @property
    def places(self) -> frozenset[Place]:
        """Where a hint for this waiter is noted."""
        return frozenset((self.namespace, queue) for queue in self.queues or {None})


@dataclass(eq=False, slots=True)
class _Waiter:
    asked: Asked
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


class Hints:
    """Gives hints to waiters of any event loop. ``on_first`` is called when somebody begins to wait."""

    def __init__(self, on_first: Callable[[], None]) -> None:
        self._on_first = on_first
        self._lock = threading.Lock()
        self._number = 0
        self._everywhere = 0
        self._latest: dict[Place, int] = {}
        self._known: dict[Asked, int] = {}
        self._known_by: WeakKeyDictionary[asyncio.Task[Any], dict[Asked, int]] = WeakKeyDictionary()
        self._waiters: set[_Waiter] = set()

    @property
    def awaited(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiters)

    def give(self, namespace: str, queues: frozenset[str]) -> None:
        """Wakes those who wait for one of these queues.

        A name that begins with @ is no queue: it wakes only those who ask for it, not those who wait
        for work on any queue.
        """
        places: set[Place] = {(namespace, queue) for queue in queues}
        if any(not queue.startswith("@") for queue in queues):
            places.add((namespace, None))
        with self._lock:
            self._number += 1
            self._latest.update(dict.fromkeys(places, self._number))
            woken = [waiter for waiter in self._waiters if not places.isdisjoint(waiter.asked.places)]
        for waiter in woken:
            _wake(waiter)

    def give_everywhere(self) -> None:
        """Wakes everybody: another process wrote, and nobody knows what."""
        with self._lock:
            self._number += 1
            self._everywhere = self._number
            woken = list(self._waiters)
        for waiter in woken:
            _wake(waiter)

    def give_known(self) -> None:
        """Wakes everybody who waits or has waited: meanwhile there may have been hints that nobody heard."""
        with self._lock:
            self._number += 1
            for asked in self._known:
                self._latest.update(dict.fromkeys(asked.places, self._number))
            woken = list(self._waiters)
        for waiter in woken:
            _wake(waiter)

    async def wait(self, namespace: str, queues: frozenset[str] | None, timeout_ms: int) -> bool:
        """Whether a hint came since this waiter's last call, or comes before the time is over."""
        asked = Asked(namespace, queues)
        loop = asyncio.get_running_loop()
        waiter = _Waiter(asked, loop, loop.create_future())
        with self._lock:
            if self._take(asked):
                return True
            self._waiters.add(waiter)
            is_first = len(self._waiters) == 1
        if is_first:
            self._on_first()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await waiter.future
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._waiters.discard(waiter)
        with self._lock:
            self._take(asked)
        return True

    def _take(self, asked: Asked) -> bool:
        task = asyncio.current_task()
        own = {} if task is None else self._known_by.setdefault(task, {})
        known = own.get(asked, self._known.get(asked, 0))
        latest = max(self._everywhere, *(self._latest.get(place, 0) for place in asked.places))
        own[asked] = self._known[asked] = self._number
        return latest > known


def _wake(waiter: _Waiter) -> None:
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is waiter.loop:
        _resolve(waiter.future)
        return
    try:
        waiter.loop.call_soon_threadsafe(_resolve, waiter.future)
    except RuntimeError:
        # The waiter's loop was closed while it waited: nobody is left to wake.
        return


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
