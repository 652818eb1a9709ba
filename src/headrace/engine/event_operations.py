"""Events and the tails of logs, as a part of the operations."""

from collections.abc import AsyncIterator
from typing import Final, Protocol

from headrace.core.events import NOW, Event, EventFilter
from headrace.core.filters import DEFAULT_LIMIT
from headrace.core.policy import DAY_MS
from headrace.engine.event_log import EventLog, EventPage
from headrace.stores.eventing import EventKeep
from headrace.stores.protocol import LogLine

USUAL_KEEP: Final = EventKeep(keep_ms=7 * DAY_MS, keep_count=100_000)


class EventOperations(Protocol):
    """What happens to jobs, from the namespace's log."""

    async def keep_events(self, keep: EventKeep = USUAL_KEEP) -> None:
        """Switches the namespace's log of events on, or changes what it keeps.

        Whatever happens to its jobs after this has returned is in the log. Raises InvalidInput;
        StoreUnavailable where another session keeps the tables locked.
        """
        ...

    async def stop_events(self) -> None:
        """Switches the log off and drops what is in it."""
        ...

    async def events_kept(self) -> EventKeep | None:
        """What the log keeps; None while it is off."""
        ...

    async def events(self, wanted: EventFilter, *, after: str, limit: int = DEFAULT_LIMIT) -> EventPage:
        """Events that fit, oldest first, after a cursor, ``now`` or ``oldest``: at least once, in order.

        ``now`` gives none, and the cursor of what comes from now on. Raises EventLogOff, CursorTooOld,
        InvalidInput.
        """
        ...

    def follow_events(self, wanted: EventFilter, *, after: str = NOW) -> AsyncIterator[Event]:
        """As ``events``, without an end: waits for what is to come."""
        ...

    def follow_log(self, job_id: str, *, latest: int = DEFAULT_LIMIT) -> AsyncIterator[LogLine]:
        """The latest lines of a job's log, then those to come, until it has ended. Raises JobNotFound."""
        ...


class LocalEvents:
    """Keeps ``EventOperations`` over a store."""

    event_log: EventLog

    async def keep_events(self, keep: EventKeep = USUAL_KEEP) -> None:
        await self.event_log.keep(keep)

    async def stop_events(self) -> None:
        await self.event_log.stop()

    async def events_kept(self) -> EventKeep | None:
        return await self.event_log.kept()

    async def events(self, wanted: EventFilter, *, after: str, limit: int = DEFAULT_LIMIT) -> EventPage:
        return await self.event_log.read(wanted, after, limit)

    def follow_events(self, wanted: EventFilter, *, after: str = NOW) -> AsyncIterator[Event]:
        return self.event_log.follow(wanted, after)

    def follow_log(self, job_id: str, *, latest: int = DEFAULT_LIMIT) -> AsyncIterator[LogLine]:
        return self.event_log.follow_lines(job_id, latest=latest)
