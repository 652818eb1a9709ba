"""Whether workers on PostgreSQL slow down with what waits behind and what lies finished beside."""

from bench import postgres
from bench.library import Library
from bench.measures import first
from bench.ours.commands import OURS
from bench.scenario import Contender, Figures, Goal, Run, Scenario, ratio
from bench.scenarios.pg_drain import LIBRARIES

RATE = "jobs/s"
WAITING = ", 200,000 waiting"
FINISHED = ", 1,000,000 finished"
MOST = 40_000
"""So many jobs are looked at. A quarter of a second says nothing: its figures move by a third."""


def plain(run: Run, library: Library) -> Figures:
    """Nothing else in the database."""
    return _first(run, library)


def waiting(run: Run, library: Library) -> Figures:
    """Many more jobs wait."""
    return _first(run, library, more=run.size(200_000, 20_000))


def finished(run: Run, library: Library) -> Figures:
    """Many jobs have ended."""
    return _first(run, library, ended=run.size(1_000_000, 100_000))


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
    name="pg-backlog",
    question="Do workers on PostgreSQL slow down with a long backlog, or with a long history?",
    method=(
        "The rate of the first 40,000 jobs (quick: 10,000) a fresh worker runs (slow libraries: 10,000 or "
        "1,000); some more are enqueued, so that the end of the queue does not count. The backlog is 200,000 "
        "(quick: 20,000) jobs, enqueued by the library itself. The history is 1,000,000 (quick: 100,000) "
        "completed jobs: ours made through the store, a peer's by copying the rows of 500 jobs that its "
        "worker ran; "
        "graphile-worker and SAQ delete what has ended. Databases are vacuumed and analysed, and copied for "
        "each turn."
    ),
    server=postgres.plain,
    contenders=_contenders(),
    goals=tuple(goal for library in LIBRARIES for goal in _change(library)),
)
