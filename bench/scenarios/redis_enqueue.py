"""How fast jobs are taken in on Redis, side by side with peers."""

from bench import redis
from bench.library import Library
from bench.measures import BULK, CONC, ONE, enqueue
from bench.ours.commands import OURS
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, figure, ratio, ratio_to_best
from bench.scenarios.redis_drain import ALONE, LIBRARIES, PEERS

TABLE = "Redis alone"


def table(run: Run) -> Figures:
    """Redis without any library."""
    return {
        ONE: ALONE.table(run, "one", 10_000)["jobs/s"],
        CONC: ALONE.table(run, "conc", 20_000)["jobs/s"],
        BULK: ALONE.table(run, "bulk", 200_000)["jobs/s"],
    }


def _contender(library: Library) -> Contender:
    return Contender(name=library.name, side=library.side, run=lambda run: enqueue(run, library))


SCENARIO = Scenario(
    name="redis-enqueue",
    question="How fast does a program enqueue on Redis?",
    method=(
        "Jobs per second of one producer process, no worker, an emptied server for each way, tier none. "
        "Every call returns when the server has answered. One at a time: each call awaited before the next. "
        "16 producers: tasks on one event loop, or threads where the library blocks (huey, Dramatiq, Celery, "
        "RQ), each one job after the other. 1,000 a call: the library's own call for many, where it has one. "
        "Redis alone writes a hash of three fields and pushes its id in one script: on one connection, on "
        "16, and 1,000 jobs a script."
    ),
    server=redis.plain,
    contenders=(
        *(_contender(library) for library in LIBRARIES),
        Contender(name=TABLE, side=Side.LIMIT, run=table),
    ),
    goals=(
        Goal(text="one at a time, jobs/s", value=figure(OURS.name, ONE), at_least=6_000, form="{:,.0f}"),
        Goal(text="16 producers, jobs/s", value=figure(OURS.name, CONC), at_least=15_000, form="{:,.0f}"),
        Goal(text="1,000 a call, jobs/s", value=figure(OURS.name, BULK), at_least=50_000, form="{:,.0f}"),
        Goal(text="one at a time, × the best peer", value=ratio_to_best(ONE, OURS.name, PEERS)),
        Goal(text="16 producers, × the best peer", value=ratio_to_best(CONC, OURS.name, PEERS)),
        Goal(text="1,000 a call, × the best peer", value=ratio_to_best(BULK, OURS.name, PEERS)),
        Goal(text="one at a time, share of Redis alone", value=ratio(ONE, OURS.name, TABLE)),
        Goal(text="1,000 a call, share of Redis alone", value=ratio(BULK, OURS.name, TABLE)),
    ),
)
