"""Where the bench works: a home outside the tree, an environment per peer, a folder per turn."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "bench" / "peers"
MEMORY = Path("/dev/shm")


def home() -> Path:
    """The bench's folder: HEADRACE_BENCH_HOME, else one in the user's cache."""
    given = os.environ.get("HEADRACE_BENCH_HOME")
    path = Path(given) if given else Path.home() / ".cache" / "headrace-bench"
    path.mkdir(parents=True, exist_ok=True)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Folders of one turn: ``disk`` for databases, ``probe`` for what handlers write (in memory)."""

    disk: Path
    probe: Path
    kept: Path

    @property
    def database(self) -> Path:
        """The database of this turn."""
        return self.disk / "jobs.db"


@contextmanager
def workspace(kept: Path) -> Iterator[Workspace]:
    """Fresh folders for one turn, gone afterwards. ``kept`` lives as long as the scenario."""
    runs = home() / "runs"
    runs.mkdir(exist_ok=True)
    disk = Path(tempfile.mkdtemp(dir=runs))
    probe = Path(tempfile.mkdtemp(prefix="headrace-bench-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        yield Workspace(disk=disk, probe=probe, kept=kept)
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


def peer_python(peer: str) -> Path:
    """The interpreter of the peer's environment, made with venv and pip at the first use."""
    pins = PEERS / f"requirements-{peer}.txt"
    mark = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = home() / f"{peer}-{mark}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"making an environment for {peer} …", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", pins], check=True)
        (folder / "ready").touch()
    return python


def pinned(peer: str) -> str:
    """The peer's pins in one line, without comments."""
    lines = (PEERS / f"requirements-{peer}.txt").read_text(encoding="utf-8").splitlines()
    return ", ".join(line.strip() for line in lines if line.strip() and not line.startswith("#"))
