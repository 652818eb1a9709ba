"""Where the bench works: a home outside the tree, a folder per turn."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MEMORY = Path("/dev/shm")


def home() -> Path:
    """The bench's folder: HEADRACE_BENCH_HOME, else one in the user's cache."""
    given = os.environ.get("HEADRACE_BENCH_HOME")
    path = Path(given) if given else Path.home() / ".cache" / "headrace-bench"
    path.mkdir(parents=True, exist_ok=True)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What one turn works with: ``disk`` for files, ``probe`` for what handlers write (in memory), and the
    URL of the store. ``kept`` lives as long as the scenario."""

    disk: Path
    probe: Path
    kept: Path
    url: str

    def on_disk(self, folder: Path) -> "Workspace":
        """The same with a SQLite file in another folder."""
        return replace(self, disk=folder, url=_sqlite(folder))

    def on_server(self, url: str) -> "Workspace":
        """The same with a database on a server."""
        return replace(self, url=url)


@contextmanager
def workspace(kept: Path) -> Iterator[Workspace]:
    """Fresh folders for one turn, gone afterwards; the store is a SQLite file."""
    runs = home() / "runs"
    runs.mkdir(exist_ok=True)
    disk = Path(tempfile.mkdtemp(dir=runs))
    probe = Path(tempfile.mkdtemp(prefix="headrace-bench-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        yield Workspace(disk=disk, probe=probe, kept=kept, url=_sqlite(disk))
    finally:
        shutil.rmtree(disk, ignore_errors=True)
        shutil.rmtree(probe, ignore_errors=True)


@contextmanager
def kept_folder() -> Iterator[Path]:
    """A folder that lives as long as a scenario."""
    runs = home() / "runs"
    runs.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="kept-", dir=runs))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'jobs.db'}"
