"""How much memory a worker keeps."""

from bench.ours import commands
from bench.peers import huey
from bench.processes import ours, started, wait_for
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, figure
from bench.scenarios import drain

WORKER = "headrace worker after a drain"
IDLE = "headrace worker, idle"
PYTHON = "Python with apsw and pydantic"


def worker(run: Run) -> Figures:
    """After 20,000 jobs."""
    return {"MB": drain.headrace(run, jobs=20_000)["MB"]}


def idle(run: Run) -> Figures:
    """After one job."""
    commands.told(run, "one", 1)
    with commands.worker(run) as those:
        wait_for(run, 2, those)
        return {"MB": those[0].pss_mb()}


def peer(run: Run) -> Figures:
    """Huey after a drain."""
    huey.told(run, "fill", 3_000, fsync=False)
    with huey.consumer(run, 1) as those:
        wait_for(run, 3_000, those)
        return {"MB": those[0].pss_mb()}


def python(run: Run) -> Figures:
    """An interpreter that imported the two largest packages."""
    with started(run, ours("bench.limits.imports", "apsw", "pydantic")) as those:
        wait_for(run, 1, those)
        return {"MB": those[0].pss_mb()}


SCENARIO = Scenario(
    name="memory",
    question="How much memory does a worker process keep?",
    method="Pss (shared pages counted in proportion) of the process and its children.",
    contenders=(
        Contender(name=WORKER, side=Side.OURS, run=worker),
        Contender(name=IDLE, side=Side.OURS, run=idle),
        Contender(name="huey, 1 thread, after a drain", side=Side.PEER, run=peer),
        Contender(name=PYTHON, side=Side.LIMIT, run=python),
    ),
    goals=(
        Goal(text="after a drain, MB", value=figure(WORKER, "MB"), at_most=50),
        Goal(text="idle, MB", value=figure(IDLE, "MB"), at_most=50),
    ),
)
