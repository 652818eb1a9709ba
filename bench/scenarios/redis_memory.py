"""How much memory a worker on Redis keeps, and the server for each job."""

from bench import redis
from bench.library import Library, filled
from bench.measures import drain
from bench.ours.commands import OURS
from bench.processes import ours, started, wait_for
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, figure, ratio_to_least
from bench.scenarios.redis_drain import LIBRARIES, PEERS

WORKER, WAITING, ENDED = "worker MB", "server B/waiting job", "server B/ended job"
PYTHON = "Python with redis and pydantic"
ENDED_JOBS = 10_000


def memory(run: Run, library: Library) -> Figures:
    """A worker after a drain; the server with waiting jobs, and with ended ones where they are kept."""
    told = {
        WORKER: drain(run, library, 1)["MB"],
        WAITING: _bytes_each(run, library, waiting=library.jobs // 5),
    }
    return told | ({ENDED: _bytes_each(run, library, ended=ENDED_JOBS)} if library.history else {})


def _bytes_each(run: Run, library: Library, *, waiting: int = 0, ended: int = 0) -> float:
    with filled(run, library, 0) as empty:
        before = redis.used_bytes(empty.space.url)
    with filled(run, library, waiting, ended=ended) as full:
        return (redis.used_bytes(full.space.url) - before) / (waiting + ended)


def python(run: Run) -> Figures:
    """An interpreter that imported the two largest packages."""
    with started(run, ours("bench.limits.imports", "redis.asyncio", "pydantic")) as those:
        wait_for(run, 1, those)
        return {WORKER: those[0].pss_mb()}


def _contender(library: Library) -> Contender:
    return Contender(name=library.name, side=library.side, run=lambda run: memory(run, library))


SCENARIO = Scenario(
    name="redis-memory",
    question="How much memory does a worker on Redis keep, and the server for each job?",
    method=(
        "The worker's is Pss (shared pages counted in proportion) of its processes after a drain. The "
        "server's is what `used_memory` grew by, over the jobs that wait, and for Headrace over those that "
        "have ended and are kept. Tier none."
    ),
    server=redis.plain,
    contenders=(
        *(_contender(library) for library in LIBRARIES),
        Contender(name=PYTHON, side=Side.LIMIT, run=python),
    ),
    goals=(
        Goal(text="worker, MB", value=figure(OURS.name, WORKER), at_most=50, form="{:.0f}"),
        Goal(
            text="server, bytes a waiting job, × the least of peers",
            value=ratio_to_least(WAITING, OURS.name, PEERS),
        ),
    ),
)
