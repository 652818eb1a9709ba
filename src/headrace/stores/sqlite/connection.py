"""Opening connections, each with the same settings."""

from typing import Final

import apsw

from headrace.errors import StoreUnusable
from headrace.stores.sqlite.faults import translated
from headrace.stores.sqlite.location import Location
from headrace.stores.sqlite.migrating import refuse_strangers
from headrace.stores.sqlite.statements import pragma

# The WAL is copied back by the writer only, every so many pages (16 MB), and cut back to this size.
CHECKPOINT_PAGES: Final = 4_000
WAL_LIMIT: Final = 64 * 1024 * 1024
_CACHE_KIB: Final = 65_536
_READER_CACHE_KIB: Final = 8_192
_READER_BUSY_MS: Final = 10_000


def open_writer(location: Location) -> apsw.Connection:
    """The connection of the writer thread. Its own waiting replaces SQLite's, which starves."""
    db = _open(location)
    if location.path is not None:
        _prepare(db, location)
    pragma(db, "synchronous", location.synchronous.value)
    pragma(db, "cache_size", -_CACHE_KIB)
    pragma(db, "journal_size_limit", WAL_LIMIT)
    pragma(db, "wal_autocheckpoint", CHECKPOINT_PAGES)
    return db


def open_reader(location: Location) -> apsw.Connection:
    """A connection that never writes and never checkpoints."""
    db = _open(location)
    db.set_busy_timeout(_READER_BUSY_MS)
    pragma(db, "query_only", "on")
    pragma(db, "wal_autocheckpoint", 0)
    pragma(db, "cache_size", -_READER_CACHE_KIB)
    return db


def _open(location: Location) -> apsw.Connection:
    try:
        db = apsw.Connection(":memory:" if location.path is None else str(location.path))
        # Mapped memory would turn an I/O error into a dead process.
        pragma(db, "mmap_size", 0)
        pragma(db, "temp_store", "memory")
    except apsw.Error as error:
        raise translated(error, location.name) from error
    if location.path is not None and db.readonly("main"):
        db.close()
        msg = f"{location.name} cannot be used: the file is not writable"
        raise StoreUnusable(msg)
    return db


def _prepare(db: apsw.Connection, location: Location) -> None:
    # Several processes may open a new file at once, and the change of mode wants it alone.
    db.set_busy_timeout(_READER_BUSY_MS)
    try:
        refuse_strangers(db, location.name)
        mode = pragma(db, "journal_mode", "wal")
    except apsw.Error as error:
        raise translated(error, location.name) from error
    db.set_busy_timeout(0)
    if mode != "wal":
        msg = f"{location.name} cannot be used: its file system offers no shared memory for SQLite's WAL"
        raise StoreUnusable(msg)
