"""Runs a worker as a process of its own.

The first signal lets running jobs finish within the grace, the second tells them to stop now, the
third ends the process at once; leases run out then and others take over.
"""

import gc
import os
import sys
from typing import Final

from headrace.signals import on_signals
from headrace.worker.log import log
from headrace.worker.worker import Worker

EXIT_REPLACE_ME: Final = 75
SWITCH_INTERVAL: Final = 0.000_1
YOUNG_OBJECTS: Final = 10_000


def tune_interpreter() -> None:
    """Sets up a process that runs jobs and little else; not for a process that belongs to others.

    The store's thread must get the interpreter back quickly from a busy loop (+10 % jobs/s, +40 %
    where other processes are busy too). What was imported lives as long as the process: left to the
    garbage collector, each full collection walks all of it again (5 µs a job, and stops of 30 ms).
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)


async def run_until_signalled(worker: Worker) -> int:
    """Runs the worker, which signals stop, until it has stopped; see ``run_alone``."""
    with on_signals(worker.request_stop, worker.interrupt):
        return await run_alone(worker)


async def run_alone(worker: Worker) -> int:
    """Runs the worker until it has stopped; returns the exit code for the process.

    75 asks the supervisor for a new process: a handler could not be stopped. Handlers that still run
    keep nothing here alive: call ``leave`` with the code when everything else is closed.
    """
    tune_interpreter()
    await worker.run()
    return EXIT_REPLACE_ME if worker.wants_exit else 0


def leave(worker: Worker, code: int) -> None:
    """Ends the process if handlers still run that nothing but its end can stop; else returns."""
    if worker.stuck:
        log("leaving_with_running_handlers", types=worker.stuck)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or EXIT_REPLACE_ME)
