"""The log of changes: triggers that are there while some namespace keeps one."""

from typing import Final

import apsw

from headrace.core.events import NOW, OLDEST, EventFilter, dump_position, load_position
from headrace.errors import CursorTooOld, EventLogOff, InvalidInput, JobNotFound
from headrace.stores.eventing import LOOK, ChangePage, EventKeep, LoggedChange, LogTail, change_of_row
from headrace.stores.sqlite.database import Database
from headrace.stores.sqlite.statements import first, queries, rows, run, write
from headrace.stores.sqlite.transaction import Write
from headrace.stores.texts import possible
from headrace.stores.values import LogLine

_SQL = queries("events")
_STEPS = queries("steps")
_OFF: Final = EventKeep(keep_ms=0, keep_count=0)
_ONE_WRITER: Final = 0
"""All transactions are made one after the other, so the number of a change says where it lies."""


def keep_events(at: Write, namespace: str, keep: EventKeep | None) -> None:
    """Switches the log on or off, with all triggers as soon as they are needed, or no more."""
    wanted = keep or _OFF
    given = {"namespace": namespace, "keep_ms": wanted.keep_ms, "keep_count": wanted.keep_count}
    run(at.db, _SQL["write_event_log"], given)
    (is_any_on,) = first(at.db, _SQL["is_any_log_on"], {}) or (0,)
    prefix = "make_trigger_" if is_any_on else "drop_trigger_"
    for name, query in _SQL.items():
        if name.startswith(prefix):
            run(at.db, query)


def events_kept(db: apsw.Connection, namespace: str) -> EventKeep | None:
    """What the namespace's log keeps."""
    found = first(db, _SQL["event_log_of"], {"namespace": namespace})
    if found is None or not found[1]:
        return None
    return EventKeep(keep_ms=found[0], keep_count=found[1])


def changes(db: apsw.Connection, namespace: str, after: str, wanted: EventFilter) -> ChangePage:
    """Changes after a cursor that fit."""
    found = first(db, _SQL["event_log_of"], {"namespace": namespace})
    if found is None or not found[1]:
        raise EventLogOff(namespace)
    _, _, epoch, since, newest = found
    begin = _begin(after, epoch, since, newest)
    if after == NOW:
        return ChangePage(changes=(), cursor=_cursor(epoch, begin), at_end=True)
    given = {
        "namespace": namespace,
        "after": begin,
        "limit": LOOK,
        "job_id": wanted.job_id,
        "queue": wanted.queue,
        "type": wanted.type,
    }
    looked = rows(db, _SQL["events_after"], given) if _may_fit(wanted) else []
    return ChangePage(
        changes=tuple(
            LoggedChange(cursor=_cursor(epoch, number), change=change_of_row(columns))
            for _, number, *columns in looked
            if number is not None
        ),
        cursor=_cursor(epoch, looked[0][0] if looked else begin),
        at_end=not looked,
    )


def trim_events(at: Write, now: int, limit: int) -> int:
    """Deletes what is too old or too many."""
    deleted = 0
    for namespace, since, keep_ms, keep_count in rows(at.db, _SQL["event_logs"], {}):
        given = {
            "namespace": namespace,
            "since": since,
            "keep_count": keep_count,
            "oldest_kept": now - keep_ms,
            "limit": limit,
        }
        (until,) = first(at.db, _SQL["worn_events"], given) or (None,)
        if until is not None:
            which = {"namespace": namespace, "until": until}
            deleted += write(at.db, _SQL["trim_events"], which)
            write(at.db, _SQL["raise_since"], which)
    return deleted


def log_tail(db: apsw.Connection, namespace: str, job_id: str, after: int | None, limit: int) -> LogTail:
    """What a job's handlers logged after a number."""
    given = {"id": job_id, "namespace": namespace}
    found = first(db, _STEPS["seq_of"], given) if possible([job_id]) else None
    if found is None:
        raise JobNotFound(job_id)
    (seq,) = found
    (last,) = first(db, _SQL["last_line_of"], {"seq": seq}) or (0,)
    begin = max(0, last - limit) if after is None else after
    lines = rows(db, _SQL["lines_after"], {"seq": seq, "after": begin, "limit": limit})
    return LogTail(
        lines=tuple(
            LogLine(at=at, level=level, message=message, data=data) for _, at, level, message, data in lines
        ),
        number=lines[-1][0] if lines else begin,
    )


def _begin(after: str, epoch: int, since: int, newest: int) -> int:
    if after == NOW:
        return newest
    if after == OLDEST:
        return since
    of_epoch, transaction, number = load_position(after)
    if of_epoch > epoch or transaction != _ONE_WRITER or number > newest:
        raise InvalidInput("this cursor is of another store", field="after")
    if (of_epoch, number) < (epoch, since):
        raise CursorTooOld(after)
    return number


def _cursor(epoch: int, number: int) -> str:
    return dump_position(epoch, _ONE_WRITER, number)


def _may_fit(wanted: EventFilter) -> bool:
    asked = [text for text in (wanted.job_id, wanted.queue, wanted.type) if text is not None]
    return len(possible(asked)) == len(asked)


class KeepsEvents:
    """Keeps ``headrace.stores.eventing.EventStore``, as part of the store."""

    _database: Database

    async def keep_events(self, namespace: str, keep: EventKeep | None) -> None:
        await self._database.write(lambda at: keep_events(at, namespace, keep))

    async def events_kept(self, namespace: str) -> EventKeep | None:
        return await self._database.read(lambda db: events_kept(db, namespace))

    async def changes(self, namespace: str, after: str, wanted: EventFilter) -> ChangePage:
        return await self._database.read(lambda db: changes(db, namespace, after, wanted))

    async def trim_events(self, *, now: int, limit: int) -> int:
        return await self._database.write(lambda at: trim_events(at, now, limit), rows=limit)

    async def log_tail(self, namespace: str, job_id: str, *, after: int | None, limit: int) -> LogTail:
        return await self._database.read(lambda db: log_tail(db, namespace, job_id, after, limit))
