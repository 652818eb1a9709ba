"""A job whose lease ran out while it waited for its turn is given back, not started."""

from types import SimpleNamespace
from typing import Any

import pytest

from headrace.clock import ManualClock
from headrace.core.outcomes import Released, Report, Succeeded
from headrace.engine.operations import Runs
from headrace.engine.registry import JobOptions, registered
from headrace.worker import endings
from headrace.worker.held import Held
from headrace.worker.runner import Runner
from headrace.worker.settings import WorkerSettings
from tests.builders import LEASE, NOW, a_job, a_running


class Bench:
    """A runner with one held job, claimed at ``NOW``, and how often its handler ran."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.ran = 0
        work: Any = SimpleNamespace(clock=self.clock)
        outbox: Any = None
        self.runner = Runner(work, WorkerSettings(), outbox, None)

    async def in_loop(self) -> None:
        self.ran += 1

    def in_thread(self) -> None:
        self.ran += 1

    def held(self, runs: Runs) -> Held:
        handler = self.in_loop if runs is Runs.ASYNC else self.in_thread
        kind = registered(handler, JobOptions(name="echo"))
        return Held(a_running(a_job(payload="{}")), kind, runs)

    async def outcome(self, held: Held) -> tuple[object, int | None]:
        """What is reported, and when the handler started."""
        reports: list[Report] = []
        if held.runs is Runs.ASYNC:
            self.runner.start(held, lambda _, report: reports.append(report))
            assert held.task is not None
            await held.task
            return reports[0].outcome, reports[0].started_at
        self.runner.begin(held)
        outcome = self.runner.run_here(held)
        told = endings.settled(held, outcome) if outcome is None else outcome
        return told, self.runner.report(held, told).started_at


@pytest.mark.parametrize("runs", [Runs.ASYNC, Runs.THREAD])
async def test_job_whose_lease_ran_out_before_its_turn_is_given_back_unstarted(runs):
    bench = Bench()
    held = bench.held(runs)
    bench.clock.advance(LEASE / 1000)

    outcome, started_at = await bench.outcome(held)

    assert bench.ran == 0
    assert isinstance(outcome, Released)
    assert started_at is None


@pytest.mark.parametrize("runs", [Runs.ASYNC, Runs.THREAD])
async def test_job_whose_lease_still_holds_is_started(runs):
    bench = Bench()
    held = bench.held(runs)
    bench.clock.advance(LEASE / 1000 - 1)

    outcome, started_at = await bench.outcome(held)

    assert bench.ran == 1
    assert isinstance(outcome, Succeeded)
    assert started_at == bench.clock.now()
