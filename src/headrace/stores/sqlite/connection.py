"""Opening connections, each with the same settings."""

from typing import Final

import apsw

from headrace.errors import StoreUnusable
from headrace.stores.sqlite.descriptors import DESCRIPTORS
from headrace.stores.sqlite.faults import translated
from headrace.stores.sqlite.location import Location
from headrace.stores.sqlite.migrating import refuse_strangers
from headrace.stores.sqlite.statements import pragma, run

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
        try:
            _prepare(db, location)
        except BaseException:
            db.close()
            raise
    pragma(db, "synchronous", location.synchronous.value)
    pragma(db, "cache_size", -_CACHE_KIB)
    pragma(db, "journal_size_limit", WAL_LIMIT)
    pragma(db, "wal_autocheckpoint", CHECKPOINT_PAGES)
    return db


def open_reader(location: Location) -> apsw.Connection:
    """A connection that never writes and never checkpoints."""
    db = _open(location)
    db.set_busy_timeout(_READER_BUSY_MS)
    keep_wal_on_close(db)
    pragma(db, "query_only", "on")
    pragma(db, "wal_autocheckpoint", 0)
    pragma(db, "cache_size", -_READER_CACHE_KIB)
    return db


def keep_wal_on_close(db: apsw.Connection) -> None:
    """Lets a connection close without writing: the last one otherwise copies the WAL and deletes it."""
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)


def _open(location: Location) -> apsw.Connection:
    try:
        with DESCRIPTORS.opening():
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
        # On one snapshot: another process may be making the file's schema just now.
        run(db, "begin")
        refuse_strangers(db, location.name)
        run(db, "rollback")
        mode = pragma(db, "journal_mode", "wal")
    except apsw.Error as error:
        raise translated(error, location.name) from error
    db.set_busy_timeout(0)
    if mode != "wal":
        msg = f"{location.name} cannot be used: its file system offers no shared memory for SQLite's WAL"
        raise StoreUnusable(msg)
