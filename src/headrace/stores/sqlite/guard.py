"""Stops writing once the file's locks cannot be trusted any more."""

import threading
from pathlib import Path

from headrace.errors import SecondSQLiteLibrary
from headrace.stores.sqlite.descriptors import DESCRIPTORS
from headrace.stores.sqlite.shm import ShmProbe


class Guard:
    """Looks for a second SQLite library on the file.

    What it found stays: when the other library closes the file, our locks go with it, so only
    closing the store and opening it again helps.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._probe = ShmProbe(path)
        self._lock = threading.Lock()
        self._found: SecondSQLiteLibrary | None = None

    @property
    def alarmed(self) -> bool:
        """Whether anything was found."""
        return self._found is not None

    def check(self) -> None:
        """Looks, and raises what this or an earlier look found."""
        with self._lock:
            if self._found is None:
                self._found = self._look()
            if self._found is not None:
                raise self._found

    def before_commit(self) -> None:
        """Raises if an earlier look found something, or if the transaction's lock is gone."""
        with self._lock:
            if self._found is None and self._probe.lost_in_transaction():
                self._found = self._lock_lost()
            if self._found is not None:
                raise self._found

    def header(self) -> bytes | None:
        """What every commit of anybody changes, if it can be read."""
        return self._probe.header()

    def close(self) -> None:
        """After the connections are closed."""
        self._probe.close()

    def _look(self) -> SecondSQLiteLibrary | None:
        try:
            DESCRIPTORS.refuse_strangers(str(self._path))
        except SecondSQLiteLibrary as found:
            return found
        return self._lock_lost() if self._probe.lost() else None

    def _lock_lost(self) -> SecondSQLiteLibrary:
        return SecondSQLiteLibrary(
            f"the locks on {self._path} were destroyed: another SQLite library (the module sqlite3?) closed "
            "the file in this process; open the store again, and use a file of its own for the other"
        )
