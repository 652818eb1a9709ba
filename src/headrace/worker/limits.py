"""Time limits, and what is done about handlers that do not stop when told to.

One sweep looks at all running jobs every 50 ms while any has a limit or is told to stop. A timer for
each job would cost as much as the job's own task.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from headrace.clock import Clock
from headrace.worker.events import OnEvent, Overdue
from headrace.worker.held import Held, Why
from headrace.worker.log import log
from headrace.worker.notes import Notes
from headrace.worker.settings import WorkerSettings

TICK: Final = 0.05
MAX_FORCE: Final = 3


class Limits:
    """The sweep."""

    def __init__(  # noqa: PLR0913 - what it watches, and what it does about it
        self,
        running: set[Held],
        settings: WorkerSettings,
        *,
        clock: Clock,
        notes: Notes,
        stop: Callable[[Held, Why], None],
        force: Callable[[Held], None],
        give_up: Callable[[Held], None],
        on_event: OnEvent | None,
    ) -> None:
        self._running = running
        self._settings = settings
        self._clock = clock
        self._notes = notes
        self._stop = stop
        self._force = force
        self._give_up = give_up
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Something has a limit, or is told to stop."""
        if self._timer is None:
            self._timer = self._loop.call_later(TICK, self._sweep)

    def close(self) -> None:
        """Looks no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        watch = False
        for held in tuple(self._running):
            if held.stopping is not None:
                watch = True
                self._press(held, now)
            elif held.deadline is not None:
                watch = True
                if now >= held.deadline:
                    self._stop(held, Why.TIMEOUT)
        if watch:
            self.arm()

    def _press(self, held: Held, now: float) -> None:
        told_ms = (now - held.stop_since) * 1000
        if held.stopping is Why.TIMEOUT and not held.noted_overdue and told_ms >= TICK * 500:
            self._note_overdue(held)
        if held.forced < MAX_FORCE and told_ms >= self._settings.stop_after_ms * (held.forced + 1):
            held.forced += 1
            self._force(held)
        if held.stopping is Why.TIMEOUT and told_ms >= self._settings.grace_ms:
            self._give_up(held)

    def _note_overdue(self, held: Held) -> None:
        """The job stays running until its handler ends; a rescuer will see that it timed out (C21, C23)."""
        held.noted_overdue = True
        for part in held.parts:
            self._notes.timed_out(part.holder, self._clock.now())
        log("handler_overdue", job=held.job.id, type=held.job.facts.type)
        if self._on_event is not None:
            self._on_event(Overdue(held.job))
