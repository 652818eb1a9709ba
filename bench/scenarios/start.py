"""How long the command line takes to answer."""

import statistics
import subprocess
import sys
import time

from bench.processes import BrokenRunError, Command, environment, script
from bench.scenario import Contender, Figures, Goal, Run, Scenario, Side, figure, ratio

HELP = "headrace --help"
PASS = "python -c pass"
PYDANTIC = "python -c 'import pydantic'"


def timed(run: Run, command: Command) -> Figures:
    """Whole processes, one after the other."""
    taken = []
    for _ in range(run.size(15, 5)):
        start = time.perf_counter()
        done = subprocess.run(
            [str(part) for part in command],
            env=environment(run),
            cwd=run.space.disk,
            capture_output=True,
            check=False,
        )
        taken.append((time.perf_counter() - start) * 1000)
        if done.returncode:
            raise BrokenRunError(done.stderr.decode(errors="replace")[-2000:])
    return {"ms": statistics.median(taken)}


def _contender(name: str, side: Side, command: Command) -> Contender:
    return Contender(name=name, side=side, run=lambda run: timed(run, command))


SCENARIO = Scenario(
    name="help",
    question="How long does `headrace --help` take?",
    method="Whole processes from start to exit, output to a pipe.",
    contenders=(
        _contender(HELP, Side.OURS, [script("headrace"), "--help"]),
        _contender(PASS, Side.LIMIT, [sys.executable, "-c", "pass"]),
        _contender(PYDANTIC, Side.LIMIT, [sys.executable, "-c", "import pydantic"]),
    ),
    goals=(
        Goal(text="headrace --help, ms", value=figure(HELP, "ms"), form="{:.0f}"),
        Goal(text="× python -c pass", value=ratio("ms", HELP, PASS)),
        Goal(text="× import pydantic", value=ratio("ms", HELP, PYDANTIC)),
    ),
)
