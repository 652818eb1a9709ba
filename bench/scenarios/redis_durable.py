"""What durability costs on Redis: the same on servers that keep nothing, the last second but one, or all."""

from collections.abc import Callable
from dataclasses import replace

from bench import redis
from bench.library import Library
from bench.measures import BULK, CONC, ONE, drain, enqueue
from bench.ours.commands import OURS
from bench.redis import Tier
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, ratio, ratio_to_best
from bench.scenarios.redis_drain import ALONE, BULLMQ, LIBRARIES

DRAIN = "drain, jobs/s"
FASTEST = (BULLMQ, "repid", "huey")
PICKED = tuple(one for one in LIBRARIES if one is OURS or one.name in FASTEST)
ENGINE = "minimal engine, jobs kept"
EVERY = {Tier.NONE: ", nothing kept", Tier.EVERYSEC: ", everysec", Tier.ALWAYS: ", always"}
KEPT = EVERY[Tier.ALWAYS]


def both(run: Run, library: Library) -> Figures:
    """A drain by one worker, and all ways to enqueue."""
    return {DRAIN: drain(run, library, 1)["jobs/s settled"], **enqueue(run, library)}


def engine(run: Run) -> Figures:
    """The minimal engine, and Redis without any library."""
    return {
        DRAIN: ALONE.engine(run, "keep")["jobs/s settled"],
        ONE: ALONE.table(run, "one", 10_000)["jobs/s"],
        CONC: ALONE.table(run, "conc", 20_000)["jobs/s"],
        BULK: ALONE.table(run, "bulk", 200_000)["jobs/s"],
    }


def _on(tier: Tier, measure: Callable[[Run], Figures]) -> Callable[[Run], Figures]:
    def measured(run: Run) -> Figures:
        assert isinstance(run.databases, redis.Database)
        return measure(replace(run, databases=run.databases.at(tier)))

    return measured


def _contenders() -> tuple[Contender, ...]:
    found = []
    for tier, name in EVERY.items():
        found.extend(
            Contender(name=one.name + name, side=one.side, run=_on(tier, lambda run, one=one: both(run, one)))
            for one in PICKED
        )
        found.append(Contender(name=ENGINE + name, side=Side.LIMIT, run=_on(tier, engine)))
    return tuple(found)


def _share(figure: str) -> Goal:
    return Goal(
        text=f"{figure}: always, share of nothing kept",
        value=ratio(figure, OURS.name + KEPT, OURS.name + EVERY[Tier.NONE]),
    )


def _to_best(figure: str) -> Goal:
    return Goal(
        text=f"{figure}: always, × the best peer",
        value=ratio_to_best(figure, OURS.name + KEPT, [name + KEPT for name in FASTEST]),
    )


SCENARIO = Scenario(
    name="redis-durable",
    question="What does it cost on Redis to have each job on the disk?",
    method=(
        "As in `redis-drain` and `redis-enqueue`, on a server that keeps nothing, on one with an append-only "
        "file that is synced every second (a crash of the machine takes the last one), and on one that syncs "
        "it before it answers (`appendfsync always`). The file begins anew with each turn, after jobs were "
        "filled in, and is not rewritten meanwhile. The drain counts until the store holds no job that has "
        "not ended well. Shown are Headrace, the three fastest peers, and what the server does by itself."
    ),
    server=redis.own,
    contenders=_contenders(),
    goals=(
        *(_to_best(one) for one in (DRAIN, ONE, CONC, BULK)),
        *(_share(one) for one in (DRAIN, ONE, CONC, BULK)),
    ),
)
