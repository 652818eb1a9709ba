"""What a worker without jobs costs: its own processor time and memory, and the server's statements."""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from bench import postgres
from bench.databases import execute, fetch
from bench.library import Library, filled
from bench.ours.commands import OURS
from bench.processes import wait_for
from bench.scenario import Contender, Figures, Goal, Run, Scenario, figure
from bench.scenarios.pg_drain import LIBRARIES

CALLS = """
select coalesce(sum(calls), 0)::bigint
from pg_stat_statements
join pg_database on pg_database.oid = dbid
where datname = $1
"""
CONNECTIONS = "select count(*) from pg_stat_activity where datname = $1"
AFTER = 5
CPU, STATEMENTS = "CPU %", "statements/min"


def idle(run: Run, library: Library) -> Figures:
    """A worker that has run one job and then gets none."""
    with filled(run, library, 1) as there, library.work(there, 1) as those:
        wait_for(there, 1, those)
        time.sleep(AFTER)
        count = _counter(there)
        before, cpu, start = count(CALLS), those[0].cpu_seconds(), time.monotonic()
        time.sleep(run.size(60, 10))
        spent, passed = those[0].cpu_seconds() - cpu, time.monotonic() - start
        return {
            CPU: spent / passed * 100,
            STATEMENTS: (count(CALLS) - before) / passed * 60,
            "connections": count(CONNECTIONS),
            "MB": those[0].pss_mb(),
        }


def _counter(run: Run) -> Callable[[str], int]:
    """Asks from another database, so that the question itself is not counted."""
    assert run.databases is not None
    here, name = run.databases.url, urlsplit(run.space.url).path.removeprefix("/")
    execute(here, "create extension if not exists pg_stat_statements")
    return lambda query: fetch(here, query, name)


def _contender(library: Library) -> Contender:
    return Contender(name=library.name, side=library.side, run=lambda run: idle(run, library))


SCENARIO = Scenario(
    name="pg-idle",
    question="What does a worker cost on PostgreSQL while there is nothing to do?",
    method=(
        "One worker process that has run one job, observed for 60 s (quick: 10 s) from 5 s later on. CPU is "
        "its own processor time in per cent of one core; statements are those that `pg_stat_statements` "
        "counts in its database as each one ends, `begin` and `commit` included; connections "
        "are what it keeps open; memory is Pss of its processes."
    ),
    server=postgres.counting,
    contenders=tuple(_contender(library) for library in LIBRARIES),
    goals=(
        Goal(text="statements a minute", value=figure(OURS.name, STATEMENTS), at_most=60, form="{:.0f}"),
        Goal(text="CPU, % of a core", value=figure(OURS.name, CPU), at_most=1),
        Goal(text="memory, MB", value=figure(OURS.name, "MB"), at_most=50, form="{:.0f}"),
    ),
)
