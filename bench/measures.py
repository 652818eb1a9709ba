"""What is measured in the same way on every server, whatever the library."""

import statistics

from bench import probe
from bench.library import Library, drained, filled
from bench.processes import BrokenRunError, wait_for
from bench.scenario import Figures, Run

ONE, CONC, BULK = "one at a time", "16 producers", "1,000 a call"
COMMANDS = {ONE: "one", CONC: "conc", BULK: "bulk"}
WARM = {ONE: 1, CONC: 1, BULK: 0}
LEAST = 1_000


def drain(run: Run, library: Library, workers: int) -> Figures:
    """Starts workers on a store that the library has filled."""
    jobs = run.size(library.jobs, library.jobs // 5)
    with filled(run, library, jobs) as full:
        return drained(full, library, jobs, workers=workers)


def enqueue(run: Run, library: Library) -> Figures:
    """All ways in turn, each on a store of its own; afterwards every job must be there."""
    ways = [ONE, CONC, BULK] if library.bulk else [ONE, CONC]
    return {way: _rate(run, library, way) for way in ways}


def _rate(run: Run, library: Library, way: str) -> float:
    few = run.size(library.calls, library.calls // 4)
    count = {ONE: few, CONC: 2 * few, BULK: run.size(30_000, 10_000)}[way]
    with filled(run, library, 0) as empty:
        rate = library.produce(empty, COMMANDS[way], count)["jobs/s"]
        if (waiting := library.left(empty)) != count + WARM[way]:
            raise BrokenRunError(f"{way}: {waiting} jobs wait, not {count + WARM[way]}")
    return rate


def pickup(run: Run, library: Library) -> Figures:
    """A worker that has run one job, then a producer."""
    with filled(run, library, 1) as there, library.work(there, 1) as those:
        wait_for(there, 1, those)
        call = library.produce(there, "lat", run.size(library.samples, library.samples // 4))
    return {**delays(run), **call}


def delays(run: Run) -> dict[str, float]:
    """Percentiles of what the handlers noted."""
    late = [delay * 1000 for reading in probe.read(run.space.probe) for delay in reading.delays]
    cuts = statistics.quantiles(late, n=100)
    return {"p50 ms": cuts[49], "p95 ms": cuts[94], "p99 ms": cuts[98]}


def first(run: Run, library: Library, most: int, *, more: int = 0, ended: int = 0) -> Figures:
    """The rate of the first jobs that a fresh worker runs, ``most`` of them or what takes a second, while
    ``more`` wait behind and ``ended`` lie beside."""
    a_second = library.jobs - library.jobs % 10_000
    looked_at = max(LEAST, min(most, a_second))
    jobs = looked_at + max(LEAST // 2, looked_at // 8)
    with filled(run, library, jobs + more, ended=ended) as full, library.work(full, 1) as those:
        wait_for(full, jobs, those)
        (reading,) = probe.read(full.space.probe)
    return {"jobs/s": looked_at / (reading.marks[looked_at // probe.MARK_EVERY - 1] - reading.first)}
