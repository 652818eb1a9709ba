"""Whether a worker slows down with what waits behind it and what lies finished beside it."""

import time
from dataclasses import replace

from bench import probe
from bench.ours import commands
from bench.processes import wait_for
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, ratio

FIRST = 10_000
EXTRA = 4_000
RATE = "jobs/s"
PLAIN = "10,000 jobs, nothing else"
WAITING = "200,000 waiting behind them"
FINISHED = "1,000,000 finished beside them"


def prepare(run: Run) -> None:
    """Fills the two files that all rounds share: this takes a minute."""
    waiting, finished = _in(run, "waiting"), _in(run, "finished")
    commands.told(waiting, "bulk", run.size(200_000, 60_000))
    commands.history(finished, run.size(1_000_000, 100_000))


def plain(run: Run) -> Figures:
    """A fresh file."""
    return _first(run)


def waiting(run: Run) -> Figures:
    """The file whose backlog is filled up again each round."""
    return _first(_in(run, "waiting"))


def finished(run: Run) -> Figures:
    """The file with finished jobs."""
    return _first(_in(run, "finished"))


def _in(run: Run, name: str) -> Run:
    folder = run.space.kept / name
    folder.mkdir(exist_ok=True)
    return replace(run, space=run.space.on_disk(folder))


def _first(run: Run) -> Figures:
    commands.told(run, "bulk", FIRST + EXTRA)
    with commands.worker(run) as those:
        wait_for(run, FIRST + EXTRA, those)
        time.sleep(0.1)
    (reading,) = probe.read(run.space.probe)
    return {RATE: FIRST / (reading.marks[FIRST // probe.MARK_EVERY - 1] - reading.first)}


SCENARIO = Scenario(
    name="backlog",
    question="Does a worker slow down with a long backlog, or with a long history?",
    method=(
        "The rate of the first 10,000 jobs a fresh worker runs (14,000 are enqueued, so that the end of the "
        "queue does not count). The backlog is 200,000 (quick: 60,000) jobs, the history 1,000,000 (quick: "
        "100,000) completed ones, made through the store; no `analyze` is run."
    ),
    prepare=prepare,
    contenders=(
        Contender(name=PLAIN, side=Side.OURS, run=plain),
        Contender(name=WAITING, side=Side.OURS, run=waiting),
        Contender(name=FINISHED, side=Side.OURS, run=finished),
    ),
    goals=(
        Goal(text="with the backlog, against plain", value=ratio(RATE, WAITING, PLAIN), at_least=0.9),
        Goal(text="with the history, against plain", value=ratio(RATE, FINISHED, PLAIN), at_least=0.9),
    ),
)
