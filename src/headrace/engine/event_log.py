"""The log of events over a store: switched on and off, read in pages, followed."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from headrace.core.events import NOW, Event, EventFilter, checked_start, events_of, fits
from headrace.core.filters import Page
from headrace.engine.hints import ENDED_HINT
from headrace.errors import InvalidInput
from headrace.stores.eventing import EventKeep, LoggedChange
from headrace.stores.protocol import LogLine, Store

POLL_MS: Final = 500
"""Ends of jobs are hinted at; who follows finds all else within this time."""

LINES_AT_ONCE: Final = 200
MIN_KEEP_MS: Final = 1_000
MAX_KEEP_MS: Final = 366 * 86_400_000
MAX_KEEP_COUNT: Final = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Part of the log, oldest first. ``cursor`` goes on behind it, also where no event fitted."""

    events: tuple[Event, ...]
    cursor: str
    at_end: bool


class EventLog:
    """The events of one namespace, and the logs of its jobs."""

    def __init__(self, store: Store, namespace: str) -> None:
        self._store = store
        self._namespace = namespace

    async def keep(self, keep: EventKeep) -> None:
        """Switches the log on, or changes what it keeps. Raises InvalidInput."""
        if not MIN_KEEP_MS <= keep.keep_ms <= MAX_KEEP_MS:
            raise InvalidInput("events are kept for at least a second and at most 366 days", field="keep")
        if not 1 <= keep.keep_count <= MAX_KEEP_COUNT:
            raise InvalidInput(f"between 1 and {MAX_KEEP_COUNT} events are kept", field="count")
        await self._store.keep_events(self._namespace, keep)

    async def stop(self) -> None:
        """Switches the log off and drops what is in it."""
        await self._store.keep_events(self._namespace, None)

    async def kept(self) -> EventKeep | None:
        """What the log keeps; None while it is off."""
        return await self._store.events_kept(self._namespace)

    async def read(self, wanted: EventFilter, after: str, limit: int) -> EventPage:
        """Events that fit, after a cursor. A page ends with a change, so it may hold a few more."""
        page = await self._store.changes(self._namespace, checked_start(after), wanted)
        if page.at_end:
            return EventPage(events=(), cursor=page.cursor, at_end=True)
        found: list[Event] = []
        before = after
        for logged in page.changes:
            found.extend(_events(logged, wanted, before))
            before = logged.cursor
            if len(found) >= limit and logged is not page.changes[-1]:
                return EventPage(events=tuple(found), cursor=logged.cursor, at_end=False)
        return EventPage(events=tuple(found), cursor=page.cursor, at_end=False)

    async def follow(self, wanted: EventFilter, after: str) -> AsyncGenerator[Event]:
        """Events that fit, as they come, for ever."""
        cursor = after
        while True:
            page = await self.read(wanted, cursor, Page().limit)
            cursor = page.cursor
            for event in page.events:
                yield event
            if page.at_end:
                await self._woken()

    async def follow_lines(self, job_id: str, *, latest: int) -> AsyncGenerator[LogLine]:
        """The ``latest`` lines of a job's log, then those that come, until the job has ended."""
        number: int | None = None
        limit = latest
        while True:
            job = (await self._store.get(self._namespace, (job_id,))).get(job_id)
            has_ended = (
                job is None or job.placement.terminal
            )  # asked before the lines, which come before the end
            tail = await self._store.log_tail(self._namespace, job_id, after=number, limit=limit)
            number, limit = tail.number, LINES_AT_ONCE
            for line in tail.lines:
                yield line
            if not tail.lines:
                if has_ended:
                    return
                await self._woken()

    async def _woken(self) -> None:
        await self._store.woken(self._namespace, frozenset({ENDED_HINT}), timeout_ms=POLL_MS)


def _events(logged: LoggedChange, wanted: EventFilter, before: str) -> Sequence[Event]:
    """The events of a change that fit. All but the last have the cursor before the change.

    Whoever stops between two of them is given both again, and misses none.
    """
    found = [event for event in events_of(logged.change) if fits(event, wanted)]
    earlier = None if before == NOW else before
    return [replace(event, cursor=logged.cursor if event is found[-1] else earlier) for event in found]
