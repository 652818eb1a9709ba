"""Inserts of one event loop that wait at the same moment share one statement and one commit.

While one insert is under way the others gather; they go together when it has ended, and each is
acknowledged by itself. So sixteen producers cost little more than one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary

from headrace.errors import InvalidInput
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.rows import Values, arrays, shared
from headrace.stores.postgres.session import Session

AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What all rows of one statement have in common."""

    namespace: str
    state: str
    isolation: int
    generation: int


@dataclass(eq=False, slots=True)
class _Waiting:
    shape: Shape
    rows: Sequence[Values]
    done: asyncio.Future[None]


@dataclass(eq=False, slots=True)
class _Gathering:
    """What waits in one loop. ``busy``: somebody inserts, and sees to it that the rest goes next."""

    waiting: list[_Waiting] = field(default_factory=list[_Waiting])
    busy: bool = False
    rest: asyncio.Task[None] | None = None


class Gatherer:
    """Inserts rows of ``insert_plain``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gatherings: WeakKeyDictionary[asyncio.AbstractEventLoop, _Gathering] = WeakKeyDictionary()

    async def insert(self, shape: Shape, rows: Sequence[Values]) -> None:
        """Returns when the rows are committed."""
        loop = asyncio.get_running_loop()
        gathering = self._gatherings.get(loop)
        if gathering is None:
            gathering = self._gatherings[loop] = _Gathering()
        if gathering.busy:
            waiting = _Waiting(shape, rows, loop.create_future())
            gathering.waiting.append(waiting)
            await waiting.done
            return
        gathering.busy = True
        try:
            await self._write(shape, rows)
        finally:
            self._go_on(gathering)

    def _go_on(self, gathering: _Gathering) -> None:
        if gathering.waiting:
            gathering.rest = asyncio.create_task(self._insert_rest(gathering))
        else:
            gathering.busy = False

    async def _insert_rest(self, gathering: _Gathering) -> None:
        try:
            while gathering.waiting:
                await self._together(_taken(gathering))
        finally:
            gathering.busy = False
            for waiting in gathering.waiting:  # this loop shuts down
                waiting.done.cancel()
            gathering.waiting.clear()

    async def _together(self, group: Sequence[_Waiting]) -> None:
        """Writes a group. If a value of one cannot be kept, the others must not suffer for it."""
        try:
            await self._write(group[0].shape, [row for one in group for row in one.rows])
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

    async def _write(self, shape: Shape, rows: Sequence[Values]) -> None:
        async def op(session: Session) -> None:
            ids, queues, types, payloads, *others = arrays(rows)
            (queues, types, *others), alike = shared([queues, types, *others])
            await session.run(
                "insert_plain",
                shape.namespace,
                shape.state,
                shape.isolation,
                shape.generation,
                ids,
                queues,
                types,
                payloads,
                *others,
                *alike,
            )

        if rows:
            await self._database.alone(op)


def _taken(gathering: _Gathering) -> Sequence[_Waiting]:
    """The first that wait, as many as are alike and fit into one statement."""
    first = gathering.waiting[0]
    room, count = AT_ONCE, 0
    for one in gathering.waiting:
        room -= len(one.rows)
        if one.shape != first.shape or (count and room < 0):
            break
        count += 1
    group = gathering.waiting[:count]
    del gathering.waiting[:count]
    return group


def _end(waiting: _Waiting, error: Exception | None) -> None:
    if waiting.done.done():
        return
    if error is None:
        waiting.done.set_result(None)
    else:
        waiting.done.set_exception(error)
