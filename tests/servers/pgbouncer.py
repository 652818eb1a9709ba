"""A pgbouncer in front of a server, in transaction mode: a session is one transaction long.

It has few connections to the server and hands each one on after every transaction, so that whatever a
client leaves behind in a session is lost, or met by another client.
"""

import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psutil

from tests.servers import binaries
from tests.servers.ports import free_port
from tests.servers.processes import until

HOST = "127.0.0.1"
PATIENCE = 30

CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}

[pgbouncer]
listen_addr = {listen}
listen_port = {listen_port}
unix_socket_dir =
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 500
auth_type = any
server_lifetime = {lifetime}
"""


def program() -> str | None:
    """Where pgbouncer is, if it is installed."""
    return shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class PgBouncer:
    """Pools connections to the server of a URL; each is replaced after ``lifetime`` seconds."""

    def __init__(self, url: str, *, pool: int = 4, lifetime: int = 3_600) -> None:
        self._target = urlsplit(url)
        self._pool = pool
        self._lifetime = lifetime
        self.port = free_port()

    def through(self, url: str) -> str:
        """The same URL by way of the pooler."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}{HOST}:{self.port}").geturl()

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-pgbouncer-"))
        self._folder.chmod(0o755)
        file = self._folder / "pgbouncer.ini"
        file.write_text(
            CONFIGURATION.format(
                host=self._target.hostname,
                port=self._target.port,
                user=self._target.username,
                listen=HOST,
                listen_port=self.port,
                pool=self._pool,
                lifetime=self._lifetime,
            )
        )
        self.log = self._folder / "log"
        self._start(file)
        return self

    def kill(self) -> None:
        """Ends it as a power switch would: all its clients lose their connections."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def restart(self) -> None:
        """Brings it back at the same port."""
        self._start(self._folder / "pgbouncer.ini")

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def _start(self, file: Path) -> None:
        user = binaries.account()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [program(), str(file)],
                user=user.uid, group=user.gid, extra_groups=[] if user.uid else None,
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until(self._listens, what="pgbouncer starts", timeout=PATIENCE)

    def _listens(self) -> bool:
        if self._process.poll() is not None or not psutil.pid_exists(self._process.pid):
            raise RuntimeError(f"pgbouncer ended: {self.log.read_text()}")
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        return True
