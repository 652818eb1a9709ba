"""Ending a server with all its processes, and waiting for what they do."""

import ctypes
import os
import time
from collections.abc import Callable

import psutil

IPC_RMID = 0
STEP = 0.005


def until(condition: Callable[[], bool], *, what: str, timeout: float = 60) -> None:
    """Returns once the condition holds; the time-out is for what hangs."""
    give_up_at = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"not within {timeout} s: {what}")
        time.sleep(STEP)


def kill_family(pid: int) -> None:
    """Kills a process and its children at the same moment, and returns when none of them is left.

    The parent is stopped first, so that it neither starts another child nor sees one die.
    """
    parent = psutil.Process(pid)
    parent.suspend()
    until(lambda: parent.status() == psutil.STATUS_STOPPED, what=f"process {pid} stops")
    family = [*parent.children(recursive=True), parent]
    for process in family:
        process.kill()
    until(lambda: not any(alive(process) for process in family), what=f"process {pid} and its children end")


def alive(process: psutil.Process) -> bool:
    """Whether a process still runs; one whose parent has not yet looked after it does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def remove_shared_memory(key: int, segment: int) -> None:
    """Removes the System V segment that a killed server has left to the machine, if it is still that one."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.shmget(key, 0, 0) == segment and libc.shmctl(segment, IPC_RMID, None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
