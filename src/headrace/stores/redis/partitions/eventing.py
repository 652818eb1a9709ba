"""One log of changes out of those of several partitions.

Each partition numbers its changes by itself, near the time. Whoever reads raises all these numbers to the
highest first: so what comes later has a higher one everywhere, and what was read up to it is final. A
cursor is a number, and the partition up to which that number was read.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from headrace.core.events import NOW, OLDEST, EventFilter, dump_position, load_position
from headrace.errors import CursorTooOld, EventLogOff
from headrace.stores.eventing import ChangePage, EventKeep, LoggedChange
from headrace.stores.redis.partitions.parts import Parts, gathered
from headrace.stores.redis.partitions.places import HOME
from headrace.stores.redis.store import RedisStore

_BEGINNING: Final = 0
_ENOUGH: Final = 200


class KeepsEvents:
    """Keeps ``headrace.stores.eventing.EventStore``, as part of the store."""

    _parts: Parts

    async def keep_events(self, namespace: str, keep: EventKeep | None) -> None:
        """The others first: while the home keeps one, all do."""
        for number in reversed(range(await self._parts.count(namespace))):
            await self._parts.store(number).keep_events(namespace, keep)

    async def events_kept(self, namespace: str) -> EventKeep | None:
        return await self._parts.home.events_kept(namespace)

    async def changes(self, namespace: str, after: str, wanted: EventFilter) -> ChangePage:
        numbers = range(await self._parts.count(namespace))
        if len(numbers) == 1:
            return await self._parts.home.changes(namespace, after, wanted)
        begin = None if after in {NOW, OLDEST} else load_position(after)
        epochs, highest = await self._levelled(namespace, numbers)
        if begin is not None and begin[0] < epochs[HOME]:
            raise CursorTooOld(after)
        if after == NOW:
            end = dump_position(epochs[HOME], numbers[-1], highest)
            return ChangePage(changes=(), cursor=end, at_end=True)
        pages = await gathered(
            _read(self._parts.store(number), namespace, _start(begin, after, number, epochs[number]), wanted)
            for number in numbers
        )
        return _merged(pages, epochs[HOME], highest)

    async def trim_events(self, *, now: int, limit: int) -> int:
        return sum(await self._parts.everywhere(lambda one: one.trim_events(now=now, limit=limit)))

    async def _levelled(self, namespace: str, numbers: Sequence[int]) -> tuple[list[int], int]:
        """The epoch of each partition's log, and the number that all changes to come are beyond."""
        logs = await gathered(
            self._parts.database(number).call(
                "HMGET", self._parts.database(number).keys(namespace).log, "epoch", "number", "keep_count"
            )
            for number in numbers
        )
        if not int(logs[HOME][2] or 0):
            raise EventLogOff(namespace)
        highest = max(int(number or 0) for _, number, _ in logs)
        behind = [number for number in numbers if int(logs[number][1] or 0) < highest]
        for number in behind:
            database = self._parts.database(number)
            await database.write(database.keys(namespace), [("log_beyond", highest)])
        return [int(epoch or 0) for epoch, _, _ in logs], highest


async def _read(store: RedisStore, namespace: str, after: str, wanted: EventFilter) -> ChangePage:
    """The changes of one partition up to its end, or as many as are enough for a page."""
    found: list[LoggedChange] = []
    while True:
        page = await store.changes(namespace, after, wanted)
        found += page.changes
        if page.at_end or len(found) >= _ENOUGH:
            return replace(page, changes=tuple(found))
        after = page.cursor


def _start(begin: tuple[int, int, int] | None, after: str, number: int, epoch: int) -> str:
    """Where one partition is read from: its change of the cursor's number is behind it, or still to come."""
    if begin is None:
        return after
    _, partition, last = begin
    return dump_position(epoch, _BEGINNING, last if number <= partition else max(last - 1, 0))


def _merged(pages: Sequence[ChangePage], epoch: int, highest: int) -> ChangePage:
    """What lies up to the place up to which every partition was looked at."""
    ends = [(load_position(one.cursor)[2], number) for number, one in enumerate(pages) if not one.at_end]
    end = min(ends, default=(highest, len(pages) - 1))
    found: list[tuple[int, int, LoggedChange]] = []
    for number, page in enumerate(pages):
        found += ((load_position(one.cursor)[2], number, one) for one in page.changes)
    found = sorted((one for one in found if one[:2] <= end), key=lambda one: one[:2])
    return ChangePage(
        changes=tuple(
            replace(change, cursor=dump_position(epoch, number, place)) for place, number, change in found
        ),
        cursor=dump_position(epoch, end[1], end[0]),
        at_end=not ends and not found,
    )
