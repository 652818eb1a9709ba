"""How soon an idle worker on PostgreSQL starts a job."""

import statistics

from bench import postgres, probe
from bench.library import Library, filled
from bench.limits import postgres_runs
from bench.ours.commands import OURS
from bench.processes import wait_for
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, figure, ratio
from bench.scenarios.pg_drain import LIBRARIES

TABLE = "PostgreSQL alone, insert and NOTIFY"


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


def table(run: Run) -> Figures:
    """A listener that reads each new row."""
    return {**postgres_runs.wake(run), **delays(run)}


def _contender(library: Library) -> Contender:
    return Contender(name=library.name, side=library.side, run=lambda run: pickup(run, library))


SCENARIO = Scenario(
    name="pg-pickup",
    question="How soon does an idle worker start a job on PostgreSQL?",
    method=(
        "From the start of the enqueue call to the start of the handler in another process, one job at a "
        "time after a random pause of 5 to 25 ms (DBOS, which only polls: up to three polls, and fewer "
        "samples). `call ms` is the median of the enqueue call itself."
    ),
    server=postgres.plain,
    contenders=(
        *(_contender(library) for library in LIBRARIES),
        Contender(name=TABLE, side=Side.LIMIT, run=table),
    ),
    goals=(
        Goal(text="p50, ms", value=figure(OURS.name, "p50 ms"), at_most=1.5),
        Goal(text="p99, ms", value=figure(OURS.name, "p99 ms"), at_most=5),
        Goal(text="p50, × PostgreSQL alone", value=ratio("p50 ms", OURS.name, TABLE)),
    ),
)
