"""What limits cost: jobs behind a full lane, jobs that start through slots, and plain ones beside them."""

from collections.abc import Callable

from bench import postgres, redis
from bench.processes import ask, ours
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, ratio

PLAIN = "plain jobs"
DEFINED = "plain jobs, limits for others"
BLOCKED = "plain jobs behind 10,000 of a full lane"
SLOTS = "jobs of a lane with 8 slots, 8 claimers"
PARTS = {PLAIN: "plain", DEFINED: "defined", BLOCKED: "blocked"}
CLAIM = "claim ms"


def _told(run: Run, part: str, full: int, quick: int) -> Figures:
    return ask(run, ours("bench.ours.lanes", part, run.size(full, quick)), limit=300)


def _on_server(run: Run, part: str, full: int, quick: int) -> Figures:
    assert run.databases is not None
    with run.databases.empty() as url:
        return _told(run.at(url), part, full, quick)


def _contenders(told: Callable[[Run, str, int, int], Figures]) -> tuple[Contender, ...]:
    claims = (
        Contender(name=name, side=Side.OURS, run=lambda run, part=part: told(run, part, 20_000, 5_000))
        for name, part in PARTS.items()
    )
    slots = Contender(name=SLOTS, side=Side.OURS, run=lambda run: told(run, "slots", 4_000, 1_000))
    return (*claims, slots)


METHOD = (
    "The store without a worker. `first ms` is the first claim of 100 jobs, which also parks what is in its "
    "way; `claim ms` the median of the others. `starts/s`: each claimer claims one job, completes it, and "
    "claims the next; all wait for the same eight slots."
)
GOALS = (
    Goal(
        text="a claim behind 10,000 blocked jobs, × plain", value=ratio(CLAIM, BLOCKED, PLAIN), at_most=1.25
    ),
    Goal(text="a claim beside limits for others, × plain", value=ratio(CLAIM, DEFINED, PLAIN), at_most=1.1),
)

ON_SQLITE = Scenario(
    name="limits",
    question="What do limits cost claims on SQLite?",
    method=METHOD,
    contenders=_contenders(_told),
    goals=GOALS,
)
ON_POSTGRES = Scenario(
    name="pg-limits",
    question="What do limits cost claims on PostgreSQL?",
    method=METHOD,
    server=postgres.plain,
    contenders=_contenders(_on_server),
    goals=GOALS,
)
ON_REDIS = Scenario(
    name="redis-limits",
    question="What do limits cost claims on Redis?",
    method=METHOD,
    server=redis.plain,
    contenders=_contenders(_on_server),
    goals=GOALS,
)
