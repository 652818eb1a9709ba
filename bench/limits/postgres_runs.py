"""Runs what PostgreSQL can do by itself, each in an empty database."""

from bench.processes import ask, ours, started, wait_for
from bench.scenario import Figures, Run


def table(run: Run, what: str, count: int) -> Figures:
    """PostgreSQL without any engine."""
    assert run.databases is not None
    with run.databases.empty() as url:
        return ask(run.at(url), ours("bench.limits.postgres", what, run.size(count, count // 4)))


def engine(run: Run, rows: str) -> Figures:
    """The minimal engine."""
    assert run.databases is not None
    with run.databases.empty() as url:
        return ask(run.at(url), ours("bench.limits.engine_postgres", rows, run.size(60_000, 15_000)))


def wake(run: Run) -> Figures:
    """A listener and a process that inserts."""
    assert run.databases is not None
    count = run.size(400, 100)
    with run.databases.empty() as url:
        there = run.at(url)
        with started(there, ours("bench.limits.wake_postgres", "wait")) as those:
            told = ask(there, ours("bench.limits.wake_postgres", "tell", count))
            wait_for(there, count, those)
            return told
