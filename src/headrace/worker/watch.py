"""What the pulse watches: the worker's event loop, and the clocks."""

import asyncio
import sys
import threading
import time
import traceback
from typing import Final

from headrace.core.job import Job
from headrace.worker.events import LoopBlocked, OnEvent
from headrace.worker.held import Holdings
from headrace.worker.log import log, tell

BLOCKED_AFTER: Final = 1.0
GAP: Final = 1.0
MAX_FRAMES: Final = 30
_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class LoopWatch:
    """Notices from another thread that a loop does not turn, and says once per incident what blocks it.

    Made in the loop's own thread, used in another one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, holdings: Holdings, on_event: OnEvent | None) -> None:
        self._loop = loop
        self._holdings = holdings
        self._on_event = on_event
        self._thread = threading.get_ident()
        self._pinged_at: float | None = None
        self._told = False

    def look(self) -> None:
        """Pings the loop, or looks how long it has not answered."""
        now, pinged_at = time.monotonic(), self._pinged_at  # read once: the loop's thread clears it
        if pinged_at is None:
            self._pinged_at = now
            try:
                self._loop.call_soon_threadsafe(self._pong)
            except RuntimeError:
                return  # the loop is closed
        elif now - pinged_at > BLOCKED_AFTER and not self._told:
            self._told = True
            self._tell(now - pinged_at)

    def _pong(self) -> None:
        if self._told and self._pinged_at is not None:
            tell("loop_turns_again", after_seconds=round(time.monotonic() - self._pinged_at, 3))
        self._pinged_at = None
        self._told = False  # last, or the other thread could tell of the same incident again

    def _tell(self, seconds: float) -> None:
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - there is no other way
        stack = "".join(traceback.format_stack(frame, MAX_FRAMES)) if frame is not None else ""
        job = self._blocking_job()
        log(
            "loop_blocked",
            seconds=round(seconds, 3),
            job=None if job is None else job.id,
            type=None if job is None else job.facts.type,
            stack=stack,
        )
        if self._on_event is not None:
            self._on_event(LoopBlocked(seconds, job, stack))

    def _blocking_job(self) -> Job | None:
        task = asyncio.current_task(self._loop)
        if task is None:
            return None
        return next((held.job for held in self._holdings.all() if held.task is task), None)


class SuspendWatch:
    """Notices that the machine was suspended, or that this process did not run."""

    def __init__(self) -> None:
        self._boot, self._mono = time.clock_gettime(_BOOT), time.monotonic()

    def gap(self, expected: float) -> float:
        """Seconds lost since the last look beyond the ``expected`` ones; 0 for none worth a word."""
        boot, mono = time.clock_gettime(_BOOT), time.monotonic()
        suspended = (boot - self._boot) - (mono - self._mono)
        stalled = mono - self._mono - expected
        self._boot, self._mono = boot, mono
        lost = max(suspended, stalled, suspended + stalled)
        return lost if lost > GAP else 0.0
