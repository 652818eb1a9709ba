"""Runs a worker as a process of its own: signals stop it in three steps.

The first SIGTERM or SIGINT lets running jobs finish within the grace. The second tells them to stop
now. The third ends the process at once; leases run out and others take over.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Generator
from typing import Final

from headrace.worker.log import log, tell
from headrace.worker.worker import Worker

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
EXIT_REPLACE_ME: Final = 75
EXIT_HARD: Final = 130
SWITCH_INTERVAL: Final = 0.000_5


class Signals:
    """Counts the signals to stop, for one or more workers of this process."""

    def __init__(self, *workers: Worker) -> None:
        self._workers = workers
        self._count = 0

    def received(self) -> None:
        """One more signal came."""
        self._count += 1
        tell("signal_received", count=self._count)
        for worker in self._workers:
            if self._count == 1:
                worker.request_stop()
            elif self._count == 2:  # noqa: PLR2004 - the second of three
                worker.interrupt()
        if self._count > 2:  # noqa: PLR2004 - the third
            os._exit(EXIT_HARD)


@contextlib.contextmanager
def stopped_by_signals(*workers: Worker) -> Generator[Signals]:
    """While this is open, SIGTERM and SIGINT stop the workers."""
    loop = asyncio.get_running_loop()
    signals = Signals(*workers)
    for number in SIGNALS:
        loop.add_signal_handler(number, signals.received)
    try:
        yield signals
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def run_until_signalled(worker: Worker) -> int:
    """Runs the worker until it has stopped; returns the exit code for the process.

    75 asks the supervisor for a new process: a handler could not be stopped. Handlers that still run
    keep nothing here alive: call ``leave`` with the code when everything else is closed.
    """
    # the store's thread must get the interpreter back quickly from a busy loop: measured +30 % jobs a second
    sys.setswitchinterval(SWITCH_INTERVAL)
    with stopped_by_signals(worker):
        await worker.run()
    return EXIT_REPLACE_ME if worker.wants_exit else 0


def leave(worker: Worker, code: int) -> None:
    """Ends the process if handlers still run that nothing but its end can stop; else returns."""
    if worker.stuck:
        log("leaving_with_running_handlers", types=worker.stuck)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or EXIT_REPLACE_ME)
