"""``headrace serve`` as a process: it serves, works, refuses to be open to others, and stops when told."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from headrace import App
from tests.faces.commands import WAIT_S, running
from tests.faces.service import free_socket

CHECK = Path(__file__).parents[2] / "tools" / "check_http.py"


def _url(process) -> str:
    found = re.search(r"http://\S+", process.line_with("listening on"))
    assert found is not None
    return found[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_answers_as_documented_and_stops_at_a_signal(folder, number):
    with running("serve", "--port", "0", "--app", "jobs_app:app", cwd=folder) as process:
        url = _url(process)

        checked = subprocess.run(
            [sys.executable, str(CHECK), url, "--type", "double", "--payload", '{"n": 1}'],
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        process.send(number)

        assert (checked.returncode, checked.stderr) == (0, "")
        assert process.ended() == 0
    assert "Traceback" not in "".join(process.seen)


def test_check_names_what_differs(folder):
    with running("serve", "--port", "0", "--no-worker", "--app", "jobs_app:app", cwd=folder) as process:
        checked = subprocess.run(
            [
                sys.executable,
                str(CHECK),
                _url(process),
                "--type",
                "double",
                "--payload",
                '{"n": 1}',
                "--patience",
                "0",
            ],
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )

    assert checked.returncode == 1
    assert "differs: completed job: expected" in checked.stderr


def test_serve_without_app_knows_the_built_in_types(folder):
    with running("serve", "--port", "0", cwd=folder) as process:
        with urllib.request.urlopen(f"{_url(process)}/job-types", timeout=WAIT_S) as answer:
            names = {one["name"] for one in json.load(answer)["jobTypes"]}
        process.send(signal.SIGTERM)

        assert {"send-email", "webhook-delivery", "batch-import"} <= names
        assert process.ended() == 0


def test_job_goes_through_service_and_command_line(folder, headrace):
    with running("serve", "--port", "0", "--app", "jobs_app:app", cwd=folder) as process:
        _url(process)
        job_id = headrace.enqueued("double", "--payload", '{"n": 21}', "--app", "jobs_app:app")
        _wait_for(headrace, job_id)
        process.send(signal.SIGTERM)
        process.ended()

    ran = headrace("job", job_id)
    assert ran.code == 0
    assert ["result", "42"] in ran.rows
    assert ["status", "completed"] in ran.rows


def test_failed_job_is_shown_without_its_control_characters(folder, headrace):
    with running("serve", "--port", "0", "--app", "jobs_app:app", cwd=folder) as process:
        _url(process)
        job_id = headrace.enqueued("fail", "--max-attempts", "1", "--app", "jobs_app:app")
        _wait_for(headrace, job_id)
        process.send(signal.SIGTERM)
        process.ended()

    ran = headrace("job", job_id)
    assert "\x1b" not in ran.out
    assert "\x07" not in ran.out
    assert "\\x1b]0;title\\x07boom" in ran.out
    assert "\\x1b[31mred" in ran.out


def _wait_for(headrace, job_id: str) -> None:
    """Asks through the engine, which waits for the job's end."""

    async def wait() -> None:
        async with App() as app:
            await (await app.operations()).wait(job_id, timeout_ms=round(WAIT_S * 1000))

    asyncio.run(wait())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_serve_refuses_to_listen_beyond_loopback(headrace, folder, host):
    ran = headrace("serve", "--host", host, "--port", "0")

    assert (ran.code, ran.out) == (2, "")
    assert f"refusing to listen on {host}: no credentials are configured" in ran.err
    assert list(folder.glob("*.db*")) == []


def test_taken_port_is_told(headrace):
    with free_socket() as taken:
        ran = headrace("serve", "--port", str(taken.getsockname()[1]))

    assert ran.code == 1
    assert "cannot listen on port" in ran.err
    assert ran.err.count("\n") == 1
