"""Signals while ``worker`` and ``serve`` close what they have opened."""

import signal

import pytest

from tests.faces.commands import running

CLOSING = """
import asyncio, os, sys
from headrace import App
from headrace.opening import OpensItsStore

app = App()
close = OpensItsStore.close

async def signalled(self):
    for _ in range({times}):
        os.kill(os.getpid(), {number})
        await asyncio.sleep(0.001)  # the loop learns of it in its next turn
    await close(self)
    print("closed", file=sys.stderr, flush=True)

OpensItsStore.close = signalled
"""
COMMANDS = [["worker"], ["serve", "--port", "0"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_leaves_the_store_time_to_close(folder, command, number):
    (folder / "closing_app.py").write_text(CLOSING.format(number=int(number), times=1))
    with running(*command, "--app", "closing_app:app", cwd=folder) as process:
        process.line_with("worker_started")
        process.send(number)

        assert process.ended() == 0
        process.until_closed()
    assert process.seen[-1] == "closed\n", process.seen
    assert not any("Traceback" in line for line in process.seen)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_third_signal_ends_the_process_at_once(folder, command):
    (folder / "closing_app.py").write_text(CLOSING.format(number=int(signal.SIGINT), times=2))
    with running(*command, "--app", "closing_app:app", cwd=folder) as process:
        process.line_with("worker_started")
        process.send(signal.SIGINT)

        assert process.ended() == 130
        process.until_closed()
    assert "closed\n" not in process.seen
