"""The stores that experiments run on. A new store joins by a line in ``KINDS``."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from tests.servers.behaviours import Selection, saying
from tests.servers.postgres import PostgresServer


class Server(Protocol):
    """The process behind a store that is a server."""

    def kill(self) -> None:
        """Ends it as a power switch would."""
        ...

    def restart(self) -> None:
        """Brings it back with the same data."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One empty store. ``file`` is set for an embedded one, ``server`` for one behind a network.

    ``listens`` and ``renews`` pick, of the connections of a client, the one that waits for wake-ups and
    the one that renews leases, where the store keeps any such apart.
    """

    name: str
    url: str
    file: Path | None = None
    server: Server | None = None
    listens: Selection | None = None
    renews: Selection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of store; ``opened`` gives an empty one whose files lie in the folder."""

    name: str
    opened: Callable[[Path], AbstractContextManager[Target]]
    is_server: bool = False


@contextmanager
def sqlite(folder: Path) -> Iterator[Target]:
    """An empty SQLite file."""
    yield sqlite_at(folder / "jobs.db")


def sqlite_at(file: Path, options: str = "") -> Target:
    """A SQLite file as a target."""
    return Target(name="sqlite", url=f"sqlite:///{file}{options}", file=file)


@contextmanager
def postgres(_folder: Path) -> Iterator[Target]:
    """An empty database on a server of its own, which syncs as servers do."""
    with PostgresServer.start(settings={"fsync": "on", "synchronous_commit": "on"}) as server:
        server.create_database("jobs")
        yield Target(name="postgres", url=server.url("jobs"), server=server, listens=LISTENS, renews=RENEWS)


LISTENS: Final = saying(b"LISTEN ")
RENEWS: Final = saying(b"set lease_until = $4")

SQLITE: Final = Kind(name="sqlite", opened=sqlite)
POSTGRES: Final = Kind(name="postgres", opened=postgres, is_server=True)

KINDS: Final[Mapping[str, Kind]] = MappingProxyType({"sqlite": SQLITE, "postgres": POSTGRES})
