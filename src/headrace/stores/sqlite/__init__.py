"""The store in a SQLite file, or in memory."""

from headrace.stores.sqlite.store import open_sqlite

__all__ = ["open_sqlite"]
