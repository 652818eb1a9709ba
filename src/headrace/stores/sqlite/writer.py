"""The one thread that writes: it takes all ops that wait and commits them together."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from headrace.errors import StoreUnavailable
from headrace.stores.sqlite.committing import Committer, Done, Ending, Failed
from headrace.stores.sqlite.pace import Pace
from headrace.stores.sqlite.transaction import Op, Write

T = TypeVar("T")

# So much work is put into one commit; what waits behind it can be urgent.
GROUP_ROWS: Final = 4_000
# A look costs up to 0.1 ms of a core that was asleep: 0.9 % at this rate, and half of it is waiting.
LOOK_S: Final = 0.008
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
    """What the thread does besides: ``look`` every 8 ms while ``is_awaited``, ``tick`` once a second.

    ``tick`` may raise: from then on every op is refused with its error, until it passes again.
    """

    is_awaited: Callable[[], bool]
    look: Callable[[], None]
    tick: Callable[[], None]


class Writer:
    """Runs ops of any event loop on its thread, in groups of one commit each."""

    def __init__(self, committer: Committer, pace: Pace, duties: Duties) -> None:
        self._committer = committer
        self._pace = pace
        self._duties = duties
        self._arrived: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._urgent: deque[_Waiting] = deque()
        self._ordinary: deque[_Waiting] = deque()
        self._lock = threading.Lock()
        self._closing = False
        self._refusal: Exception | None = None
        self._next_look = 0.0
        self._next_tick = 0.0
        self._thread = threading.Thread(target=self._work, name="headrace-writer", daemon=True)
        self._thread.start()

    async def run(self, op: Callable[[Write], T], *, rows: int = 1, urgent: bool = False) -> T:
        """The op's result, once it is committed. ``rows`` is about how many it writes."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            if self._closing:
                raise StoreUnavailable("the store is closed")
            self._arrived.put(_Waiting(op, rows, urgent, loop, future))
        return await future

    def poke(self) -> None:
        """Makes the thread look at its duties now."""
        self._arrived.put(None)

    def close(self) -> None:
        """Finishes what was accepted and ends the thread."""
        with self._lock:
            self._closing = True
        self.poke()
        self._thread.join()

    def _work(self) -> None:
        while True:
            self._wait()
            self._do_duties()
            if self._urgent or self._ordinary:
                self._commit(self._group())
            elif self._closing and self._arrived.empty():
                return

    def _wait(self) -> None:
        """Takes in what has arrived; waits for it, or for the next duty, if there is nothing to do."""
        if not (self._urgent or self._ordinary or self._closing):
            if self._arrived.empty():
                self._pace.idle()
            try:
                self._take(self._arrived.get(timeout=LOOK_S if self._duties.is_awaited() else TICK_S))
            except Empty:
                return
        for _ in range(self._arrived.qsize()):
            self._take(self._arrived.get())

    def _take(self, waiting: _Waiting | None) -> None:
        if waiting is not None:
            (self._urgent if waiting.urgent else self._ordinary).append(waiting)

    def _group(self) -> Sequence[_Waiting]:
        group = [waiting for waiting in self._urgent if not waiting.future.cancelled()]
        self._urgent.clear()
        rows = 0
        while self._ordinary and rows < GROUP_ROWS:
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
        _answer(group, self._committer.commit([waiting.op for waiting in group]))

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
            self._next_look = now + LOOK_S
            self._duties.look()


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
