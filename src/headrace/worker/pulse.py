"""Keeps leases alive from a thread of its own, so that a handler that blocks the loop costs no lease.

The thread has its own event loop and its own way to the store. Besides renewing it learns which jobs
are asked to cancel and which are lost, gives up jobs it cannot renew in time (C15), says hello, and
watches two clocks and the worker's loop: a suspended machine must renew before it does anything
else, and a blocked loop is worth a line in the log that names the handler.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from headrace.engine.work import Renewer, WorkerHello, WorkSource
from headrace.errors import HeadraceError, StoreError
from headrace.worker.events import OnEvent, Renewed, StoreLost
from headrace.worker.held import Held, Holdings, Why
from headrace.worker.log import log
from headrace.worker.settings import WorkerSettings
from headrace.worker.waiting import Patience, rings
from headrace.worker.watch import LoopWatch, SuspendWatch

HELLO_EVERY: Final = 10.0
HURRY_EVERY: Final = 1.0
WATCH_EVERY: Final = 0.25
UNSTARTED_EVERY: Final = 1.0
CHUNK: Final = 500
STUCK_AFTER: Final = 1.0

Tell = Callable[[Sequence[Held], Why], None]


class Pulse:
    """The renewing thread of one worker."""

    def __init__(  # noqa: PLR0913 - what it renews, and whom it tells
        self,
        work: WorkSource,
        settings: WorkerSettings,
        holdings: Holdings,
        *,
        tell: Tell,
        hello: Callable[[], WorkerHello],
        died: Callable[[], None],
        on_event: OnEvent | None,
    ) -> None:
        self._work = work
        self._settings = settings
        self._holdings = holdings
        self._tell = tell
        self._hello = hello
        self._died = died
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="headrace-pulse", daemon=True)
        self._own: asyncio.AbstractEventLoop | None = None
        self._bell = asyncio.Event()  # both belong to the loop of the pulse's own thread
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()
        self._stop_asked = False
        self._hurried = False
        self._hurried_at = 0.0
        self._asked_at: float | None = None
        self._failing = False
        self._patience = Patience()
        self._loop_watch = LoopWatch(self._loop, holdings, on_event)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def hurry(self) -> None:
        """A hint came: somebody may have asked for a cancel. Looked at no more than once a second."""
        self._hurried = True
        self._ring(self._bell)

    async def stop(self) -> None:
        """Renews no more; returns when the thread has ended, or after two seconds."""
        self._stop_asked = True  # heard even by a thread that has no loop of its own yet
        self._ring(self._stop)
        await rings(self._ended, 2.0)

    def _ring(self, bell: asyncio.Event) -> None:
        if self._own is not None:
            try:
                self._own.call_soon_threadsafe(bell.set)
            except RuntimeError:
                return  # the thread has ended

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except Exception as error:  # boundary: without its pulse a worker must stop, and says why
            log("pulse_died", error=repr(error))
            self._call_worker(self._died)
        finally:
            self._call_worker(self._ended.set)

    async def _live(self) -> None:
        self._own = asyncio.get_running_loop()
        if self._stop_asked:
            return
        tasks = [asyncio.create_task(job()) for job in (self._renew_always, self._watch, self._greet)]
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stopped):
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _renew_always(self) -> None:
        tick = min(0.5, self._settings.renew_ms / 2000)
        while True:
            try:
                async with self._work.renewer() as renewer:
                    while True:
                        if not self._failing:
                            await self._wait(tick)
                        await self._renew(renewer, self._due())
            except StoreError as error:
                self._failing = True
                pause = min(self._patience.failed(error), self._settings.last_call_ms / 2000)
                if self._on_event is not None:
                    self._on_event(StoreLost("renew", error, pause))
                await asyncio.sleep(pause)

    async def _wait(self, tick: float) -> None:
        await rings(self._bell, tick)
        self._bell.clear()

    def _due(self) -> list[Held]:
        """The jobs to renew now: those whose turn it is, and all of them after a hint."""
        settings, mono = self._settings, time.monotonic()
        held = self._holdings.all()
        if self._hurried and mono - self._hurried_at >= HURRY_EVERY:
            self._hurried, self._hurried_at = False, mono
            return held
        by_clock = self._work.clock.now() + settings.lease_ms - settings.renew_ms
        by_age = mono - settings.renew_ms / 1000
        unstarted = mono - UNSTARTED_EVERY
        return [
            one
            for one in held
            if one.lease_until <= by_clock
            or one.renewed_at <= by_age
            or (one.started_at is None and one.renewed_at <= unstarted)
        ]

    async def _renew(self, renewer: Renewer, due: Sequence[Held]) -> None:
        """Renews these; with nothing left to renew, nothing fails any more."""
        for start in range(0, len(due), CHUNK):
            chunk = due[start : start + CHUNK]
            asked, now = time.monotonic(), self._work.clock.now()
            until = now + self._settings.lease_ms
            self._asked_at = asked
            try:
                answer = await renewer.renew([one.holder for one in chunk], now=now, lease_until=until)
            finally:
                self._asked_at = None
            kept = [one for one in chunk if one.job.id not in answer.lost and one.job.id not in answer.busy]
            for one in kept:
                one.renewed_at, one.lease_until = asked, until
                if one.link is not None:
                    one.link.renewed_at = asked
            if self._on_event is not None:
                self._on_event(Renewed(frozenset(one.job.id for one in kept)))
            if lost := [one for one in chunk if one.job.id in answer.lost]:
                self._tell_worker(lost, Why.LOST)
            if asked_to_cancel := [one for one in kept if one.job.id in answer.cancel_asked]:
                self._tell_worker(asked_to_cancel, Why.CANCEL)
        self._failing = False
        self._patience.answered()

    async def _watch(self) -> None:
        suspend = SuspendWatch()
        while True:
            await asyncio.sleep(WATCH_EVERY)
            if gap := suspend.gap(WATCH_EVERY):
                log("time_lost", seconds=round(gap, 3))
                await self._after_gap()
            self._loop_watch.look()
            self._give_up_lapsed()

    async def _after_gap(self) -> None:
        """The machine was suspended or this process stopped: leases may have run out meanwhile."""
        try:
            await self._work.resample()
        except HeadraceError as error:
            log("clock_not_sampled", error=repr(error))
        self._bell.set()

    def _give_up_lapsed(self) -> None:
        """Jobs whose lease is about to end while the store does not answer are given up (C15)."""
        stuck = self._asked_at is not None and time.monotonic() - self._asked_at > STUCK_AFTER
        if not (self._failing or stuck):
            return
        late = self._work.clock.now() + self._settings.last_call_ms
        lapsed = [one for one in self._holdings.all() if one.stopping is None and one.lease_until <= late]
        if lapsed:
            self._tell_worker(lapsed, Why.LAPSED)

    async def _greet(self) -> None:
        while True:
            await asyncio.sleep(HELLO_EVERY)
            try:
                await self._work.hello(self._hello())
            except StoreError as error:
                log("hello_failed", error=repr(error))

    def _tell_worker(self, held: Sequence[Held], why: Why) -> None:
        self._call_worker(self._tell, held, why)

    def _call_worker(self, call: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            return  # the worker's loop is closed: nobody is left to be told
