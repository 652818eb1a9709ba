"""A child process whose worker is gone ends without a word."""

import asyncio
import os
import subprocess
import sys

from headrace.worker import messages


async def test_child_whose_worker_went_while_it_started_ends_quietly():
    reading, writing = os.pipe()
    opening = messages.dump({"path": sys.path, "app": "tests.worker.childish:registry", "files": None})

    def left_alone() -> subprocess.CompletedProcess[bytes]:
        os.close(reading)
        command = [sys.executable, "-m", "headrace.worker.child"]
        # Its stdin stays open, so that only writing can tell it that nobody listens.
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=writing, stderr=subprocess.PIPE
        ) as child:
            assert child.stdin is not None
            child.stdin.write(opening)
            child.stdin.flush()
            code = child.wait(60)
            assert child.stderr is not None
            return subprocess.CompletedProcess(command, code, stderr=child.stderr.read())

    done = await asyncio.to_thread(left_alone)
    os.close(writing)

    assert (done.returncode, done.stderr) == (0, b"")
