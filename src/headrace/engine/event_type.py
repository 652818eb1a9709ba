"""Events as a program uses them: handlers in this process, and the log of all processes."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Final, Protocol, TypeVar

from headrace.core.audit import AuditEntry
from headrace.core.events import NOW, Event, EventFilter, checked_start, kinds_named
from headrace.core.wire import Json
from headrace.engine.event_operations import USUAL_KEEP
from headrace.engine.listeners import EventHandler, ListenerCounts, Listeners
from headrace.engine.operations import Operations
from headrace.errors import InvalidInput
from headrace.stores.eventing import EventKeep

H = TypeVar("H", bound=EventHandler)

_MS: Final = 1_000


class EventApp(Protocol):
    """What events need of their app."""

    actor: str
    listeners: Listeners

    async def operations(self) -> Operations:
        """The engine, opened if need be."""
        ...


class HearsEvents:
    """The part of an app that hears of what happens to jobs, and puts on record what people do."""

    def on(
        self: EventApp,
        *kinds: str,
        type: str | None = None,  # noqa: A002 - the word of the glossary
        queue: str | None = None,
    ) -> Callable[[H], H]:
        """Has the decorated function called with an ``Event`` for what this process does to jobs.

        ``app.on("completed", "failed")``; no kind means all. The function may be async or plain (then it runs
        in a thread), and what it raises is logged. Events of other processes come by ``app.events``.
        Raises InvalidInput for a kind that there is not.
        """
        wanted = EventFilter(kinds=kinds_named(kinds), type=type, queue=queue)

        def register(handler: H) -> H:
            self.listeners.add(handler, wanted)
            return handler

        return register

    @property
    def listener_counts(self: EventApp) -> tuple[ListenerCounts, ...]:
        """How many events each handler of ``app.on`` got, failed at, missed and has waiting."""
        return self.listeners.counts

    async def events(
        self: EventApp,
        *,
        kinds: Iterable[str] = (),
        job_id: str | None = None,
        type: str | None = None,  # noqa: A002 - the word of the glossary
        queue: str | None = None,
        after: str = NOW,
    ) -> AsyncGenerator[Event]:
        """What happens to jobs in any process, as it happens, from the namespace's log; without an end.

        ``after``: the ``cursor`` of an event to go on behind it, ``oldest`` or ``now``. At least once, in
        order. Raises EventLogOff until ``keep_events`` has been called once, CursorTooOld, InvalidInput.
        """
        wanted = EventFilter(kinds=kinds_named(kinds), job_id=job_id, type=type, queue=queue)
        following = (await self.operations()).follow_events(wanted, after=checked_start(after))
        async for event in following:
            yield event

    async def keep_events(
        self: EventApp, *, keep: float = USUAL_KEEP.keep_ms / _MS, count: int = USUAL_KEEP.keep_count
    ) -> None:
        """Switches the log of events on for the namespace and all its programs, or changes what it keeps.

        ``keep`` is in seconds (7 days), ``count`` how many of the newest are kept at most (100,000). Raises
        InvalidInput, StoreError.
        """
        if not 0 < keep < float("inf"):
            raise InvalidInput("keep must be a number of seconds above 0", field="keep")
        told = EventKeep(keep_ms=round(keep * _MS), keep_count=count)
        await (await self.operations()).keep_events(told)

    async def stop_events(self: EventApp) -> None:
        """Switches the log of events off and drops what is in it."""
        await (await self.operations()).stop_events()

    async def record_audit(
        self: EventApp,
        action: str,
        entity_type: str,
        entity_id: str,
        metadata: Mapping[str, Json] | None = None,
        *,
        actor: str | None = None,
    ) -> AuditEntry:
        """Puts something on record: see ``AuditOperations.record_audit``."""
        return await (await self.operations()).record_audit(
            actor=actor or self.actor,
            action=action,
            entity_type=entity_type,
            entity_id=entity_id,
            metadata=metadata,
        )
