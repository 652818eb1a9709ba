"""The one thread that writes: it takes all ops that wait and commits them together."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from headrace.errors import StoreUnavailable
from headrace.stores.sqlite.alarm import Alarm
from headrace.stores.sqlite.committing import Committer, Done, Ending, Failed
from headrace.stores.sqlite.inbox import Inbox
from headrace.stores.sqlite.pace import Pace
from headrace.stores.sqlite.transaction import Op, Write
from headrace.stores.transactions import refuse_inside_transaction

T = TypeVar("T")

# So much work is put into one commit; what waits behind it can be urgent.
GROUP_ROWS: Final = 4_000
# Without an alarm. A look costs up to 0.1 ms of a core that was asleep: 0.7 % at this rate.
LOOK_S: Final = 0.008
# A process that commits all the time must not keep this one awake all the time.
LOOK_AGAIN_S: Final = 0.003
FIRST_STEP_S: Final = 0.000_25
# A large transaction may begin to write long before it commits.
COMMIT_WITHIN_S: Final = 30.0
TICK_S: Final = 1.0


@dataclass(eq=False, slots=True)
class _Waiting:
    op: Op
    rows: int
    urgent: bool
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What the thread does besides.

    ``look`` soon after anybody wrote to the file, while ``is_awaited``; by the alarm, else every 8 ms.
    It says whether anybody has committed since the last look.
    ``tick`` once a second. It may raise: from then on every op is refused with its error, until it
    passes again. What ``look`` raises costs a hint.
    """

    is_awaited: Callable[[], bool]
    look: Callable[[], bool]
    tick: Callable[[], None]
    alarm: Alarm | None = None


class Writer:
    """Runs ops of any event loop on its thread, in groups of one commit each."""

    def __init__(self, committer: Committer, pace: Pace, duties: Duties) -> None:
        self._committer = committer
        self._pace = pace
        self._duties = duties
        self._inbox: Inbox[_Waiting] = Inbox()
        self._urgent: deque[_Waiting] = deque()
        self._ordinary: deque[_Waiting] = deque()
        self._closing = False
        self._refusal: Exception | None = None
        self._next_look = 0.0
        self._step = self._rung_at = 0.0
        self._next_tick = 0.0
        if duties.alarm is not None:
            self._inbox.watch(duties.alarm.descriptor)
        self._thread = threading.Thread(target=self._work, name="headrace-writer", daemon=True)
        self._thread.start()

    async def run(self, op: Callable[[Write], T], *, rows: int = 1, urgent: bool = False) -> T:
        """The op's result, once it is committed. ``rows`` is about how many it writes."""
        refuse_inside_transaction()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if not self._inbox.put(_Waiting(op, rows, urgent, loop, future)):
            raise StoreUnavailable("the store is closed")
        return await future

    def poke(self) -> None:
        """Makes the thread look at its duties now."""
        self._inbox.poke()

    def close(self) -> None:
        """Finishes what was accepted and ends the thread."""
        self._closing = True
        self._inbox.shut()
        self._thread.join()
        self._inbox.close()
        if self._duties.alarm is not None:
            self._duties.alarm.close()

    def _work(self) -> None:
        while True:
            self._wait()
            self._do_duties()
            if self._urgent or self._ordinary:
                self._commit(self._group())
            elif self._closing and self._inbox.empty:
                return

    def _wait(self) -> None:
        """Takes in what has arrived; waits for it, or for the next duty, if there is nothing to do."""
        if not (self._urgent or self._ordinary or self._closing):
            if self._inbox.empty:
                self._pace.idle()
            self._sleep()
        for waiting in self._inbox.take():
            (self._urgent if waiting.urgent else self._ordinary).append(waiting)

    def _sleep(self) -> None:
        if not self._duties.is_awaited():
            self._inbox.sleep(TICK_S)
        elif self._duties.alarm is None:
            self._inbox.sleep(LOOK_S)
        else:
            self._sleep_with(self._duties.alarm)

    def _sleep_with(self, alarm: Alarm) -> None:
        """The alarm rings when a commit begins to be written; it shows once it has reached the disk."""
        if (early := self._next_look - time.monotonic()) > 0:
            self._inbox.sleep(early)
        elif self._step and time.monotonic() < self._rung_at + COMMIT_WITHIN_S:
            self._inbox.sleep(self._step)
            self._step = min(self._step * 2, LOOK_S)
            self._look()
        else:
            is_set = alarm.set()
            # What was written before the alarm was set rings no bell.
            self._look()
            if self._duties.is_awaited() and self._inbox.sleep(TICK_S if is_set else LOOK_S):
                alarm.clear()
                self._rung_at, self._step = time.monotonic(), FIRST_STEP_S

    def _look(self) -> None:
        try:
            found = self._duties.look()
        except Exception:  # boundary: the thread must live; hints may be lost, and tick tells what is wrong
            found = True
        if found:
            self._step = self._rung_at = 0.0
            self._next_look = time.monotonic() + LOOK_AGAIN_S

    def _group(self) -> Sequence[_Waiting]:
        group = [waiting for waiting in self._urgent if not waiting.future.cancelled()]
        self._urgent.clear()
        rows = 0
        while self._ordinary and rows < GROUP_ROWS:
            if group and self._ordinary[0].rows >= GROUP_ROWS:
                break  # what fills a commit shares it with nobody: it may take long, or undo the whole of it
            waiting = self._ordinary.popleft()
            if not waiting.future.cancelled():
                group.append(waiting)
                rows += waiting.rows
        return group

    def _commit(self, group: Sequence[_Waiting]) -> None:
        if not group:
            return
        if self._refusal is not None:
            _answer(group, [Failed(self._refusal)] * len(group))
            return
        if gap := self._pace.gap():
            time.sleep(gap)
            self._pace.idle()
        try:
            endings = self._committer.commit([waiting.op for waiting in group])
        except Exception as error:  # boundary: the thread must live to answer those who wait
            endings = [Failed(error)] * len(group)
        _answer(group, endings)

    def _do_duties(self) -> None:
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + TICK_S
            try:
                self._duties.tick()
                self._refusal = None
            except Exception as error:  # boundary: the thread must live to refuse what comes
                self._refusal = error
        if now >= self._next_look and self._duties.is_awaited():
            self._look()


def _answer(group: Sequence[_Waiting], endings: Sequence[Ending]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Ending]]] = {}
    for waiting, ending in zip(group, endings, strict=True):
        by_loop.setdefault(waiting.loop, []).append((waiting.future, ending))
    for loop, answers in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, answers)
        except RuntimeError:
            # The loop was closed while its op waited: nobody is left to hear the answer.
            continue


def _resolve(answers: Sequence[tuple[asyncio.Future[Any], Ending]]) -> None:
    for future, ending in answers:
        if future.done():
            continue
        match ending:
            case Done(result):
                future.set_result(result)
            case Failed(error):
                future.set_exception(error)
