"""Handlers in the process and the log in the store tell the same of whatever happens to jobs."""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from headrace import App, Backoff, EnqueueRequest, ManualClock, Retry
from headrace.core.events import OLDEST, Event, EventFilter
from headrace.core.job import Job
from headrace.core.outcomes import Outcome, Released, Report, Snoozed, Stopped, Succeeded, Suspended
from headrace.engine.work import Holder, Note
from headrace.errors import HeadraceError
from headrace.upkeep.rescue import Rescue
from tests.builders import LEASE, NOW, a_failure
from tests.contract.conftest import STORES
from tests.engine.hearing import PATIENCE, a_claim, nothing


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.param.url(tmp_path)


def an_outcome(rng: random.Random) -> Outcome:
    return rng.choice(
        [
            Succeeded(result="1"),
            a_failure("again"),
            a_failure("again"),
            Snoozed(delay_ms=1_000),
            Released(reason="stop"),
            Suspended(until=NOW),
            Stopped(reason="asked"),
        ]
    )


class Life:
    """Random steps that happen to jobs, drawn by a seed."""

    def __init__(self, app: App, clock: ManualClock, seed: int) -> None:
        self.app = app
        self.clock = clock
        self.rng = random.Random(seed)
        self.ids: list[str] = []
        self.held: list[Job] = []

    async def begin(self) -> None:
        opened = await self.app.open()
        self.operations, self.source = await self.app.operations(), await self.app.work()
        self.rescue = Rescue(opened.store, self.clock, aftermath=opened.operations.aftermath)

    async def step(self) -> None:
        self.clock.advance(self.rng.uniform(0, 2))
        await self.rng.choice(
            [self.enqueue, self.claim, self.report, self.report, self.progress, self.operate, self.lose]
        )()

    async def enqueue(self) -> None:
        (handle,) = await self.app.enqueue_many([EnqueueRequest(type="work", payload={})])
        self.ids.append(handle.id)

    async def claim(self) -> None:
        self.held += await self.source.claim(a_claim(LEASE, limit=self.rng.randint(1, 3)))

    async def report(self) -> None:
        if self.held:
            job = self.held.pop(self.rng.randrange(len(self.held)))
            await self.source.report([_report(job, an_outcome(self.rng), self.clock.now())])

    async def progress(self) -> None:
        if self.held:
            job = self.rng.choice(self.held)
            holder = Holder(job_id=job.id, fence=job.fence)
            await self.source.note([Note(holder=holder, progress=str(self.rng.random()))])

    async def operate(self) -> None:
        for operation in (self.operations.cancel, self.operations.retry):
            with suppress(HeadraceError):
                await operation(self.rng.choice(self.ids))

    async def lose(self) -> None:
        self.clock.advance(LEASE / 1000 * self.rng.choice([0, 0, 2]))
        await self.rescue.run_once()


@pytest.mark.parametrize("seed", range(4))
async def test_handlers_and_the_log_tell_the_same_of_any_life(url, seed):
    clock = ManualClock(NOW)
    app = App(url, clock=clock)
    app.job(name="work", retry=Retry(attempts=3, backoff=Backoff.fixed(1)))(nothing)
    heard: list[Event] = []

    @app.on()
    async def hears(event: Event) -> None:
        heard.append(event)

    async with app:
        await app.keep_events()
        life = Life(app, clock, seed)
        await life.begin()
        await life.enqueue()
        for _ in range(80):
            await life.step()
        (marker,) = await app.enqueue_many([EnqueueRequest(type="work", payload={})])
        logged: list[Event] = []
        async with asyncio.timeout(PATIENCE):
            async for event in life.operations.follow_events(EventFilter(), after=OLDEST):
                if event.job_id == marker.id:
                    break
                logged.append(replace(event, cursor=None))

    for job_id in life.ids:
        assert [one for one in logged if one.job_id == job_id] == [
            one for one in heard if one.job_id == job_id
        ]
    assert len({one.kind for one in logged}) >= 5


def _report(job: Job, outcome: Outcome, now: int) -> Report:
    started_at = job.placement.started_at
    return Report(job_id=job.id, fence=job.fence, started_at=started_at, ended_at=now, outcome=outcome)
