"""Opening connections, each with the same settings."""

from typing import Final

import apsw

from headrace.errors import StoreUnusable
from headrace.stores.sqlite.faults import translated
from headrace.stores.sqlite.location import Location

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
        _to_wal(db, location)
    _set(db, f"pragma synchronous = {location.synchronous.value}")
    _set(db, f"pragma cache_size = -{_CACHE_KIB}")
    _set(db, f"pragma journal_size_limit = {WAL_LIMIT}")
    _set(db, f"pragma wal_autocheckpoint = {CHECKPOINT_PAGES}")
    return db


def open_reader(location: Location) -> apsw.Connection:
    """A connection that never writes and never checkpoints."""
    db = _open(location)
    db.set_busy_timeout(_READER_BUSY_MS)
    _set(db, "pragma query_only = on")
    _set(db, "pragma wal_autocheckpoint = 0")
    _set(db, f"pragma cache_size = -{_READER_CACHE_KIB}")
    return db


def _open(location: Location) -> apsw.Connection:
    try:
        db = apsw.Connection(":memory:" if location.path is None else str(location.path))
        # Mapped memory would turn an I/O error into a dead process.
        _set(db, "pragma mmap_size = 0")
        _set(db, "pragma temp_store = memory")
    except apsw.Error as error:
        raise translated(error, location.name) from error
    if location.path is not None and db.readonly("main"):
        db.close()
        msg = f"{location.name} cannot be used: the file is not writable"
        raise StoreUnusable(msg)
    return db


def _to_wal(db: apsw.Connection, location: Location) -> None:
    # Several processes may open a new file at once, and the change of mode wants it alone.
    db.set_busy_timeout(_READER_BUSY_MS)
    try:
        mode = db.pragma("journal_mode", "wal")
    except apsw.Error as error:
        raise translated(error, location.name) from error
    db.set_busy_timeout(0)
    if mode != "wal":
        msg = f"{location.name} cannot be used: its file system offers no shared memory for SQLite's WAL"
        raise StoreUnusable(msg)


def _set(db: apsw.Connection, pragma: str) -> None:
    for _ in db.execute(pragma):
        pass
