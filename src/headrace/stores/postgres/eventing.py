"""The log of changes: triggers that are there while some namespace keeps one."""

from contextlib import suppress
from functools import partial
from typing import Final

from headrace.core.events import NOW, OLDEST, EventFilter, dump_position, load_position
from headrace.errors import CursorTooOld, EventLogOff, InvalidInput, JobNotFound, StoreUnavailable
from headrace.stores.eventing import LOOK, ChangePage, EventKeep, LoggedChange, LogTail, change_of_row
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.session import Row, Session
from headrace.stores.texts import possible
from headrace.stores.values import LogLine

_OFF: Final = EventKeep(keep_ms=0, keep_count=0)
_LAST: Final = 2**63 - 1

_Place = tuple[int, int, int]


async def keep_events(session: Session, namespace: str, keep: EventKeep) -> None:
    """Switches the log on, with the triggers if they are not there, or changes what it keeps."""
    await session.row("lock_event_logs")
    await _write(session, namespace, keep)
    await session.row("match_event_triggers")


async def stop_events(session: Session, namespace: str) -> None:
    """Switches the log off. The triggers do nothing then; they are dropped when nobody is in the way."""
    await session.row("lock_event_logs")
    await _write(session, namespace, _OFF)


async def events_kept(session: Session, namespace: str) -> EventKeep | None:
    """What the namespace's log keeps."""
    found = await session.row("event_log_of", namespace)
    if found is None or not found[1]:
        return None
    return EventKeep(keep_ms=found[0], keep_count=found[1])


async def changes(session: Session, namespace: str, after: str, wanted: EventFilter) -> ChangePage:
    """Changes after a cursor that fit. Two statements of one snapshot."""
    found = await session.row("event_log_of", namespace)
    if found is None or not found[1]:
        raise EventLogOff(namespace)
    _, _, epoch, *since, horizon, unborn = found
    begin = _begin(after, (epoch, *since), horizon, unborn)
    if after == NOW:
        return ChangePage(changes=(), cursor=dump_position(*begin), at_end=True)
    asked = (wanted.job_id, wanted.queue, wanted.type)
    given = [text for text in asked if text is not None]
    looked = (
        await session.rows("events_after", namespace, *begin[1:], horizon, LOOK, *asked)
        if len(possible(given)) == len(given)
        else []
    )
    return ChangePage(
        changes=tuple(
            LoggedChange(cursor=dump_position(epoch, transaction, number), change=change_of_row(columns))
            for _, _, transaction, number, *columns in looked
            if number is not None
        ),
        cursor=dump_position(epoch, *(looked[0][:2] if looked else begin[1:])),
        at_end=not looked,
    )


async def trim_events(database: Database, now: int, limit: int) -> int:
    """Deletes what is too old or too many, and drops the triggers once no log is on."""
    logs = await database.read(lambda session: session.rows("event_logs"))
    if logs and not any(keep_count for *_, keep_count in logs):
        await drop_idle_triggers(database)
    return sum([await database.alone(partial(_trim, log, now, limit)) for log in logs])


async def drop_idle_triggers(database: Database) -> None:
    """Drops the triggers if no log is on; they do no harm, so another time will do as well."""
    with suppress(StoreUnavailable):
        await database.together(_match_triggers)


async def log_tail(session: Session, namespace: str, job_id: str, after: int | None, limit: int) -> LogTail:
    """What a job's handlers logged after a number."""
    found = await session.rows("lines_after", namespace, job_id, after, limit) if possible([job_id]) else []
    if not found:
        raise JobNotFound(job_id)
    lines = [row[2:] for row in found if row[2] is not None]
    return LogTail(
        lines=tuple(
            LogLine(at=at, level=level, message=message.decode(), data=data)
            for _, at, level, message, data in lines
        ),
        number=lines[-1][0] if lines else max(0, found[0][1]),
    )


async def _match_triggers(session: Session) -> None:
    await session.row("lock_event_logs")
    await session.row("match_event_triggers")


async def _write(session: Session, namespace: str, keep: EventKeep) -> None:
    await session.run("write_event_log", namespace, keep.keep_ms, keep.keep_count)


async def _trim(log: Row, now: int, limit: int, session: Session) -> int:
    namespace, transaction, number, keep_ms, keep_count = log
    given = (namespace, transaction, number, now - keep_ms, keep_count, limit)
    (count,) = await session.row("trim_events", *given) or (0,)
    return count


def _begin(after: str, since: _Place, horizon: int, unborn: int) -> _Place:
    if after == NOW:
        return max(since, (since[0], horizon - 1, _LAST))
    if after == OLDEST:
        return since
    place = load_position(after)
    if place[0] > since[0] or place[1] >= unborn:
        raise InvalidInput("this cursor is of another store", field="after")
    if place < since:
        raise CursorTooOld(after)
    return place


class KeepsEvents:
    """Keeps ``headrace.stores.eventing.EventStore``, as part of the store."""

    _database: Database

    async def keep_events(self, namespace: str, keep: EventKeep | None) -> None:
        if keep is None:
            await self._database.together(lambda session: stop_events(session, namespace))
            await drop_idle_triggers(self._database)
        else:
            await self._database.together(lambda session: keep_events(session, namespace, keep))

    async def events_kept(self, namespace: str) -> EventKeep | None:
        return await self._database.read(lambda session: events_kept(session, namespace))

    async def changes(self, namespace: str, after: str, wanted: EventFilter) -> ChangePage:
        return await self._database.snapshot(lambda session: changes(session, namespace, after, wanted))

    async def trim_events(self, *, now: int, limit: int) -> int:
        return await trim_events(self._database, now, limit)

    async def log_tail(self, namespace: str, job_id: str, *, after: int | None, limit: int) -> LogTail:
        return await self._database.read(lambda session: log_tail(session, namespace, job_id, after, limit))
