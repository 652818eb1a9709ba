"""A small crew of threads for handlers that are plain functions, and for watching child processes.

Jobs pass through one queue; what becomes of them is handed to the loop in bursts, one wake-up for
all that ended in the meantime. A thread cannot be killed: it can be sent one exception, which Python
raises in it at the next bytecode.
"""

import asyncio
import ctypes
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Final

from headrace.core.outcomes import ErrorInfo, Failed, Outcome
from headrace.worker.endings import Interrupted
from headrace.worker.held import Held

Performed = tuple[Held, Outcome | None]
_RAISE: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc


class _Seat:
    """One thread, and the job it runs."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held: Held | None = None
        self.ident = 0
        self.sent = False

    def leave(self) -> None:
        """The job has ended; an exception that was sent but not raised yet is taken back."""
        with self.lock:
            self.held = None
            if self.sent:
                self.sent = False
                _RAISE(ctypes.c_ulong(self.ident), None)


class Crew:
    """Threads that perform jobs. Daemons: one that never ends does not keep the process alive."""

    def __init__(
        self,
        name: str,
        size: int,
        perform: Callable[[Held], Outcome | None],
        ended: Callable[[Sequence[Performed]], None],
    ) -> None:
        self._name = name
        self._size = size
        self._perform = perform
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Held | None] = SimpleQueue()
        self._seats: list[_Seat] = []
        self._under_way = 0
        self._done: deque[Performed] = deque()
        self._telling = False

    def put(self, held: Held) -> None:
        """Has one thread perform the job; starts threads as they are needed."""
        self._under_way += 1
        if self._under_way > len(self._seats) < self._size:
            seat = _Seat()
            self._seats.append(seat)
            name = f"headrace-{self._name}-{len(self._seats)}"
            threading.Thread(target=self._work, args=(seat,), name=name, daemon=True).start()
        self._jobs.put(held)

    def interrupt(self, held: Held) -> None:
        """Sends one exception to the thread that performs the job, if it still does."""
        for seat in self._seats:
            with seat.lock:
                if seat.held is held and not seat.sent:
                    seat.sent = True
                    _RAISE(ctypes.c_ulong(seat.ident), ctypes.py_object(Interrupted))

    def close(self) -> None:
        """Lets the threads go when they have ended what they do."""
        for _ in self._seats:
            self._jobs.put(None)

    def _work(self, seat: _Seat) -> None:
        seat.ident = threading.get_ident()
        while True:
            held = self._jobs.get()
            if held is None:
                return
            self._done.append((held, self._sit(seat, held)))
            if not self._telling:
                self._telling = True
                try:
                    self._loop.call_soon_threadsafe(self._tell)
                except RuntimeError:
                    return  # the loop is closed: this job was given up when its worker stopped

    def _sit(self, seat: _Seat, held: Held) -> Outcome | None:
        """Performs the job. The exception may strike anywhere in here, and nowhere else."""
        outcome: Outcome | None = None
        try:
            seat.held = held
            outcome = self._performed(held)
            seat.leave()
        except Interrupted:
            seat.leave()
        return outcome

    def _performed(self, held: Held) -> Outcome | None:
        try:
            return self._perform(held)
        except Interrupted:
            raise
        except BaseException as error:  # boundary: a thread that dies would leave its job running for ever
            return Failed(error=ErrorInfo(type=type(error).__name__, message=repr(error)))

    def _tell(self) -> None:
        self._telling = False
        batch: list[Performed] = []
        while self._done:
            batch.append(self._done.popleft())
        self._under_way -= len(batch)
        self._ended(batch)
