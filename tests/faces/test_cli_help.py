"""Help is quick, and every command has it."""

import json
import re
import subprocess
import sys

import pytest

from headrace.cli import (
    ALERT_COMMANDS,
    BATCH_COMMANDS,
    COMMANDS,
    DEAD_COMMANDS,
    FILE_COMMANDS,
    LIMIT_COMMANDS,
    SCHEDULE_COMMANDS,
)

ALL = [
    *COMMANDS,
    *(f"files {name}" for name in FILE_COMMANDS),
    *(f"schedules {name}" for name in SCHEDULE_COMMANDS),
    *(f"batches {name}" for name in BATCH_COMMANDS),
    *(f"dead {name}" for name in DEAD_COMMANDS),
    *(f"alerts {name}" for name in ALERT_COMMANDS),
    *(f"limits {name}" for name in LIMIT_COMMANDS),
]
HEAVY = (
    "pydantic",
    "fastapi",
    "starlette",
    "uvicorn",
    "apsw",
    "httpx2",
    "headrace.stores.sqlite",
    "headrace.worker",
)

PROBE = """
import json, sys
from headrace.cli import run
code = run(["--help"])
sys.stderr.write(json.dumps([code, sorted(sys.modules)]))
"""


def test_help_imports_nothing_heavy():
    ran = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)

    code, modules = json.loads(ran.stderr)
    assert code == 0
    assert [name for name in modules if name in HEAVY] == []


def test_help_lists_every_command(headrace):
    ran = headrace("--help")

    assert ran.code == 0
    assert [
        name
        for name in [*COMMANDS, "files", "schedules", "batches", "dead", "alerts", "limits"]
        if f" {name} " not in ran.out
    ] == []


@pytest.mark.parametrize("command", ALL)
def test_every_command_has_help_and_url(headrace, command):
    ran = headrace(*command.split(), "--help")

    assert ran.code == 0
    assert "--url" in ran.out or command in {"demo", "move"}


@pytest.mark.parametrize("command", ALL)
def test_every_option_says_what_it_is_for(headrace, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "200")

    ran = headrace(*command.split(), "--help")

    options = [line.strip("│ \n") for line in ran.out.splitlines() if line.startswith("│")]
    assert options
    assert [line for line in options if len(re.split(r"\s{2,}", line.removeprefix("*").strip())) < 2] == []


def test_version_is_printed(headrace):
    assert headrace("--version").out.strip()


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("files", "nope"),
        ("jobs", "--nope"),
        ("jobs", "--limit", "x"),
        ("job",),
        ("jobs", "--limit", "0"),
        ("serve", "--port", "99999"),
        ("worker", "--lease", "0.1"),
        ("worker", "--grace", "-1"),
        ("enqueue", "process-file", "--payload", "@nowhere.json"),
    ],
)
def test_wrong_usage_is_told_in_one_line(headrace, arguments):
    ran = headrace(*arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("headrace: ")
    assert ran.err.count("\n") == 1
