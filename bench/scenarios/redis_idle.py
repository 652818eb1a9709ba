"""What a worker on Redis costs without jobs: its own processor time and memory, and the server's commands."""

import time

from bench import redis
from bench.library import Library, filled
from bench.ours.commands import OURS
from bench.processes import wait_for
from bench.scenario import Contender, Figures, Goal, Run, Scenario, figure
from bench.scenarios.redis_drain import LIBRARIES

CPU, COMMANDS = "CPU %", "commands/min"


def idle(run: Run, library: Library) -> Figures:
    """A worker that has run one job and then gets none."""
    with filled(run, library, 1) as there, library.work(there, 1) as those:
        wait_for(there, 1, those)
        time.sleep(run.size(5, 1))
        url = there.space.url
        before, cpu, start = redis.calls(url), those[0].cpu_seconds(), time.monotonic()
        time.sleep(run.size(60, 4))
        spent, passed = those[0].cpu_seconds() - cpu, time.monotonic() - start
        return {
            CPU: spent / passed * 100,
            COMMANDS: (redis.calls(url) - before) / passed * 60,
            "connections": redis.connections(url),
            "MB": those[0].pss_mb(),
        }


def _contender(library: Library) -> Contender:
    # A minute is an average already, so one is enough.
    return Contender(name=library.name, side=library.side, run=lambda run: idle(run, library), once=True)


SCENARIO = Scenario(
    name="redis-idle",
    question="What does a worker cost on Redis while there is nothing to do?",
    method=(
        "One worker process that has run one job, observed for 60 s from 5 s later on (quick: 4 s from 1 s "
        "later on, which says little of what happens each few seconds). CPU is its own processor time in per "
        "cent of one core; commands are those that `INFO commandstats` counts, those inside scripts "
        "included; connections are what it keeps open; memory is Pss of its processes. One round. Tier none."
    ),
    server=redis.plain,
    contenders=tuple(_contender(library) for library in LIBRARIES),
    goals=(
        Goal(text="commands a minute", value=figure(OURS.name, COMMANDS), at_most=60, form="{:.0f}"),
        Goal(text="CPU, % of a core", value=figure(OURS.name, CPU), at_most=1),
        Goal(text="memory, MB", value=figure(OURS.name, "MB"), at_most=50, form="{:.0f}"),
    ),
)
