"""How soon an idle worker on Redis starts a job."""

from bench import redis
from bench.library import Library
from bench.measures import delays, pickup
from bench.ours.commands import OURS
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, figure, ratio, ratio_to_least
from bench.scenarios.redis_drain import ALONE, LIBRARIES, PEERS

TABLE = "Redis alone, a list and BLPOP"


def table(run: Run) -> Figures:
    """A listener that reads each new job."""
    return {**ALONE.wake(run), **delays(run)}


def _contender(library: Library) -> Contender:
    return Contender(name=library.name, side=library.side, run=lambda run: pickup(run, library))


SCENARIO = Scenario(
    name="redis-pickup",
    question="How soon does an idle worker start a job on Redis?",
    method=(
        "From the start of the enqueue call to the start of the handler in another process, one job at a "
        "time after a random pause of 5 to 25 ms (arq, which only polls: up to three polls, and fewer "
        "samples). `call ms` is the median of the enqueue call itself. Tier none."
    ),
    server=redis.plain,
    contenders=(
        *(_contender(library) for library in LIBRARIES),
        Contender(name=TABLE, side=Side.LIMIT, run=table),
    ),
    goals=(
        Goal(text="p50, ms", value=figure(OURS.name, "p50 ms"), at_most=0.7),
        Goal(text="p99, ms", value=figure(OURS.name, "p99 ms"), at_most=4),
        Goal(text="p50, × the soonest peer", value=ratio_to_least("p50 ms", OURS.name, PEERS)),
        Goal(text="p50, × Redis alone", value=ratio("p50 ms", OURS.name, TABLE)),
    ),
)
