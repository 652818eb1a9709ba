"""Whether workers on Redis slow down with what waits behind and what lies finished beside."""

from bench import redis
from bench.library import Library
from bench.measures import first
from bench.ours.commands import OURS
from bench.scenario import Contender, Figures, Goal, Run, Scenario, ratio
from bench.scenarios.redis_drain import LIBRARIES

RATE = "jobs/s"
WAITING = ", 200,000 waiting"
FINISHED = ", 1,000,000 finished"
MOST = 40_000
"""So many jobs are looked at: fewer take a fraction of a second, whose figures move by a third."""


def plain(run: Run, library: Library) -> Figures:
    """Nothing else on the server."""
    return _first(run, library)


def waiting(run: Run, library: Library) -> Figures:
    """Many more jobs wait."""
    return _first(run, library, more=run.size(200_000, 5_000))


def finished(run: Run, library: Library) -> Figures:
    """Many jobs have ended."""
    return _first(run, library, ended=run.size(1_000_000, 50_000))


def _first(run: Run, library: Library, *, more: int = 0, ended: int = 0) -> Figures:
    return first(run, library, run.size(MOST, MOST // 4), more=more, ended=ended)


def _contenders() -> tuple[Contender, ...]:
    found = []
    for library in LIBRARIES:
        ways = {"": plain, WAITING: waiting} | ({FINISHED: finished} if library.history else {})
        found.extend(
            Contender(
                name=library.name + what,
                side=library.side,
                run=lambda run, one=library, way=way: way(run, one),
                # Without a call for many, 200,000 jobs take a minute or two.
                once=way is not plain and not library.bulk,
            )
            for what, way in ways.items()
        )
    return tuple(found)


def _change(library: Library) -> tuple[Goal, ...]:
    bound = {"at_least": 0.9, "must": True} if library is OURS else {}
    ways = (WAITING, FINISHED) if library.history else (WAITING,)
    return tuple(
        Goal(
            text=f"{library.name + way}, against plain",
            value=ratio(RATE, library.name + way, library.name),
            **bound,
        )
        for way in ways
    )


SCENARIO = Scenario(
    name="redis-backlog",
    question="Do workers on Redis slow down with a long backlog, or with a long history?",
    method=(
        "The rate of the first 40,000 jobs (quick: 10,000) a fresh worker runs (slower libraries: 10,000 or "
        "1,000); some more are enqueued, so that the end of the queue does not count. The backlog is 200,000 "
        "(quick: 5,000) jobs, enqueued by the library itself, for libraries that have no call for many in "
        "the first round only. The history is 1,000,000 (quick: 50,000) completed jobs, made through the "
        "store; no peer is told to keep any. Tier none."
    ),
    server=redis.plain,
    contenders=_contenders(),
    goals=tuple(goal for library in LIBRARIES for goal in _change(library)),
)
