"""The demonstration with real processes: it adds up, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.crash

LIMIT = 240


def started(temp: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "headrace.demo", *arguments],
        cwd=temp,
        env={**os.environ, "TMPDIR": str(temp)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def left_running(told: str) -> list[int]:
    pids = [int(pid) for pid in re.findall(r"process (\d+)", told)]
    assert pids
    return [pid for pid in pids if is_running(pid)]


def test_demonstration_adds_up_with_a_killed_worker(tmp_path):
    demo = started(tmp_path, "--rows", "150")

    told, _ = demo.communicate(timeout=LIMIT)

    assert demo.returncode == 0, told
    assert "149 orders, 1 spoiled rows" in told
    assert "is killed by SIGKILL" in told
    assert "Nothing was lost" in told
    assert "NO" not in told.split()
    assert list(tmp_path.iterdir()) == []
    assert left_running(told) == []


def test_storm_of_kills_adds_up(tmp_path):
    demo = started(tmp_path, "--storm", "6", "--seed", "3")

    told, _ = demo.communicate(timeout=LIMIT)

    assert demo.returncode == 0, told
    assert "workers were killed in 6 s" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("asked", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_demonstration_leaves_nothing(tmp_path, asked, code):
    demo = started(tmp_path, "--rows", "500")
    told = ""
    assert demo.stdout is not None
    for line in demo.stdout:
        told += line
        if line.startswith("Posted"):
            demo.send_signal(asked)
            break

    rest, _ = demo.communicate(timeout=LIMIT)

    assert demo.returncode == code, told + rest
    assert list(tmp_path.iterdir()) == []
    assert left_running(told) == []
