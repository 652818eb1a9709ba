"""Several worker processes under one: started again when they die, stopped together.

Each child holds the reading end of a pipe from here as its stdin. When this process dies, even by
SIGKILL, the pipe closes and the child stops; so no worker is ever left behind.
"""

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from headrace.cli.exits import Exit
from headrace.signals import on_signals

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 60.0
"""A child that lived this long has its pause before a restart set back."""

SUPERVISED: Final = "--supervised"


class Supervisor:
    """Keeps ``count`` processes of one command running."""

    def __init__(self, arguments: Sequence[str], count: int) -> None:
        self._command = (sys.executable, "-m", "headrace.cli", *arguments, SUPERVISED)
        self._count = count
        self._stopping = asyncio.Event()
        self._children: set[asyncio.subprocess.Process] = set()
        self._code: int = Exit.DONE

    async def run(self) -> int:
        """Runs until a signal comes, or until a child says that its usage is wrong."""
        with on_signals(self._stop, self._kill):
            async with asyncio.TaskGroup() as group:
                for number in range(1, self._count + 1):
                    group.create_task(self._keep(number))
        return self._code

    async def _keep(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE_S
        while not self._stopping.is_set():
            began = loop.time()
            code = await self._run_child(number)
            if self._stopping.is_set():
                return
            if code == Exit.USAGE:
                self._code = code
                self._stop()
                return
            pause = FIRST_PAUSE_S if loop.time() - began > STEADY_S else pause
            _say(f"worker process {number} ended with code {code}; starting it again in {pause:g} s")
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _run_child(self, number: int) -> int:
        """One life of a child. A session of its own keeps the terminal's signals from reaching it twice."""
        child = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        self._children.add(child)
        _say(f"worker process {number} started: pid {child.pid}")
        if self._stopping.is_set():
            child.send_signal(signal.SIGTERM)
        try:
            return await child.wait()
        finally:
            self._children.discard(child)

    def _stop(self) -> None:
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def _kill(self) -> None:
        self._signal(signal.SIGINT)

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            with suppress(ProcessLookupError):
                child.send_signal(number)


async def supervisor_gone() -> None:
    """Returns when the supervising process has ended: nothing is ever written to this pipe."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


def _say(text: str) -> None:
    sys.stderr.write(f"headrace: {text}\n")
    sys.stderr.flush()
