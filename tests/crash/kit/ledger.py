"""What handlers really did, told by themselves into a file apart from the store.

A line is appended by one write, so it is whole or not there, and it stays when the writer is killed in
the very next moment.
"""

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from headrace.engine.context import Context
from tests.crash.kit.clocks import mono_ms, store_ms

LEDGER: Final = "HEADRACE_TEST_LEDGER"
WORKER: Final = "HEADRACE_TEST_WORKER"


class Phase(StrEnum):
    """What a line is about. ``STOPPED`` is a handler that was told to stop, ``LATE`` a write by a zombie."""

    START = "start"
    EFFECT = "effect"
    END = "end"
    STOPPED = "stopped"
    LATE = "late"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line."""

    job: str
    fence: int
    attempt: int
    worker: str
    pid: int
    phase: Phase
    at: int
    mono: float
    note: str = ""


def tell(ctx: Context, phase: Phase, note: str = "") -> None:
    """Writes one line about the attempt that calls this."""
    row = {
        "job": ctx.job.id,
        "fence": ctx._link._holder.fence,  # type: ignore[attr-defined]  # no handler needs its fence
        "attempt": ctx.attempt,
        "worker": os.environ.get(WORKER, ""),
        "pid": os.getpid(),
        "phase": phase.value,
        "at": store_ms(),
        "mono": mono_ms(),
        "note": note,
    }
    append(Path(os.environ[LEDGER]), row)


def append(path: Path, row: Mapping[str, object]) -> None:
    """Appends one JSON line in one write."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, (json.dumps(row, separators=(",", ":")) + "\n").encode())
    finally:
        os.close(file)


def lines_of(path: Path) -> list[dict[str, object]]:
    """The lines of a file written by ``append``, of which there may be none yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Ledger:
    """The ledger of one run."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def rows(self, *phases: Phase) -> list[Row]:
        """All rows in the order of writing, of these phases if any are named."""
        rows = [Row(**line | {"phase": Phase(str(line["phase"]))}) for line in lines_of(self.path)]  # type: ignore[arg-type]
        return [row for row in rows if not phases or row.phase in phases]

    def by_job(self) -> Mapping[str, Sequence[Row]]:
        """All rows by job."""
        rows: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows():
            rows[row.job].append(row)
        return rows

    def count(self, phase: Phase, job: str | None = None) -> int:
        """How many rows of a phase there are, of one job if it is named."""
        return sum(job is None or row.job == job for row in self.rows(phase))
