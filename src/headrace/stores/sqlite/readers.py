"""Reads, on threads and connections of their own, each on one snapshot."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import apsw

from headrace.errors import StoreUnavailable
from headrace.stores.sqlite.connection import open_reader
from headrace.stores.sqlite.faults import UNKEEPABLE, translated
from headrace.stores.sqlite.location import Location
from headrace.stores.sqlite.statements import run

T = TypeVar("T")

THREADS: Final = 2


class Readers:
    """A few threads with a reading connection each."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._mine = threading.local()
        self._opened: list[apsw.Connection] = []
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="headrace-reader")

    async def run(self, read: Callable[[apsw.Connection], T]) -> T:
        """The result of a read."""
        try:
            answer = asyncio.get_running_loop().run_in_executor(self._pool, self._read, read)
        except RuntimeError as error:
            raise StoreUnavailable("the store is closed") from error
        return await answer

    def close(self) -> None:
        """Waits for the reads under way and closes the connections."""
        self._pool.shutdown(wait=True)
        for db in self._opened:
            db.close()

    def _read(self, read: Callable[[apsw.Connection], T]) -> T:
        try:
            db = self._connection()
            run(db, "begin")
            try:
                return read(db)
            finally:
                # A snapshot that stays open keeps the WAL from being reset.
                run(db, "rollback")
        except (apsw.Error, *UNKEEPABLE) as error:
            raise translated(error, self._location.name) from error

    def _connection(self) -> apsw.Connection:
        db: apsw.Connection | None = getattr(self._mine, "db", None)
        if db is None:
            db = open_reader(self._location)
            self._mine.db = db
            self._opened.append(db)
        return db
