"""The machine and its speed at this moment, measured anew before each scenario."""

import contextlib
import os
import platform
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import apsw

from bench.environments import pinned
from bench.places import home

PACKAGES = ("headrace", "apsw", "asyncpg", "redis", "pydantic", "uvloop", "fastapi", "uvicorn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What figures depend on. ``loop_million`` is how often a fixed loop turns per second, in millions."""

    cpu: str
    cores: int
    memory_gb: int
    kernel: str
    python: str
    sqlite: str
    versions: Mapping[str, str]
    peers: str
    fsync_ms: float
    fsync_p95_ms: float
    loop_million: float
    load: float

    def line(self) -> str:
        """All of it in two sentences."""
        packages = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"{self.cpu}, {self.cores} cores, {self.memory_gb} GB, {self.kernel}; "
            f"a 4 KB write with fsync takes {self.fsync_ms:.2f} ms (p95 {self.fsync_p95_ms:.2f}), "
            f"a fixed Python loop turns {self.loop_million:.0f} million times a second, "
            f"load before the run {self.load:.1f}. "
            f"CPython {self.python}, SQLite {self.sqlite}, {packages}; peers: {self.peers}."
        )

    def json(self) -> dict[str, object]:
        """For the result file."""
        return asdict(self)


def look() -> Machine:
    """Looks at the machine and measures how fast it is just now."""
    load = os.getloadavg()[0]
    fsync = _fsync_ms()
    return Machine(
        cpu=_cpu_name(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        kernel=f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        python=platform.python_version(),
        sqlite=apsw.sqlite_lib_version(),
        versions={name: _version(name) for name in PACKAGES},
        peers=pinned(),
        fsync_ms=statistics.median(fsync),
        fsync_p95_ms=statistics.quantiles(fsync, n=20)[-1],
        loop_million=_loop_million(),
        load=load,
    )


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def _fsync_ms(times: int = 200) -> list[float]:
    path = home() / f"fsync-{os.getpid()}"
    taken = []
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(times):
                start = time.perf_counter()
                file.write(b"x" * 4096)
                os.fsync(file.fileno())
                taken.append((time.perf_counter() - start) * 1000)
    finally:
        path.unlink(missing_ok=True)
    return taken


def _loop_million(turns: int = 2_000_000) -> float:
    """The best of three, so that one pause does not count."""
    best = 0.0
    for _ in range(3):
        start, total = time.perf_counter(), 0
        for number in range(turns):
            total += number
        best = max(best, turns / (time.perf_counter() - start) / 1e6)
    return best


if __name__ == "__main__":
    sys.stdout.write(look().line() + "\n")
