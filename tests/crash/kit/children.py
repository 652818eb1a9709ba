"""The processes of a run: started, stopped, frozen and killed by pid, and gone when the run is.

Each writes into files of its own. A child asks the kernel to be killed when the thread that started it
ends, so that nothing is left even if the run itself is killed: start children from the main thread.
"""

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.crash.kit.clocks import until

ROOT: Final = Path(__file__).resolve().parents[3]
LAST_WAIT: Final = 30.0
_PR_SET_PDEATHSIG: Final = 1
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def tie_to_parent() -> None:
    """Called by a child at its very start: it is killed when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)


class Child:
    """One process."""

    def __init__(self, name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str]) -> None:
        assert threading.current_thread() is threading.main_thread(), "see the module's docstring"
        self.name: Final = name
        self._log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": _paths()} | dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    @property
    def alive(self) -> bool:
        return self.code is None

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to this process alone."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it at once, and all it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def kill_alone(self) -> None:
        """Ends it at once. What it started has to notice by itself."""
        self._process.kill()
        self._process.wait()

    async def freeze(self) -> None:
        """Stops it; returns when every thread of it stands still."""
        self.send(signal.SIGSTOP)
        await until(f"{self.name} stands still", lambda: set(_states(self.pid)) <= {"T", "t"})

    def thaw(self) -> None:
        """Lets it go on."""
        self.send(signal.SIGCONT)

    async def ended(self, patience: float = LAST_WAIT) -> int:
        """Waits until it has ended; its code."""
        await until(f"{self.name} ends", lambda: not self.alive, patience=patience)
        return self._process.wait()

    def said(self) -> str:
        """All it wrote to its standard streams."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of that name in its log."""
        lines = [line for line in self.said().splitlines() if line.startswith("{") and line.endswith("}")]
        return [event for event in map(json.loads, lines) if event.get("event") == name]

    def cpu_seconds(self) -> float:
        """Processor time it has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


class Fleet:
    """All processes of one run, as a context manager: none outlives it."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._env = dict(env or {})
        self.all: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self.all:
            child.kill()
        if error is not None:
            error.add_note("\n".join(f"--- {child.name}\n{child.said()[-2000:]}" for child in self.all[-6:]))

    def start(
        self,
        module: str,
        *arguments: object,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Child:
        """Starts ``python -m module arguments``."""
        name = name or f"{module.rpartition('.')[2]}-{len(self.all) + 1}"
        return self.start_command([sys.executable, "-m", module, *map(str, arguments)], name=name, env=env)

    def start_command(
        self, command: Sequence[str], *, name: str, env: Mapping[str, str] | None = None
    ) -> Child:
        """Starts a program."""
        child = Child(name, command, log=self._folder / f"{name}.log", env=self._env | dict(env or {}))
        self.all.append(child)
        return child

    async def stop(self, children: Sequence[Child]) -> list[int]:
        """Asks them to end and waits; their codes."""
        for child in children:
            if child.alive:
                child.send(signal.SIGTERM)
        return [await child.ended(60) for child in children]

    def said(self) -> str:
        """All that all of them wrote."""
        return "\n".join(child.said() for child in self.all)


async def cpu_share(child: Child, seconds: float) -> float:
    """Which share of a core a child uses over some seconds."""
    before = child.cpu_seconds()
    await asyncio.sleep(seconds)
    return (child.cpu_seconds() - before) / seconds


def _paths() -> str:
    """This checkout before all that is searched anyway."""
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


def _states(pid: int) -> list[str]:
    states = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            states.append((task / "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0])
    return states
