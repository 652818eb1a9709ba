"""The log of changes: a stream in each namespace that keeps one, in the order in which the scripts ran."""

import json
from collections.abc import Sequence
from typing import Any, Final

from headrace.core.events import NOW, OLDEST, EventFilter, dump_position, load_position
from headrace.core.ids import is_id
from headrace.errors import CursorTooOld, EventLogOff, InvalidInput, JobNotFound
from headrace.stores.eventing import ChangePage, EventKeep, LoggedChange, LogTail, change_of_row
from headrace.stores.redis.database import Database
from headrace.stores.redis.keys import Keys
from headrace.stores.values import LogLine

_PAGE: Final = 500
"""So many changes are looked at, or trimmed, in one script."""

_OFF: Final = EventKeep(keep_ms=0, keep_count=0)
_ONE_WRITER: Final = 0
"""All scripts run one after the other, so the number of a change says where it lies."""

_LAST: Final = 2**53 - 1
_NUMBERS: Final = frozenset({0, 6, 7, 8, 9})
"""Which of a change's columns are numbers."""


class KeepsEvents:
    """Keeps ``headrace.stores.eventing.EventStore``, as part of the store."""

    _database: Database

    async def keep_events(self, namespace: str, keep: EventKeep | None) -> None:
        wanted = keep or _OFF
        write = ("keep_events", wanted.keep_ms, wanted.keep_count)
        await self._database.write(self._database.keys(namespace), [write])

    async def events_kept(self, namespace: str) -> EventKeep | None:
        log = self._database.keys(namespace).log
        keep_ms, keep_count = await self._database.call("HMGET", log, "keep_ms", "keep_count")
        if not int(keep_count or 0):
            return None
        return EventKeep(keep_ms=int(keep_ms), keep_count=int(keep_count))

    async def changes(self, namespace: str, after: str, wanted: EventFilter) -> ChangePage:
        begin = None if after in {NOW, OLDEST} else load_position(after)
        start: str | int = after if begin is None else min(max(begin[2], 0), _LAST)
        asked = (wanted.job_id, wanted.queue, wanted.type)
        keys = self._database.keys(namespace)
        looked = await self._database.look(keys, "changes_after", start, _PAGE, *asked)
        if not looked:
            raise EventLogOff(namespace)
        epoch, since, newest, begun, end, found = looked
        if begin is not None:
            _refuse_elsewhere(begin, after, epoch=epoch, since=since, newest=newest)
        return ChangePage(
            changes=tuple(
                LoggedChange(
                    cursor=dump_position(epoch, _ONE_WRITER, number), change=change_of_row(_row(columns))
                )
                for number, *columns in found
            ),
            cursor=dump_position(epoch, _ONE_WRITER, end or begun),
            at_end=not end,
        )

    async def trim_events(self, *, now: int, limit: int) -> int:
        deleted = 0
        for namespace in await self._database.namespaces():
            deleted += await self._trimmed(self._database.keys(namespace), now, limit)
        return deleted

    async def log_tail(self, namespace: str, job_id: str, *, after: int | None, limit: int) -> LogTail:
        keys = self._database.keys(namespace)
        found = (
            await self._database.look(keys, "lines_after", job_id, after, limit) if is_id(job_id) else None
        )
        if not found:
            raise JobNotFound(job_id)
        number, lines = found
        return LogTail(lines=tuple(map(_line, lines)), number=number)

    async def _trimmed(self, keys: Keys, now: int, limit: int) -> int:
        deleted = 0
        while deleted < limit:
            some = min(_PAGE, limit - deleted)
            count = await self._database.run(keys, "trim_changes", now, some)
            deleted += count
            if count < some:
                break
        return deleted


def _refuse_elsewhere(
    begin: tuple[int, int, int], after: str, *, epoch: int, since: int, newest: int
) -> None:
    of_epoch, transaction, number = begin
    if of_epoch > epoch or transaction != _ONE_WRITER or number > newest:
        raise InvalidInput("this cursor is of another store", field="after")
    if (of_epoch, number) < (epoch, since):
        raise CursorTooOld(after)


def _line(text: str) -> LogLine:
    at, level, message, data = json.loads(text)
    return LogLine(at=at, level=level, message=message, data=data)


def _row(columns: Sequence[str]) -> Sequence[Any]:
    """The columns of a change; what is empty is null."""
    return [
        (int(text) if index in _NUMBERS else text) if text else None for index, text in enumerate(columns)
    ]
