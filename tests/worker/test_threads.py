"""The crew of threads by itself: interruptions strike the job they are meant for, and no other."""

import asyncio
import threading

from headrace.core.outcomes import Failed, Outcome, Succeeded
from headrace.worker.endings import Interrupted
from headrace.worker.held import Held
from headrace.worker.threads import Crew
from tests.worker.rig import PATIENCE


class Ends:
    """Collects what a crew reports."""

    def __init__(self) -> None:
        self.outcomes: dict[int, Outcome | None] = {}
        self.bell = asyncio.Event()

    def __call__(self, batch) -> None:
        for held, outcome in batch:
            self.outcomes[id(held)] = outcome
        self.bell.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.outcomes) < count:
                self.bell.clear()
                await self.bell.wait()


def a_held() -> Held:
    """A stand-in: a crew only tells jobs apart."""
    return object.__new__(Held)


async def test_jobs_are_performed_by_no_more_threads_than_asked_for():
    seen: set[int] = set()
    ends = Ends()

    def perform(held: Held) -> Outcome:
        seen.add(threading.get_ident())
        return Succeeded()

    crew = Crew("test", 3, perform, ends)
    jobs = [a_held() for _ in range(200)]
    for held in jobs:
        crew.put(held)
    await ends.until(len(jobs))
    crew.close()

    assert 1 <= len(seen) <= 3
    assert set(ends.outcomes.values()) == {Succeeded()}


async def test_interrupted_job_ends_without_an_outcome_and_the_thread_goes_on():
    ends = Ends()
    inside = threading.Event()
    calls: list[str] = []

    def perform(held: Held) -> Outcome:
        if calls:
            return Succeeded(result='"next"')
        calls.append("first")
        inside.set()
        while True:
            threading.Event().wait(0.001)

    crew = Crew("test", 1, perform, ends)
    first, second = a_held(), a_held()
    crew.put(first)
    await asyncio.to_thread(inside.wait, PATIENCE)
    crew.interrupt(first)
    crew.put(second)
    await ends.until(2)
    crew.close()

    assert ends.outcomes == {id(first): None, id(second): Succeeded(result='"next"')}


async def test_interruption_that_comes_too_late_harms_nobody():
    ends = Ends()
    struck: list[BaseException] = []

    def perform(held: Held) -> Outcome:
        try:
            for _ in range(50):
                pass
        except Interrupted as error:
            struck.append(error)
            raise
        if held in broken:
            raise LookupError("on its own account")
        return Succeeded()

    crew = Crew("test", 1, perform, ends)
    jobs = [a_held() for _ in range(500)]
    broken = set(jobs[::2])
    for held in jobs:
        crew.put(held)
        crew.interrupt(held)
        crew.interrupt(held)
    await ends.until(len(jobs))
    last = a_held()
    crew.put(last)
    await ends.until(len(jobs) + 1)
    crew.close()

    assert ends.outcomes[id(last)] == Succeeded()
    assert sum(outcome is None for outcome in ends.outcomes.values()) >= len(struck)


async def test_thread_outlives_what_cannot_be_performed():
    ends = Ends()

    def perform(held: Held) -> Outcome:
        if held is broken:
            raise SystemExit("no word of this may get lost")
        return Succeeded()

    crew = Crew("test", 1, perform, ends)
    broken, after = a_held(), a_held()
    crew.put(broken)
    crew.put(after)
    await ends.until(2)
    crew.close()

    outcome = ends.outcomes[id(broken)]
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "SystemExit"
    assert ends.outcomes[id(after)] == Succeeded()
