"""Runs what a server can do by itself, each in an empty store: the programs of this folder."""

from dataclasses import dataclass

from bench.processes import ask, ours, started, wait_for
from bench.scenario import Figures, Run


@dataclass(frozen=True, slots=True)
class Alone:
    """A kind of server, by the name that its programs bear."""

    kind: str

    def table(self, run: Run, what: str, count: int) -> Figures:
        """The server without any engine."""
        assert run.databases is not None
        with run.databases.empty() as url:
            return ask(run.at(url), ours(f"bench.limits.{self.kind}", what, run.size(count, count // 4)))

    def engine(self, run: Run, rows: str) -> Figures:
        """The minimal engine."""
        assert run.databases is not None
        with run.databases.empty() as url:
            count = run.size(60_000, 15_000)
            return ask(run.at(url), ours(f"bench.limits.engine_{self.kind}", rows, count))

    def wake(self, run: Run) -> Figures:
        """A process that listens and one that enqueues."""
        assert run.databases is not None
        count, program = run.size(400, 100), f"bench.limits.wake_{self.kind}"
        with run.databases.empty() as url:
            there = run.at(url)
            with started(there, ours(program, "wait")) as those:
                told = ask(there, ours(program, "tell", count))
                wait_for(there, count, those)
                return told
