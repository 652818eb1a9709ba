"""Inserts of one event loop that wait at the same moment share one write.

While one insert is under way the others gather; they go together when it has ended, and each is
acknowledged by itself. So sixteen producers cost little more than one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from headrace.errors import InvalidInput

AT_ONCE: Final = 1_000

K = TypeVar("K")
T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Waiting(Generic[K, T]):
    kind: K
    items: Sequence[T]
    done: asyncio.Future[None]


@dataclass(eq=False, slots=True)
class _Gathering(Generic[K, T]):
    """What waits in one loop. ``busy``: somebody writes, and sees to it that the rest goes next."""

    waiting: list[_Waiting[K, T]] = field(default_factory=list[_Waiting[K, T]])
    busy: bool = False
    rest: asyncio.Task[None] | None = None


class Gatherer(Generic[K, T]):
    """Writes items by ``write``, which is given those of several callers where they are of one kind."""

    def __init__(self, write: Callable[[K, Sequence[T]], Awaitable[None]]) -> None:
        self._write = write
        self._gatherings: WeakKeyDictionary[asyncio.AbstractEventLoop, _Gathering[K, T]] = WeakKeyDictionary()

    async def add(self, kind: K, items: Sequence[T]) -> None:
        """Returns when the items are written."""
        loop = asyncio.get_running_loop()
        gathering = self._gatherings.get(loop)
        if gathering is None:
            gathering = self._gatherings[loop] = _Gathering()
        if gathering.busy:
            waiting = _Waiting(kind, items, loop.create_future())
            gathering.waiting.append(waiting)
            await waiting.done
            return
        gathering.busy = True
        try:
            await self._write(kind, items)
        finally:
            self._go_on(gathering)

    def _go_on(self, gathering: _Gathering[K, T]) -> None:
        if gathering.waiting:
            gathering.rest = asyncio.create_task(self._write_rest(gathering))
        else:
            gathering.busy = False

    async def _write_rest(self, gathering: _Gathering[K, T]) -> None:
        try:
            while gathering.waiting:
                await self._together(_taken(gathering))
        finally:
            gathering.busy = False
            for waiting in gathering.waiting:  # this loop shuts down
                waiting.done.cancel()
            gathering.waiting.clear()

    async def _together(self, group: Sequence[_Waiting[K, T]]) -> None:
        """Writes a group. If a value of one cannot be kept, the others must not suffer for it."""
        try:
            await self._write(group[0].kind, [item for one in group for item in one.items])
        except InvalidInput as error:
            if len(group) == 1:
                _end(group[0], error)
                return
            for one in group:
                await self._together([one])
        except Exception as error:  # boundary: whatever it is, it is the callers' and not this task's
            for one in group:
                _end(one, error)
        except asyncio.CancelledError:
            for one in group:
                one.done.cancel()
            raise
        else:
            for one in group:
                _end(one, None)


def _taken(gathering: _Gathering[K, T]) -> Sequence[_Waiting[K, T]]:
    """The first that wait, as many as are of one kind and fit into one write."""
    first = gathering.waiting[0]
    room, count = AT_ONCE, 0
    for one in gathering.waiting:
        room -= len(one.items)
        if one.kind != first.kind or (count and room < 0):
            break
        count += 1
    group = gathering.waiting[:count]
    del gathering.waiting[:count]
    return group


def _end(waiting: _Waiting[K, T], error: Exception | None) -> None:
    if waiting.done.done():
        return
    if error is None:
        waiting.done.set_result(None)
    else:
        waiting.done.set_exception(error)
