"""Running the command line in tests: in this process, or as one of its own."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace import cli

WAIT_S = 120.0
"""How long a process may take to say something before a test gives up."""

APP = '''
from headrace import App, Context

app = App()

@app.job(name="double")
def double(n: int) -> int:
    """Doubles a number."""
    return n + n

@app.job(name="fail")
def fail(ctx: Context) -> None:
    ctx.log("\\x1b[31mred", where="here")
    raise ValueError("\\x1b]0;title\\x07boom")
'''


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


class Commands:
    """``headrace`` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        self._capsys.readouterr()
        code = cli.run(arguments)
        captured = self._capsys.readouterr()
        return Ran(int(code), captured.out, captured.err)

    def enqueued(self, *arguments: str) -> str:
        ran = self("enqueue", *arguments)
        assert ran.code == 0, ran.err
        return ran.out.strip()


class Running:
    """A ``headrace`` process whose stderr is read as it comes."""

    def __init__(self, arguments: Sequence[str], cwd: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "headrace.cli", *arguments],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.seen: list[str] = []
        self._unheard: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put(None)

    def line_with(self, text: str) -> str:
        """The first line on stderr that holds the text and was not given before.

        Processes that start side by side may speak in any order.
        """
        while (line := next((one for one in self._unheard if text in one), None)) is None:
            came = self._lines.get(timeout=WAIT_S)
            assert came is not None, f"ended without {text!r}: {''.join(self.seen)}"
            self.seen.append(came)
            self._unheard.append(came)
        self._unheard.remove(line)
        return line

    def until_closed(self) -> None:
        """Waits until nobody holds stderr any more: the process and its children have ended."""
        while (line := self._lines.get(timeout=WAIT_S)) is not None:
            self.seen.append(line)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        return self.process.wait(WAIT_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WAIT_S)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._reader.join(WAIT_S)
        self.process.stdout.close()
        self.process.stderr.close()


@contextmanager
def running(*arguments: str, cwd: Path) -> Iterator[Running]:
    process = Running(arguments, cwd)
    try:
        yield process
    finally:
        process.close()
