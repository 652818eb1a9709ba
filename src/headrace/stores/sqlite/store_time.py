"""Store time: the host's clock, which never runs backwards as far as it can be helped."""

import threading
from collections.abc import Callable
from typing import Final

import apsw

from headrace.clock import host_now
from headrace.stores.sqlite.statements import first, queries, write

_SQL = queries("plumbing")
_MARK: Final = "clock"

WRITE_EVERY_MS: Final = 1_000
HONOURED_MS: Final = 5 * 60_000


class StoreTime:
    """The host's time, held back by the highest time that any process wrote into the file.

    A mark more than five minutes ahead is a clock that once was wrong: following it would freeze
    leases and schedules for as long, so it is dropped.
    """

    def __init__(self, host: Callable[[], int] = host_now) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._last = 0
        self._written = 0

    def read_mark(self, db: apsw.Connection) -> None:
        """Takes over the mark that other processes left."""
        (mark,) = first(db, _SQL["meta"], {"name": _MARK}) or (0,)
        if mark <= self._host() + HONOURED_MS:
            with self._lock:
                self._last = max(self._last, mark)

    def now(self) -> int:
        """The present, in milliseconds since the epoch; never less than an earlier answer."""
        with self._lock:
            self._last = max(self._last, self._host())
            return self._last

    def write_mark(self, db: apsw.Connection) -> None:
        """Leaves the mark in the file, at most once a second; within a write transaction."""
        now = self.now()
        if now - self._written < WRITE_EVERY_MS:
            return
        self._written = now
        (mark,) = first(db, _SQL["meta"], {"name": _MARK}) or (0,)
        if not now <= mark <= now + HONOURED_MS:
            write(db, _SQL["write_meta"], {"name": _MARK, "value": now})
