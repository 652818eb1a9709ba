"""A Sentinel of one's own: it watches a primary alone, and promotes a replica when the primary is gone.

    with Sentinel.start(primary, replicas=1) as sentinel:
        client = redis.Sentinel(sentinel.hosts()).master_for(sentinel.name)

Its methods do what a server's do.
"""

from contextlib import closing
from pathlib import Path
from typing import Any, Self

import redis

from tests.servers import valkey_binaries
from tests.servers.guarded import Guarded, quoted
from tests.servers.ports import free_port
from tests.servers.processes import until
from tests.servers.valkey import HOST, ValkeyServer, client_of

QUORUM = 1

# By itself it tries a lost connection again only once in a second, so that it gives up even a server that it
# has just promoted, and takes ten to notice that one has come back. Pings may not be faster than this: it
# promotes no replica of which it has heard nothing for five of them.
FASTER = ("info-period", 500, "ping-period", 500, "publish-period", 200, "min-link-reconnect-period", 100)


class Sentinel:
    """The program of a server in its other mode, its configuration and its log in a folder."""

    def __init__(self, process: Guarded, *, name: str, program: Path) -> None:
        self.port = free_port()
        self.name = name
        self._process = process
        self._program = program
        self._configuration = process.folder / "sentinel.conf"

    @classmethod
    def start(
        cls,
        primary: ValkeyServer,
        *,
        replicas: int,
        name: str = "jobs",
        lost_after: float = 1.0,
        program: Path | None = None,
    ) -> Self:
        """A Sentinel that knows so many replicas, and gives the primary up after so many seconds."""
        process = Guarded(None, name="sentinel")
        sentinel = cls(process, name=name, program=program or valkey_binaries.usual())
        try:
            sentinel._configure(primary, lost_after)
            sentinel._launch()
            until(lambda: sentinel._usable_replicas() == replicas, what=f"Sentinel knows {replicas} replicas")
        except BaseException:
            sentinel.close()
            raise
        return sentinel

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hosts(self) -> list[tuple[str, int]]:
        """Where this Sentinel is, as clients ask for it."""
        return [(HOST, self.port)]

    def primary_port(self) -> int:
        """The port of the server that Sentinel takes for the primary, in whatever state."""
        return self.run("SENTINEL MASTER", self.name)["port"]

    def wait_until_primary(self, server: ValkeyServer) -> None:
        """Returns when clients are sent to this server."""
        until(lambda: self._sends_to(server), what=f"Sentinel sends clients to port {server.port}")

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        self._process.kill()

    def restart(self) -> None:
        """Starts it again with what it knew, after a clean stop if it runs."""
        self.stop()
        self._launch()

    def close(self) -> None:
        self._process.close()

    def run(self, *command: str | int) -> Any:
        """The answer to one command."""
        with closing(client_of(f"redis://{HOST}:{self.port}", decode_responses=True)) as client:
            return client.execute_command(*command)

    # -------------------------------------------------------- process

    def _launch(self) -> None:
        self._process.start([str(self._program), str(self._configuration), "--sentinel"], self._ready)
        self.run("SENTINEL DEBUG", *FASTER)

    def _configure(self, primary: ValkeyServer, lost_after: float) -> None:
        self._configuration.write_text(
            f"port {self.port}\n"
            f"bind {HOST}\n"
            f"dir {quoted(self._process.folder)}\n"
            f"sentinel monitor {self.name} {HOST} {primary.port} {QUORUM}\n"
            f"sentinel down-after-milliseconds {self.name} {round(lost_after * 1000)}\n"
            f"sentinel failover-timeout {self.name} 3000\n",
            encoding="utf-8",
        )

    def _ready(self) -> bool:
        try:
            return self.run("INFO", "server")["process_id"] == self._process.pid
        except redis.ConnectionError:
            return False

    def _sends_to(self, server: ValkeyServer) -> bool:
        """Clients go nowhere while the primary's state is anything but good."""
        seen = self.run("SENTINEL MASTER", self.name)
        return seen["port"] == server.port and seen["flags"] == "master"

    def _usable_replicas(self) -> int:
        """How many replicas Sentinel would promote: it must have heard from them first."""
        replicas = self.run("SENTINEL REPLICAS", self.name)
        return sum(replica["master-link-status"] == "ok" for replica in replicas)
