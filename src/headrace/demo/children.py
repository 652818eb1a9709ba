"""The real processes of the demonstration: the service and its workers. None outlives it."""

import asyncio
import re
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from headrace.errors import HeadraceError

APP: Final = "headrace.demo.jobs:app"
CONCURRENCY: Final = 20
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 15.0
_LISTENING: Final = re.compile(r"listening on (http://\S+)")
_WORKING: Final = re.compile(r"worker_started")


class ChildFailed(HeadraceError):
    """A process of the demonstration did not start, or ended by itself."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process and where it writes."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def last_words(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-2000:].strip()


@dataclass(slots=True)
class Children:
    """Starts processes in one folder with one environment."""

    folder: Path
    environment: Mapping[str, str]
    running: list[Child] = field(default_factory=list[Child])
    killed: list[Child] = field(default_factory=list[Child])
    _started: int = 0

    async def service(self) -> tuple[Child, str]:
        """Starts the HTTP service; returns it with its address."""
        child = await self._start("service", "serve", "--no-worker", "--port=0", f"--app={APP}")
        return child, await self._says(child, _LISTENING)

    async def worker(self) -> Child:
        """Starts a worker; returns when it works."""
        child = await self._start("worker", "worker", f"--app={APP}", f"--concurrency={CONCURRENCY}")
        await self._says(child, _WORKING)
        return child

    async def kill(self, child: Child) -> None:
        """Ends a process by SIGKILL, which it cannot notice."""
        self.running.remove(child)
        self.killed.append(child)
        child.process.kill()
        await child.process.wait()

    def check(self) -> None:
        """Raises ChildFailed if a process ended that nobody ended."""
        for child in self.running:
            if child.process.returncode is not None:
                msg = f"{child.name} ended by itself with {child.process.returncode}:\n{child.last_words()}"
                raise ChildFailed(msg)

    async def stop(self) -> None:
        """Ends all processes that still run: by SIGTERM, and whoever does not listen by SIGKILL."""
        for child in self.running:
            if child.process.returncode is None:
                child.process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                for child in self.running:
                    await child.process.wait()
        finally:
            for child in self.running:
                if child.process.returncode is None:
                    child.process.kill()
                    await child.process.wait()
            self.running.clear()

    async def _start(self, name: str, *arguments: str) -> Child:
        self._started += 1
        log = self.folder / f"{self._started}-{name}.log"
        with log.open("wb") as output:
            # In a session of its own, so that a Ctrl-C reaches this process only, which then ends them.
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "headrace.cli",
                *arguments,
                cwd=self.folder,
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        child = Child(f"{name} {process.pid}", process, log)
        self.running.append(child)
        return child

    async def _says(self, child: Child, pattern: re.Pattern[str]) -> str:
        """Waits until the process writes what fits; returns the group of it."""
        try:
            async with asyncio.timeout(START_SECONDS):
                while True:
                    found = pattern.search(child.log.read_text(errors="replace"))
                    if found is not None:
                        return found[found.re.groups]
                    self.check()
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            msg = f"{child.name} does not start:\n{child.last_words()}"
            raise ChildFailed(msg) from error


@asynccontextmanager
async def children(folder: Path, environment: Mapping[str, str]) -> AsyncGenerator[Children]:
    """Processes that all have ended when this is left, however it is left."""
    family = Children(folder, environment)
    try:
        yield family
    finally:
        await asyncio.shield(family.stop())
