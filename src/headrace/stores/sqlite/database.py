"""An open database: its writer, its readers, its clock, its guard and its hints."""

import os
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final, TypeVar

import apsw

from headrace.errors import UsedAfterFork
from headrace.stores.hints import Hints
from headrace.stores.sqlite import migrating
from headrace.stores.sqlite.alarm import alarm_on
from headrace.stores.sqlite.committing import Committer, Failed
from headrace.stores.sqlite.connection import WAL_LIMIT, keep_wal_on_close, open_writer
from headrace.stores.sqlite.descriptors import DESCRIPTORS
from headrace.stores.sqlite.faults import translated
from headrace.stores.sqlite.guard import Guard
from headrace.stores.sqlite.location import Location
from headrace.stores.sqlite.mounts import refuse_network
from headrace.stores.sqlite.pace import Pace
from headrace.stores.sqlite.readers import Readers
from headrace.stores.sqlite.statements import pragma
from headrace.stores.sqlite.store_time import StoreTime
from headrace.stores.sqlite.transaction import Place, Write
from headrace.stores.sqlite.writer import Duties, Writer
from headrace.stores.values import Health, Tier

T = TypeVar("T")

# SQLite's own words for `pragma synchronous`.
_FULL: Final = 2
_NORMAL: Final = 1


class Database:
    """Opened in one process, usable from all its event loops, and not from its forked children."""

    def __init__(self, location: Location) -> None:
        if location.path is not None:
            _refuse_place(location, location.path)
        self._location = location
        self._pid = os.getpid()
        self._closed = False
        self._time = StoreTime()
        self._pace = Pace()
        self._db = open_writer(location)
        self._guard: Guard | None = None
        committer = Committer(self._db, location.name, self._pace, self._before_commit, self._brought_back)
        try:
            _migrate(committer, location.name)
        except BaseException:
            self._db.close()
            raise
        if location.path is not None:
            self._guard = Guard(location.path)
        self._time.read_mark(self._db)
        self._version = self._data_version()
        self._header: bytes | None = None
        self._readers = None if location.path is None else Readers(location)
        self._hints = Hints(self._poke)
        duties = Duties(
            is_awaited=self._is_awaited,
            look=self._look,
            tick=self._tick,
            alarm=None if location.path is None else alarm_on(Path(f"{location.path}-wal")),
        )
        self._writer = Writer(committer, self._pace, duties)

    @property
    def location(self) -> Location:
        """Where it is."""
        return self._location

    async def write(self, op: Callable[[Write], T], *, rows: int = 1, urgent: bool = False) -> T:
        """The op's result, once it is committed."""
        self._refuse_fork()
        return await self._writer.run(op, rows=rows, urgent=urgent)

    async def read(self, read: Callable[[apsw.Connection], T]) -> T:
        """The read's result, from one snapshot."""
        self._refuse_fork()
        if self._readers is None:
            return await self._writer.run(lambda at: read(at.db))
        return await self._readers.run(read)

    def wake(self, namespace: str, queues: frozenset[str]) -> None:
        """Hints that there is work."""
        self._refuse_fork()
        self._hints.give(namespace, queues)

    async def woken(self, namespace: str, queues: frozenset[str] | None, timeout_ms: int) -> bool:
        """Waits for a hint."""
        self._refuse_fork()
        return await self._hints.wait(namespace, queues, timeout_ms)

    def now(self) -> int:
        """Store time."""
        self._refuse_fork()
        return self._time.now()

    async def check(self) -> Health:
        """Reads the database's state on the writer, so that it also shows whether writing works."""
        return await self.write(self._health)

    def close(self) -> None:
        """Finishes what was accepted and closes the file. Idempotent."""
        self._refuse_fork()
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        if self._readers is not None:
            self._readers.close()
        if self._guard is not None and self._guard.alarmed:
            # Another process may own the WAL by now that this connection would copy and delete.
            keep_wal_on_close(self._db)
        self._db.close()
        if self._guard is not None:
            self._guard.close()
            DESCRIPTORS.forget_closed(self._location.name)

    def _before_commit(self, db: apsw.Connection) -> None:
        self._time.write_mark(db)
        if self._guard is not None:
            self._guard.before_commit()

    def _brought_back(self, places: AbstractSet[Place]) -> None:
        for namespace in {namespace for namespace, _ in places}:
            self._hints.give(namespace, frozenset(queue for of, queue in places if of == namespace))

    def _health(self, at: Write) -> Health:
        if self._guard is not None:
            self._guard.check()
        db = at.db
        return Health(
            store="sqlite",
            version=apsw.sqlite_lib_version(),
            schema=pragma(db, "user_version"),
            tier=self._tier(pragma(db, "synchronous")),
            details={
                "path": self._location.name,
                "journal": pragma(db, "journal_mode"),
                "bytes": str(pragma(db, "page_count") * pragma(db, "page_size")),
                "walBytes": str(self._wal_bytes()),
            },
        )

    def _tier(self, synchronous: int) -> Tier:
        if self._location.path is None:
            return Tier.NOTHING
        if synchronous >= _FULL:
            return Tier.POWER_LOSS
        return Tier.PROCESS_DEATH

    def _refuse_fork(self) -> None:
        if os.getpid() != self._pid:
            msg = "an open store was carried into a forked child: open a new one in the child"
            raise UsedAfterFork(msg)

    def _poke(self) -> None:
        self._writer.poke()

    def _is_awaited(self) -> bool:
        return self._readers is not None and self._hints.awaited

    def _look(self) -> bool:
        """Notices that another process has committed: this connection's own commits do not count."""
        header = None if self._guard is None else self._guard.header()
        if header is not None and header == self._header:
            return False
        self._header = header
        version = self._data_version()
        if version != self._version:
            self._version = version
            self._pace.contended()
            self._hints.give_everywhere()
        return True

    def _tick(self) -> None:
        if self._guard is not None:
            self._guard.check()
        if self._wal_bytes() > WAL_LIMIT:
            pragma(self._db, "wal_checkpoint", "truncate")

    def _data_version(self) -> int:
        return pragma(self._db, "data_version")

    def _wal_bytes(self) -> int:
        if self._location.path is None:
            return 0
        try:
            return Path(f"{self._location.path}-wal").stat().st_size
        except FileNotFoundError:
            return 0


def _refuse_place(location: Location, path: Path) -> None:
    if not location.force:
        refuse_network(path)
    DESCRIPTORS.watch()
    DESCRIPTORS.refuse_strangers(location.name)


def _migrate(committer: Committer, name: str) -> None:
    (ending,) = committer.commit([lambda at: migrating.migrate(at.db, name)])
    if isinstance(ending, Failed):
        raise translated(ending.error, name)
