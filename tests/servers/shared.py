"""The PostgreSQL that all tests of a process share: started when the first of them wants it.

With ``HEADRACE_TEST_POSTGRES=postgresql://…`` in the environment it is that server instead. Its user must
be allowed to create databases.
"""

import os
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from headrace.stores.open import open_store
from tests.servers.databases import Copies, Databases
from tests.servers.postgres import PostgresServer

ELSEWHERE = "HEADRACE_TEST_POSTGRES"


class SharedPostgres:
    """A server with one template, and a copy of it for each test."""

    def __init__(self) -> None:
        self._ends = ExitStack()

    @cached_property
    def databases(self) -> Databases:
        if url := os.environ.get(ELSEWHERE):
            return Databases(admin_url=url)
        return self._ends.enter_context(PostgresServer.start()).databases

    @cached_property
    def copies(self) -> Copies:
        """Copies of a database that has the store's tables and nothing else."""
        copies = Copies(self.databases, migrated)
        self._ends.callback(copies.close)
        return copies

    def url(self, folder: Path) -> str:
        """The URL of an empty store's database, for as long as the folder is there and the test runs."""
        return self.copies.url(folder)

    def drop_copies(self) -> None:
        if "copies" in vars(self):
            self.copies.drop()

    def close(self) -> None:
        self._ends.close()


SHARED = SharedPostgres()


async def migrated(url: str) -> None:
    store = await open_store(url)
    try:
        await store.migrate()
    finally:
        await store.close()
