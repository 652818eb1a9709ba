"""How the measured huey is filled and started."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.environments import peer_python
from bench.processes import Started, ask, started
from bench.scenario import Run

JOBS = "bench.peers.huey_jobs"
PRODUCER = "bench.peers.huey_producer"


def told(run: Run, what: str, count: int, *, fsync: bool = True) -> dict[str, float]:
    """Runs one of the enqueuing commands of ``huey_producer`` to its end."""
    return ask(run, [peer_python("huey"), "-m", PRODUCER, what, str(count)], extra=_extra(run, fsync=fsync))


@contextmanager
def consumer(run: Run, threads: int) -> Iterator[list[Started]]:
    """Huey's own consumer with its defaults: fsync on, no periodic tasks, quiet."""
    command = [peer_python("huey"), "-m", "huey.bin.huey_consumer", f"{JOBS}.huey"]
    with started(run, [*command, "-w", str(threads), "-k", "thread", "-q", "-n"], extra=_extra(run)) as those:
        yield those


def _extra(run: Run, *, fsync: bool = True) -> dict[str, str]:
    return {"HUEY_FILE": str(run.space.disk / "huey.db"), "HUEY_FSYNC": "1" if fsync else "0"}
