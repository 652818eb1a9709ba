"""The portal: synchronous calls, and what becomes of them when it closes or is carried into a fork."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from headrace.engine.portal import Portal

PATIENCE = 60

FORK = """
import os, signal
from headrace.engine.portal import Portal

async def one():
    return 1

portal = Portal()
portal.call(one)
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    os._exit(portal.call(one))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_call_under_way_ends_when_the_portal_is_closed() -> None:
    portal = Portal()
    inside = threading.Event()

    async def for_ever() -> None:
        inside.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(portal.call, for_ever)
        assert inside.wait(PATIENCE)
        portal.close()
        with pytest.raises(CancelledError):
            waiting.result(PATIENCE)


def test_closed_portal_begins_again_at_the_next_call() -> None:
    portal = Portal()

    async def one() -> int:
        return 1

    assert portal.call(one) == 1
    portal.close()
    portal.close()
    assert portal.call(one) == 1
    portal.close()


def test_portal_carried_into_a_fork_begins_again() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["1"]
