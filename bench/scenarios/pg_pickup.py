"""How soon an idle worker on PostgreSQL starts a job."""

from bench import postgres
from bench.library import Library
from bench.measures import delays, pickup
from bench.ours.commands import OURS
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, figure, ratio
from bench.scenarios.pg_drain import ALONE, LIBRARIES

TABLE = "PostgreSQL alone, insert and NOTIFY"


def table(run: Run) -> Figures:
    """A listener that reads each new row."""
    return {**ALONE.wake(run), **delays(run)}


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
