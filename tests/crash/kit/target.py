"""The stores that experiments run on. A new store joins by a line in ``STORES``."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from headrace.stores.redis.scripts import script
from tests.servers.behaviours import Selection, saying
from tests.servers.framing import Framing, PostgresMessages
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy
from tests.servers.resp import RespCommands
from tests.servers.valkey import ValkeyServer
from tests.servers.valkey_binaries import installed, instead


class Server(Protocol):
    """The process behind a store that is a server."""

    def kill(self) -> None:
        """Ends it as a power switch would."""
        ...

    def restart(self) -> None:
        """Brings it back with the same data."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How clients talk to a server. ``framing`` says where their messages end, and ``asks`` picks those
    after which the server does something.

    ``listens`` and ``renews`` pick, of the connections of a client, the one that waits for wake-ups and
    the one that renews leases.
    """

    framing: Callable[[], Framing]
    asks: Callable[[bytes], bool]
    listens: Selection
    renews: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One empty store. ``file`` is set for an embedded one, ``server`` and ``wire`` for one on a network."""

    name: str
    url: str
    file: Path | None = None
    server: Server | None = None
    wire: Wire | None = None

    def proxy(self) -> Proxy:
        """A proxy in front of the server, which knows its messages."""
        assert self.wire is not None, "there is no network before a file"
        return Proxy(self.url, framing=self.wire.framing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of store; ``opened`` gives an empty one whose files lie in the folder.

    What makes sense on ``store`` makes sense on it. Another server of the same store has a name of its own.
    """

    name: str
    store: str
    opened: Callable[[Path], AbstractContextManager[Target]]


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
        yield Target(name="postgres", url=server.url("jobs"), server=server, wire=POSTGRES_WIRE)


@contextmanager
def redis(folder: Path) -> Iterator[Target]:
    """A server of its own in the folder, which keeps all it has acknowledged."""
    with ValkeyServer.start(folder / "valkey", settings=DURABLE_VALKEY) as server:
        yield Target(name="redis", url=server.url(), server=server, wire=REDIS_WIRE)


@contextmanager
def redis_installed(folder: Path) -> Iterator[Target]:
    """The same of the machine's own program, which all servers run that an experiment starts beside it."""
    if (program := installed()) is None:
        raise LookupError("this machine has no server")
    with instead(program), redis(folder) as target:
        yield target


def _ends_a_request(message: bytes) -> bool:
    return message.startswith(b"S")


def _is_a_script(command: bytes) -> bool:
    return b"EVAL" in command[:24]


DURABLE_VALKEY: Final[Mapping[str, str]] = MappingProxyType({"appendonly": "yes", "appendfsync": "always"})

POSTGRES_WIRE: Final = Wire(
    framing=PostgresMessages,
    asks=_ends_a_request,
    listens=saying(b"LISTEN "),
    renews=saying(b"set lease_until = $4"),
)
REDIS_WIRE: Final = Wire(
    framing=RespCommands,
    asks=_is_a_script,
    listens=saying(b"SUBSCRIBE"),
    renews=saying(script("renew").sha.encode()),
)

SQLITE: Final = Kind(name="sqlite", store="sqlite", opened=sqlite)
POSTGRES: Final = Kind(name="postgres", store="postgres", opened=postgres)
REDIS: Final = Kind(name="redis", store="redis", opened=redis)
REDIS_INSTALLED: Final = Kind(name="redis-installed", store="redis", opened=redis_installed)

STORES: Final = (SQLITE, POSTGRES, REDIS)
HERE: Final = STORES if installed() is None else (*STORES, REDIS_INSTALLED)
KINDS: Final[Mapping[str, Kind]] = MappingProxyType({kind.name: kind for kind in HERE})

FILES: Final = frozenset({SQLITE.name})
EVERYWHERE: Final = frozenset(kind.name for kind in STORES)
SERVERS: Final = EVERYWHERE - FILES
