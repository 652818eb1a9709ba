"""Handlers of events in this process: what ``app.on`` registers.

They hear of what this process does to jobs, soon after it is written, and cannot harm it: each handler has a
line of its own, in which so many events wait at most. Events are handed over one by one, in order.
"""

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from weakref import WeakKeyDictionary

from headrace.core.events import (
    Change,
    Event,
    EventFilter,
    EventKind,
    change_of,
    change_of_claim,
    change_of_new,
    change_of_progress,
    events_of,
    fits,
)
from headrace.core.job import Job, Transition
from headrace.engine.aftermath import Aftermath, Progressed
from headrace.stores.protocol import NewJob

EventHandler = Callable[[Event], Awaitable[None] | None]

MAX_WAITING: Final = 10_000
"""So many events wait for one handler; of more, the oldest are dropped and counted."""

DRAIN_WITHIN_S: Final = 5.0
"""So long a closing app waits for its handlers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerCounts:
    """What became of one handler's events so far."""

    name: str
    delivered: int
    failed: int
    dropped: int
    waiting: int


class Listener:
    """One handler, with a line of events in each event loop."""

    def __init__(self, handler: EventHandler, wanted: EventFilter) -> None:
        self.name: str = getattr(handler, "__qualname__", repr(handler))
        self.wanted = wanted
        self._handler = handler
        self._is_async = inspect.iscoroutinefunction(handler)
        self._lock = threading.Lock()
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = WeakKeyDictionary()
        self._delivered = self._failed = self._dropped = 0

    @property
    def counts(self) -> ListenerCounts:
        """What became of its events."""
        with self._lock:
            return ListenerCounts(
                name=self.name,
                delivered=self._delivered,
                failed=self._failed,
                dropped=self._dropped,
                waiting=sum(len(line.waiting) for line in self._lines.values()),
            )

    def put(self, events: Sequence[Event]) -> None:
        """Takes events, and has them handed over in the running event loop."""
        asked = [event for event in events if fits(event, self.wanted)]
        if not asked:
            return
        line = self._line(asyncio.get_running_loop())
        beyond = len(line.waiting) + len(asked) - MAX_WAITING
        if beyond > 0:
            self._drop(line, beyond)
        line.waiting.extend(asked)
        if line.task is None or line.task.done():
            line.task = asyncio.get_running_loop().create_task(self._hand_over(line))

    async def drained(self) -> None:
        """Waits until all that the running loop has for the handler is handed over."""
        line = self._lines.get(asyncio.get_running_loop())
        if line is not None and line.task is not None:
            await asyncio.wait([line.task])

    def give_up(self) -> None:
        """Hands nothing more over in the running loop; what waits there counts as dropped."""
        line = self._lines.get(asyncio.get_running_loop())
        if line is not None and line.task is not None:
            line.task.cancel()
            with self._lock:
                self._dropped += len(line.waiting)
            line.waiting.clear()

    async def _hand_over(self, line: "_Line") -> None:
        while line.waiting:
            event = line.waiting.popleft()
            line.is_dropping = False
            try:
                await self._call(event)
            except Exception as error:  # boundary: a handler of events may raise anything
                with self._lock:
                    self._failed += 1
                _logger().warning(
                    "event_handler_failed",
                    handler=self.name,
                    event_kind=event.kind.value,
                    job=event.job_id,
                    error=repr(error),
                )
            else:
                with self._lock:
                    self._delivered += 1

    async def _call(self, event: Event) -> None:
        if not self._is_async:
            outcome = await asyncio.to_thread(self._handler, event)
        else:
            outcome = self._handler(event)
        if inspect.isawaitable(outcome):
            await outcome

    def _drop(self, line: "_Line", count: int) -> None:
        """The oldest go first. The log hears of it once, until the handler has caught up by one."""
        for _ in range(min(count, len(line.waiting))):
            line.waiting.popleft()
        with self._lock:
            self._dropped += count
        if not line.is_dropping:
            line.is_dropping = True
            _logger().warning("events_dropped", handler=self.name, waiting=MAX_WAITING)

    def _line(self, loop: asyncio.AbstractEventLoop) -> "_Line":
        with self._lock:
            line = self._lines.get(loop)
            if line is None:
                line = self._lines[loop] = _Line()
            return line


class _Line:
    def __init__(self) -> None:
        self.waiting: deque[Event] = deque(maxlen=MAX_WAITING)
        self.task: asyncio.Task[None] | None = None
        self.is_dropping = False


class Listeners:
    """All handlers of an app. Whatever nobody listens to costs nothing."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._aftermath: Aftermath | None = None
        self._stops: list[Callable[[], None]] = []

    @property
    def counts(self) -> tuple[ListenerCounts, ...]:
        """What became of each handler's events."""
        return tuple(listener.counts for listener in self._listeners)

    def add(self, handler: EventHandler, wanted: EventFilter) -> None:
        """Has the handler called for events that fit."""
        self._listeners.append(Listener(handler, wanted))
        if self._aftermath is not None:
            self.attach(self._aftermath)

    def attach(self, aftermath: Aftermath) -> None:
        """Listens to the news of an opened store, as far as anybody wants to know."""
        self.detach()
        self._aftermath = aftermath
        if self._is_wanted(EventKind.ENQUEUED):
            self._stops.append(aftermath.inserted.listen(self._inserted))
        if self._is_wanted(EventKind.ACTIVE):
            self._stops.append(aftermath.claimed.listen(self._claimed))
        if self._is_wanted(EventKind.PROGRESS):
            self._stops.append(aftermath.progressed.listen(self._progressed))
        if any(self._is_wanted(kind) for kind in _SETTLED):
            self._stops.append(aftermath.settled.listen(self._settled))

    def detach(self) -> None:
        """Listens to nothing more."""
        for stop in self._stops:
            stop()
        self._stops.clear()
        self._aftermath = None

    async def drained(self) -> None:
        """Waits until the handlers have had all events of this loop, but not for long."""
        try:
            async with asyncio.timeout(DRAIN_WITHIN_S):
                for listener in self._listeners:
                    await listener.drained()
        except TimeoutError:
            for listener in self._listeners:
                listener.give_up()

    def _is_wanted(self, kind: EventKind) -> bool:
        return any(not one.wanted.kinds or kind in one.wanted.kinds for one in self._listeners)

    def _inserted(self, jobs: Sequence[NewJob]) -> None:
        self._tell([change_of_new(job.facts, job.placement) for job in jobs])

    def _claimed(self, jobs: Sequence[Job]) -> None:
        self._tell([change_of_claim(job) for job in jobs])

    def _progressed(self, news: Sequence[Progressed]) -> None:
        self._tell([change_of_progress(one.job, one.progress, one.at) for one in news])

    def _settled(self, transitions: Sequence[Transition]) -> None:
        self._tell([change for one in transitions if (change := change_of(one)) is not None])

    def _tell(self, changes: Sequence[Change]) -> None:
        events = [event for change in changes for event in events_of(change)]
        if events:
            for listener in self._listeners:
                listener.put(events)


_SETTLED: Final = frozenset(EventKind) - {EventKind.ENQUEUED, EventKind.ACTIVE, EventKind.PROGRESS}


@cache
def _logger() -> Any:  # noqa: ANN401 - structlog's loggers have no static type
    import structlog  # noqa: PLC0415 - quiet handlers never need it

    return structlog.get_logger("headrace.engine")
