"""How fast jobs are taken in on PostgreSQL, side by side with peers."""

from bench import postgres
from bench.library import Library
from bench.measures import BULK, CONC, ONE, enqueue
from bench.ours.commands import OURS
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, figure, ratio, ratio_to_best
from bench.scenarios.pg_drain import ALONE, LIBRARIES, PEERS

TABLE = "PostgreSQL alone"


def table(run: Run) -> Figures:
    """PostgreSQL without any library."""
    return {
        ONE: ALONE.table(run, "one", 6_000)["jobs/s"],
        CONC: ALONE.table(run, "conc", 20_000)["jobs/s"],
        BULK: ALONE.table(run, "bulk", 200_000)["jobs/s"],
    }


def _contender(library: Library) -> Contender:
    return Contender(name=library.name, side=library.side, run=lambda run: enqueue(run, library))


SCENARIO = Scenario(
    name="pg-enqueue",
    question="How fast does a program enqueue on PostgreSQL?",
    method=(
        "Jobs per second of one producer process, no worker, a fresh database for each way. Every call "
        "returns when its jobs are committed (synchronous_commit on). One at a time: each call awaited "
        "before the next. 16 producers: tasks on one event loop, each one job after the other. 1,000 a call: "
        "the library's own call for many, where it has one. PostgreSQL alone inserts nine plain columns with "
        "one index: single rows on one connection, single rows on 16 connections, 1,000 rows by `unnest`."
    ),
    server=postgres.plain,
    contenders=(
        *(_contender(library) for library in LIBRARIES),
        Contender(name=TABLE, side=Side.LIMIT, run=table),
    ),
    goals=(
        Goal(
            text="16 producers, × the best peer",
            value=ratio_to_best(CONC, OURS.name, PEERS),
            at_least=3,
            must=True,
        ),
        Goal(text="one at a time, × the best peer", value=ratio_to_best(ONE, OURS.name, PEERS)),
        Goal(text="1,000 a call, × the best peer", value=ratio_to_best(BULK, OURS.name, PEERS)),
        Goal(text="one at a time, jobs/s", value=figure(OURS.name, ONE), at_least=4_000, form="{:,.0f}"),
        Goal(text="16 producers, jobs/s", value=figure(OURS.name, CONC), at_least=10_000, form="{:,.0f}"),
        Goal(text="1,000 a call, jobs/s", value=figure(OURS.name, BULK), at_least=60_000, form="{:,.0f}"),
        Goal(text="one at a time, share of PostgreSQL alone", value=ratio(ONE, OURS.name, TABLE)),
        Goal(text="1,000 a call, share of PostgreSQL alone", value=ratio(BULK, OURS.name, TABLE)),
    ),
)
