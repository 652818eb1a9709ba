"""A time limit for a program's function on the writer thread.

While it runs nobody else writes to the file. SQL that is under way is interrupted by SQLite itself; Python
code between two statements by an exception that is sent to the thread and raised at its next bytecode. Only
a single call into C that is no SQL, such as a long ``time.sleep``, is waited for; then the limit is found to
have passed, and all is undone all the same.
"""

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import apsw

from headrace.errors import MisuseError

T = TypeVar("T")

LIMIT_S: Final = 1.0
_STEPS: Final = 2_000
_RAISE: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc


class _TimeUp(BaseException):
    """Sent to the thread. Not an Exception, so that the function does not take it for one of its own."""


class TimeLimit:
    """Ends one run of a function when its time is up."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._seconds = LIMIT_S
        self._deadline = 0.0
        self._lock = threading.Lock()
        self._thread = 0
        self._sent = False

    def run(self, work: Callable[[], T]) -> T:
        """What the function returns. Raises MisuseError if it took too long, else what it raises."""
        timer = threading.Timer(self._seconds, self._send)
        timer.daemon = True
        self._deadline = time.monotonic() + self._seconds
        self._db.set_progress_handler(self._passed, _STEPS)
        timer.start()
        try:
            return self._run(work)
        except apsw.InterruptError as error:
            raise (self._too_long() if self._passed() else error) from error
        finally:
            timer.cancel()
            self._db.set_progress_handler(None)

    def _run(self, work: Callable[[], T]) -> T:
        """The exception may strike anywhere in here, and nowhere else."""
        try:
            try:
                self._enter()
                result = work()
            finally:
                self._leave()
        except _TimeUp as error:
            self._leave()
            raise self._too_long() from error
        if self._passed():
            raise self._too_long()
        return result

    def _passed(self) -> bool:
        return time.monotonic() >= self._deadline

    def _send(self) -> None:
        with self._lock:
            self._sent = True
            if self._thread:
                _RAISE(ctypes.c_ulong(self._thread), ctypes.py_object(_TimeUp))

    def _enter(self) -> None:
        with self._lock:
            if self._sent:  # this thread had to wait so long for its turn
                raise self._too_long()
            self._thread = threading.get_ident()

    def _leave(self) -> None:
        """The function has ended; an exception that was sent but not raised yet is taken back."""
        with self._lock:
            thread, self._thread = self._thread, 0
            if self._sent and thread:
                _RAISE(ctypes.c_ulong(thread), None)

    def _too_long(self) -> MisuseError:
        return MisuseError(
            f"the function held the file's only write transaction for more than {self._seconds:g} s, and was "
            "undone: nobody else could write meanwhile. Do what takes long before the transaction"
        )
