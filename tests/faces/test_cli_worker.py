"""``headrace worker`` as processes: supervised, restarted, and never left behind."""

import os
import re
import signal

import pytest

from headrace.cli.worker import slots_of
from headrace.errors import InvalidInput
from tests.faces.commands import Running, running


def _child_of(process: Running) -> int:
    found = re.search(r"pid (\d+)", process.line_with("started: pid"))
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_stops_at_a_signal(folder, number):
    with running("worker", "--app", "jobs_app:app", "--queues", "default=2", cwd=folder) as process:
        process.line_with("worker_started")
        process.send(number)

        assert process.ended() == 0


def test_workers_are_supervised(folder):
    with running("worker", "--app", "jobs_app:app", "--processes", "2", cwd=folder) as process:
        children = {_child_of(process), _child_of(process)}
        process.line_with("worker_started")
        process.line_with("worker_started")

        os.kill(min(children), signal.SIGKILL)
        process.line_with("ended with code -9; starting it again in 1 s")
        again = _child_of(process)
        process.line_with("worker_started")
        process.send(signal.SIGTERM)

        assert again not in children
        assert process.ended() == 0
        process.until_closed()
    assert sum("worker_stopped" in line for line in process.seen) == 2, process.seen


def test_workers_stop_when_their_supervisor_is_killed(folder):
    with running("worker", "--app", "jobs_app:app", "--processes", "2", cwd=folder) as process:
        process.line_with("worker_started")
        process.line_with("worker_started")

        process.send(signal.SIGKILL)
        process.ended()

        process.until_closed()
    assert sum("worker_stopped" in line for line in process.seen) == 2, process.seen


def test_wrong_usage_is_told_before_any_process_starts(headrace):
    for arguments in (("--queues", "a=0"), ("--app", "nowhere:app"), ("--processes", "0")):
        ran = headrace("worker", "--processes", "2", *arguments)

        assert ran.code == 2
        assert "started" not in ran.err


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        (None, None),
        ("email", {"email": 9}),
        ("email=5,default", {"email": 5, "default": 9}),
        (" a = 1 ", None),
    ],
)
def test_queues_are_read(text, slots):
    if text is not None and slots is None:
        with pytest.raises(InvalidInput):
            slots_of(text, 9)
    else:
        assert slots_of(text, 9) == slots


@pytest.mark.parametrize("text", ["", ",", "a=0", "a=-1", "a=x", "a=1=2", "no spaces", "a=²"])
def test_queues_that_cannot_be_read_are_refused(text):
    with pytest.raises(InvalidInput):
        slots_of(text, 9)
