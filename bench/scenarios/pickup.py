"""How soon an idle worker starts a job, and what it costs while it idles."""

import statistics
import time
from collections.abc import Sequence

from bench import probe
from bench.library import filled
from bench.ours import commands
from bench.peers import huey
from bench.peers.catalogue import DBOS_SQLITE
from bench.processes import Started, ask, ours, started, wait_for
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, figure

ACROSS = "headrace, two processes"
WITHIN = "headrace, one process"
IDLE = "idle CPU %"


def across(run: Run) -> Figures:
    """``headrace worker`` here, the producer there; the worker's idle cost first."""
    commands.told(run, "one", 1)
    with commands.worker(run) as those:
        wait_for(run, 2, those)
        found = _idle(those, run.size(20, 5))
        call = commands.told(run, "lat", run.size(400, 100))
    return {**_delays(run), **call, **found}


def within(run: Run) -> Figures:
    """Producer and worker on one event loop."""
    call = ask(run, ours("bench.ours.together", run.size(400, 100)))
    return {**_delays(run), **call}


def peer(run: Run) -> Figures:
    """Huey polls, so fewer samples with longer pauses."""
    huey.told(run, "fill", 1)
    with huey.consumer(run, 1) as those:
        wait_for(run, 1, those)
        found = _idle(those, run.size(20, 5))
        call = huey.told(run, "lat", run.size(40, 15))
    return {**_delays(run), **call, **found}


def dbos(run: Run) -> Figures:
    """DBOS polls as well."""
    library = DBOS_SQLITE.library()
    with filled(run, library, 1) as there, library.work(there, 1) as those:
        wait_for(there, 1, those)
        found = _idle(those, run.size(20, 5))
        call = library.produce(there, "lat", run.size(library.samples, library.samples // 2))
    return {**_delays(run), **call, **found}


def table(run: Run) -> Figures:
    """SQLite and a poll of its version every millisecond."""
    with started(run, ours("bench.limits.wake", "wait")) as those:
        ask(run, ours("bench.limits.wake", "tell", run.size(400, 100)))
        found = _idle(those, 2)
    return {**_delays(run), **found}


def _idle(those: Sequence[Started], seconds: float) -> Figures:
    time.sleep(1)
    before, start = those[0].cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    return {IDLE: (those[0].cpu_seconds() - before) / (time.monotonic() - start) * 100}


def _delays(run: Run) -> dict[str, float]:
    late = [delay * 1000 for reading in probe.read(run.space.probe) for delay in reading.delays]
    cuts = statistics.quantiles(late, n=100)
    return {"p50 ms": cuts[49], "p95 ms": cuts[94], "p99 ms": cuts[98]}


SCENARIO = Scenario(
    name="pickup",
    question="How soon does an idle worker start a job?",
    method=(
        "From the start of the enqueue call to the start of the handler, one job at a time after a random "
        "pause; `call ms` is the median of the enqueue call itself. Idle CPU is the worker's processor time "
        "over 20 s without jobs, in per cent of one core."
    ),
    contenders=(
        Contender(name=ACROSS, side=Side.OURS, run=across),
        Contender(name=WITHIN, side=Side.OURS, run=within),
        Contender(name="huey, two processes", side=Side.PEER, run=peer),
        Contender(name="dbos, two processes", side=Side.PEER, run=dbos),
        Contender(name="SQLite alone, version asked every 1 ms", side=Side.LIMIT, run=table),
    ),
    goals=(
        Goal(text="p95 across processes, ms", value=figure(ACROSS, "p95 ms"), at_most=20, must=True),
        Goal(text="p50 across processes, ms", value=figure(ACROSS, "p50 ms"), at_most=5),
        Goal(text="p99 across processes, ms", value=figure(ACROSS, "p99 ms"), at_most=15),
        Goal(text="p50 in one process, ms", value=figure(WITHIN, "p50 ms"), at_most=1),
        Goal(text="p99 in one process, ms", value=figure(WITHIN, "p99 ms"), at_most=4),
        Goal(text="idle worker, % of a core", value=figure(ACROSS, IDLE), at_most=1),
    ),
)
