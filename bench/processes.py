"""Starting processes, reading what they use, ending those that were started here."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import probe
from bench.places import ROOT
from bench.scenario import Run

Command = Sequence[str | Path]
_TICKS = os.sysconf("SC_CLK_TCK")
_MARK = "RESULT "


class BrokenRunError(Exception):
    """A measured process failed or stalled; the text says how it ended."""


def environment(run: Run, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a measured process."""
    mine = {name: text for name, text in os.environ.items() if not name.startswith("HEADRACE_")}
    paths = {"PYTHONPATH": str(ROOT), probe.FOLDER: str(run.space.probe)}
    return mine | paths | {"HEADRACE_URL": run.space.url} | dict(extra or {})


def ask(
    run: Run, command: Command, *, extra: Mapping[str, str] | None = None, limit: float = 120
) -> dict[str, float]:
    """Runs a process to its end and returns the figures it told with ``tell``."""
    parts = [str(part) for part in command]
    try:
        done = subprocess.run(
            parts,
            env=environment(run, extra),
            cwd=run.space.disk,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BrokenRunError(f"{' '.join(parts)} still ran after {limit} s") from error
    for line in reversed(done.stdout.splitlines()):
        if line.startswith(_MARK):
            return json.loads(line[len(_MARK) :])
    told = (done.stdout + done.stderr)[-3000:]
    raise BrokenRunError(f"{' '.join(parts)} ended with {done.returncode}:\n{told}")


def tell(value: Mapping[str, float]) -> None:
    """Hands figures to the process that asked."""
    print(_MARK + json.dumps(value), flush=True)


class Started:
    """A process that was started here, in a session of its own so that its children end with it."""

    def __init__(self, run: Run, command: Command, extra: Mapping[str, str] | None = None) -> None:
        self._log = (run.space.disk / f"process-{time.monotonic_ns()}.log").open("w+")
        self._process = subprocess.Popen(
            [str(part) for part in command],
            env=environment(run, extra),
            cwd=run.space.disk,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def told(self) -> str:
        """The end of what it printed."""
        self._log.flush()
        return Path(self._log.name).read_text(encoding="utf-8", errors="replace")[-3000:]

    def pss_mb(self) -> float:
        """Proportional memory of it and its children, in MB."""
        return sum(_pss(pid) for pid in self._pids()) / 2**20

    def cpu_seconds(self) -> float:
        """Processor time of it and its children so far."""
        return sum(_cpu(pid) for pid in self._pids())

    def end(self, grace: float = 5) -> None:
        """Asks it to end, then makes it."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        self.kill()

    def kill(self) -> None:
        """Ends it and its children at once."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _pids(self) -> list[int]:
        """All processes of its session; the session's number is its own."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                    if int(fields[3]) == self._process.pid:
                        found.append(int(folder.name))
        return found


@contextlib.contextmanager
def started(
    run: Run,
    command: Command,
    *,
    count: int = 1,
    extra: Mapping[str, str] | None = None,
    grace: float = 5,
) -> Iterator[list[Started]]:
    """Processes that end when the block does, by force after so many seconds each."""
    those: list[Started] = []
    try:
        those.extend(Started(run, command, extra) for _ in range(count))
        yield those
    finally:
        for one in those:
            one.end(grace)


def wait_for(run: Run, wanted: int, those: Sequence[Started], *, stall: float = 30) -> None:
    """Returns once the handlers were called ``wanted`` times. Raises BrokenRunError if nothing moves on."""
    got, moved = -1, time.monotonic()
    while got < wanted:
        now, last = time.monotonic(), got
        got = probe.count(run.space.probe)
        if got != last:
            moved = now
        if now - moved > stall or not any(one.alive for one in those):
            told = "\n".join(one.told() for one in those)
            raise BrokenRunError(f"{got} of {wanted} handler calls, then nothing more:\n{told}")
        time.sleep(0.01)


def ours(module: str, *arguments: object) -> Command:
    """The command that runs a module in this environment."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def script(name: str) -> Path:
    """A command installed beside this interpreter, such as ``headrace``."""
    return Path(sys.executable).with_name(name)


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _cpu(pid: int) -> float:
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0.0
