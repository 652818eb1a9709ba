"""A server process that lives no longer than this process: started, stopped, killed, paused.

What a server is, and how one sees that it works, is for those who use this.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.servers.folders import MEMORY
from tests.servers.postgres import ServerTrouble
from tests.servers.processes import kill_family, until

GUARD = Path(__file__).with_name("guard.py")
PATIENCE = 60
LOG_TAIL = 4_000
# The guard ends a server with SIGQUIT, which would leave the server's memory in a file.
NO_CORE = ("sh", "-c", 'ulimit -c 0; exec "$@"', "sh")


class Guarded:
    """A folder with a server's log, and the server's process, one after another."""

    def __init__(self, folder: Path | None, *, name: str) -> None:
        self._owned = folder is None
        self.folder = _temporary_folder(name) if folder is None else folder
        self.folder.mkdir(exist_ok=True)
        self.log = self.folder / "log"
        self.pid = 0
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._guard is not None and self._guard.poll() is None

    def start(self, command: list[str], ready: Callable[[], bool]) -> None:
        """Starts the process, and returns once it is ready."""
        doomed = str(self.folder) if self._owned else ""
        user, group = str(os.geteuid()), str(os.getegid())
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", GUARD, user, group, self.log, doomed, *NO_CORE, *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.pid = int(self._guard.stdout.readline() or 0)
        until(lambda: self._alive() and ready(), what=f"the server in {self.folder} starts", timeout=PATIENCE)

    def stop(self) -> None:
        """Asks the process to end, and returns when it has."""
        if self.running:
            os.kill(self.pid, signal.SIGTERM)
            self.resume()
        self._ended()

    def kill(self) -> None:
        """Kills the process and its children at the same moment."""
        if self.running:
            kill_family(self.pid)
        self._ended()

    def pause(self) -> None:
        """Stops the process where it is: its connections stay open, and hear nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        process = psutil.Process(self.pid)
        until(lambda: process.status() == psutil.STATUS_STOPPED, what=f"process {self.pid} stops")

    def resume(self) -> None:
        """Lets a paused process go on; any other one does so anyway."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Ends the process at once and for good, and removes the folder unless it was given."""
        if self._guard is not None:
            self._guard.stdin.close()
        self._ended()
        if self._owned:
            shutil.rmtree(self.folder, ignore_errors=True)

    def trouble(self, what: str) -> ServerTrouble:
        log = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return ServerTrouble(f"the server in {self.folder} {what}:\n{log[-LOG_TAIL:]}")

    def _alive(self) -> bool:
        if not self.running:
            raise self.trouble("did not start")
        return True

    def _ended(self) -> None:
        if self._guard is None:
            return
        try:
            self._guard.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise self.trouble("did not end") from error
        self._guard.stdin.close()
        self._guard.stdout.close()
        self._guard = None


def quoted(path: Path) -> str:
    """A path as one word of a configuration file."""
    return json.dumps(str(path), ensure_ascii=False)


def _temporary_folder(name: str) -> Path:
    """In memory where there is such a place: what these servers write is small, and a busy disk is slow."""
    return Path(tempfile.mkdtemp(prefix=f"headrace-{name}-", dir=MEMORY if MEMORY.is_dir() else None))
