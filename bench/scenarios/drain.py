"""How fast waiting jobs are done."""

from bench import probe
from bench.library import drained, filled
from bench.ours import commands
from bench.peers import huey
from bench.peers.catalogue import DBOS_SQLITE
from bench.processes import ask, ours, wait_for
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, ratio

RATE = "jobs/s"
WORKER = "headrace worker"
HUEY = "huey, 1 thread"
HUEY_4 = "huey, 4 threads"
DBOS = "dbos"
STORE = "our store alone, 500 a call"
TABLE = "SQLite alone, 500 a commit, FULL, rows kept"
ENGINE_FAST = "minimal engine, NORMAL, rows deleted"
ENGINE_SAFE = "minimal engine, FULL, rows kept"


def headrace(
    run: Run, *, kind: str = "noop", workers: int = 1, loop: str = "", jobs: int = 40_000
) -> Figures:
    """Fills a file in bulk, then starts workers."""
    count = jobs // 4 if run.quick else jobs
    commands.told(run, "bulk", count, kind)
    return commands.drained(run, count, workers=workers, loop=loop)


def store(run: Run) -> Figures:
    """Our store without a worker."""
    count = run.size(40_000, 10_000)
    commands.told(run, "bulk", count)
    return ask(run, ours("bench.ours.store", count))


def peer(run: Run, threads: int) -> Figures:
    """Huey's consumer on a filled file."""
    count = run.size(8_000, 3_000)
    huey.told(run, "fill", count, fsync=False)
    with huey.consumer(run, threads) as those:
        wait_for(run, count, those)
        memory, cpu = those[0].pss_mb(), those[0].cpu_seconds()
    (reading,) = probe.read(run.space.probe)
    return {
        RATE: count / (reading.last - reading.first),
        "CPU µs/job": cpu / count * 1e6,
        "MB": memory,
    }


def dbos(run: Run) -> Figures:
    """DBOS on a filled file."""
    library = DBOS_SQLITE.library()
    jobs = run.size(library.jobs, library.jobs // 4)
    with filled(run, library, jobs) as full:
        return drained(full, library, jobs)


def engine(run: Run, synchronous: str, rows: str) -> Figures:
    """The minimal engine."""
    return ask(run, ours("bench.limits.engine_sqlite", synchronous, rows, run.size(50_000, 20_000)))


def table(run: Run) -> Figures:
    """SQLite without any engine."""
    return ask(run, ours("bench.limits.sqlite", "claim", run.size(50_000, 20_000)))


SCENARIO = Scenario(
    name="drain-sqlite",
    question="How fast does one worker process do waiting no-op jobs?",
    method=(
        'Jobs `{"n": i}` wait in a SQLite file, then the worker starts. `jobs/s` counts from the first '
        "handler's start to the last handler's end, `jobs/s settled` to the moment when the store says that "
        "nothing is left. Headrace: synchronous=FULL, history, results, fences, retries on. Huey: its "
        "default fsync, results off, jobs deleted before they run. DBOS: a workflow a job, kept, polled "
        "every 0.1 s. CPU includes the start of the process."
    ),
    contenders=(
        Contender(name=WORKER, side=Side.OURS, run=headrace),
        Contender(name=HUEY, side=Side.PEER, run=lambda run: peer(run, 1)),
        Contender(name="headrace, uvloop", side=Side.OURS, run=lambda run: headrace(run, loop="uvloop")),
        Contender(
            name="headrace, plain asyncio", side=Side.OURS, run=lambda run: headrace(run, loop="asyncio")
        ),
        Contender(name="headrace, 2 processes", side=Side.OURS, run=lambda run: headrace(run, workers=2)),
        Contender(
            name="headrace, threads",
            side=Side.OURS,
            run=lambda run: headrace(run, kind="noop_thread", jobs=20_000),
        ),
        Contender(name=HUEY_4, side=Side.PEER, run=lambda run: peer(run, 4)),
        Contender(name=DBOS, side=Side.PEER, run=dbos),
        Contender(name=STORE, side=Side.LIMIT, run=store),
        Contender(name=ENGINE_FAST, side=Side.LIMIT, run=lambda run: engine(run, "normal", "delete")),
        Contender(name=ENGINE_SAFE, side=Side.LIMIT, run=lambda run: engine(run, "full", "keep")),
        Contender(name=TABLE, side=Side.LIMIT, run=table),
    ),
    goals=(
        Goal(text="× huey with fsync, 1 thread", value=ratio(RATE, WORKER, HUEY), at_least=6, must=True),
        Goal(text="× huey with fsync, 4 threads", value=ratio(RATE, WORKER, HUEY_4)),
        Goal(text="× DBOS", value=ratio(RATE, WORKER, DBOS)),
        Goal(text=f"share of the {ENGINE_FAST}", value=ratio(RATE, WORKER, ENGINE_FAST), at_least=0.45),
        Goal(text=f"share of the {ENGINE_SAFE}", value=ratio(RATE, WORKER, ENGINE_SAFE)),
        Goal(text="share of our store alone", value=ratio(RATE, WORKER, STORE)),
        Goal(text="2 processes against 1", value=ratio(RATE, "headrace, 2 processes", WORKER), at_least=0.9),
        Goal(
            text="uvloop against plain asyncio",
            value=ratio(RATE, "headrace, uvloop", "headrace, plain asyncio"),
        ),
        Goal(text="threads, × huey, 4 threads", value=ratio(RATE, "headrace, threads", HUEY_4)),
    ),
)
