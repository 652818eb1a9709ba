"""Runs an app's jobs in the test's own event loop, one at a time, with the worker's own parts.

The same runner, notes, links and decisions as in a worker; what is left out is what makes a worker
concurrent: the feed, the pools, the pulse. Child processes are left out as well: their handlers run here.
"""

import asyncio
import contextlib
import inspect
import os
import random
import secrets
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from headrace.app import App, OpenedApp
from headrace.clock import ManualClock
from headrace.core.alerts import KIND as ALERTS
from headrace.core.decide import decide
from headrace.core.filters import MAX_LIMIT, JobFilter, Page
from headrace.core.job import Job, Transition
from headrace.core.lanes import lane_of_version
from headrace.core.outcomes import Crashed, Failed, Outcome, Parked, Report, Rescued
from headrace.core.states import State
from headrace.engine.operations import Runs
from headrace.engine.work import Claim, LocalWork, WorkerHello
from headrace.errors import MisuseError
from headrace.files.open import opened_files
from headrace.stores.protocol import Applied
from headrace.testing.chunks import SingleChunks
from headrace.upkeep.upkeep import usual_chores
from headrace.worker import endings
from headrace.worker.chunk_call import HeldMessage
from headrace.worker.held import Held, Why
from headrace.worker.link import Outbox
from headrace.worker.notes import Notes
from headrace.worker.runner import Runner
from headrace.worker.settings import WorkerSettings
from headrace.worker.transacting import Transacting

LEASE_MS: Final = 3_600_000
MAX_ATTEMPTS: Final = 10_000
_LOOKS: Final = f"{ALERTS}:"
"""Of the registers of alert rules, which are looked at for ever without anything happening to a job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One attempt that ran: how it ended, and the state its job is in by it."""

    job_id: str
    type: str
    attempt: int
    outcome: Outcome
    state: State

    @property
    def error(self) -> str | None:
        """Type and message of the error it ended with."""
        match self.outcome:
            case Failed(error=error) | Crashed(error=error):
                return f"{error.type}: {error.message}"
            case _:
                return None


class Driver:
    """Claims and runs. Made by ``driving``. ``outbox`` may be laid over what handlers tell."""

    def __init__(  # noqa: PLR0913 - the parts it stands between
        self,
        app: App,
        opened: OpenedApp,
        work: LocalWork,
        settings: WorkerSettings,
        *,
        deps: object,
        outbox: Callable[[Outbox], Outbox] | None = None,
    ) -> None:
        self._app = app
        self._opened = opened
        self._work = work
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._rng = random.Random(0)
        self._notes = Notes(work, lambda _: None)
        self._writing = self._loop.create_task(self._notes.run())
        self._transacting = Transacting(work, self._notes.flush_paced)
        told: Outbox = self._notes if outbox is None else outbox(self._notes)
        self._runner = Runner(work, settings, told, None)
        self._runner.deps = deps
        self._runner.transactor = self._transacting
        self._chunks = SingleChunks(self._runner, work, settings)
        self._chores = usual_chores(
            opened.store,
            opened.clock,
            namespace=app.settings.namespace,
            lease_ms=LEASE_MS,
            aftermath=opened.operations.aftermath,
            alert_functions=app.alert.functions,
        )
        self._left = MAX_ATTEMPTS

    async def run_due(self) -> list[Ran]:
        """Runs what is due, and what becomes due by that or by a chore, until nothing is."""
        ran: list[Ran] = []
        while True:
            job = await self.claim()
            if job is None:
                did_something = await self._did_chores()
                job = await self.claim()
                if job is None and not did_something:
                    return ran
            if job is not None and (one := await self.run(job)) is not None:
                ran.append(one)

    async def claim(self, queue: str | None = None) -> Job | None:
        """The next due job, of that queue or of all; None if there is none."""
        queues = [queue] if queue else [one.name for one in await self._work.queues() if not one.paused]
        if not queues:
            return None
        claim = Claim(
            worker=self._settings.name,
            queues=dict.fromkeys(queues, 1),
            types=frozenset(self._app.registry.names),
            limit=1,
            lease_ms=LEASE_MS,
        )
        return next(iter(await self._work.claim(claim)), None)

    async def run(self, job: Job) -> Ran | None:
        """Runs a claimed job's attempt and settles it. None for one of a version that is not known here."""
        self._left -= 1
        if self._left < 0:
            msg = (
                f"{MAX_ATTEMPTS} attempts and still jobs that are due: a job that enqueues itself or snoozes "
                "for no time never comes to an end"
            )
            raise MisuseError(msg)
        held = self.held(job)
        if job.facts.version > held.kind.info.version:
            lane = lane_of_version(job.facts.type, job.facts.version)
            await self._work.report([self._runner.report(held, Parked(lane=lane))])
            return None
        return await self.settle(await self.perform(held), job)

    async def perform(self, held: Held) -> Report:
        """Runs the handler; nothing is settled yet, but all it told is written."""
        limit = held.job.placement.timeout_ms
        alarm = None if limit is None else self._loop.call_later(limit / 1000, self._time_out, held)
        try:
            report = await self._performed(held)
        finally:
            if alarm is not None:
                alarm.cancel()
        await self._notes.flush()
        return report

    async def settle(self, report: Report, job: Job) -> Ran:
        """Reports how an attempt ended."""
        (answer,) = await self._work.report([report])
        state = answer.state
        if state is None:  # settled before, by ctx.transaction; or it has another holder
            state = (await self._opened.operations.job(job.id)).state
        return Ran(
            job_id=job.id, type=job.facts.type, attempt=job.attempt, outcome=report.outcome, state=state
        )

    async def abandon(self, job: Job) -> None:
        """What becomes of a job whose worker is lost in this attempt: a rescuer takes it away."""
        store = self._opened.store
        while True:
            fresh = (await store.get(job.facts.namespace, [job.id]))[job.id]
            now = (fresh.placement.lease_until or 0) + 1
            policy = self._app.registry.get(job.facts.type).info.policy
            taken = decide(fresh, Rescued(), policy=policy, now=now, rng=self._rng)
            if await store.apply([taken], now=now) == [Applied()]:
                return

    async def hasten(self, job_id: str) -> bool:
        """Makes a job that waits for another attempt due now; whether there is one to make."""
        store, now = self._opened.store, self._opened.clock.now()
        job = await self._opened.operations.job(job_id)
        if job.state is not State.PENDING or job.placement.due_at is None:
            return False
        placement = replace(
            job.placement, due_at=min(now, job.placement.due_at), rank=min(now, job.placement.rank)
        )
        return await store.apply([Transition(job=job, placement=placement)], now=now) == [Applied()]

    async def pass_time(self, job_id: str) -> None:
        """Lets the time pass for which a job waits; where the clock cannot be moved, the job is made due."""
        clock = self._opened.clock
        due_at = (await self._opened.operations.job(job_id)).placement.due_at
        if due_at is None:
            return
        if isinstance(clock, ManualClock):
            clock.advance(max(0, due_at - clock.now()) / 1000)
        else:
            await self.hasten(job_id)

    async def next_instant(self) -> int | None:
        """When something happens next: a job or register (a schedule) is due, a lease ends, a lane opens."""
        now = self._opened.clock.now()
        instants = [
            register.due_at
            for register in await self._opened.store.scan(self._app.settings.namespace, "")
            if register.due_at is not None and not register.key.startswith(_LOOKS)
        ]
        async for job in self._live():
            if job.placement.due_at is not None:
                instants.append(job.placement.due_at)
            if job.placement.lease_until is not None:
                instants.append(job.placement.lease_until + 1)
        opening = (await self._opened.store.unpark_free(now=now, limit=MAX_LIMIT)).next_opening
        if opening is not None:
            instants.append(opening)
        return min((instant for instant in instants if instant > now), default=None)

    async def close(self) -> None:
        """Lets go of everything."""
        self._transacting.close()
        self._chunks.close()
        self._notes.close()
        self._writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._writing

    def held(self, job: Job) -> Held:
        """A claimed job with its handler."""
        kind = self._app.registry.get(job.facts.type)
        runs = Runs.ASYNC if inspect.iscoroutinefunction(kind.handler) else Runs.THREAD
        return Held(job, kind, runs) if kind.info.chunk is None else HeldMessage(job, kind, runs)

    async def _performed(self, held: Held) -> Report:
        if isinstance(held, HeldMessage):
            return await self._chunks.run(held)
        if held.runs is Runs.ASYNC:
            done: asyncio.Future[Report] = self._loop.create_future()
            self._runner.start(held, lambda _, report: done.set_result(report))
            return await done
        self._runner.begin(held)
        outcome = await asyncio.to_thread(self._runner.run_here, held)
        if outcome is None or held.stopping is not None:
            outcome = endings.settled(held, outcome)
        return self._runner.report(held, outcome)

    def _time_out(self, held: Held) -> None:
        if isinstance(held, HeldMessage):
            self._chunks.time_out(held)
            return
        held.stopping = Why.TIMEOUT
        if held.link is not None:
            held.link.cancelled = True
        if held.task is not None and held.begun:
            held.task.cancel()

    async def _did_chores(self) -> bool:
        """Does what ended jobs leave to be done, and upkeep; whether a chore had anything to do."""
        await self._opened.operations.flow_engine.checks.drained()
        await self._opened.operations.batch_engine.checks.drained()
        results = [await chore.run_once() for chore in self._chores]
        return any(result.done or result.more for result in results)

    async def _live(self) -> AsyncGenerator[Job]:
        wanted = JobFilter(states=frozenset({State.PENDING, State.PROCESSING}))
        before: str | None = None
        while True:
            page = await self._opened.operations.jobs(wanted, Page(limit=MAX_LIMIT, before=before))
            for job in page.jobs:
                yield job
            before = page.cursor
            if before is None:
                return


@asynccontextmanager
async def driving(app: App, *, outbox: Callable[[Outbox], Outbox] | None = None) -> AsyncGenerator[Driver]:
    """A driver, with what the app's handlers share, for as long as the block lasts."""
    opened = await app.open()
    work = await app.work()
    async with AsyncExitStack() as stack:
        files = await stack.enter_async_context(opened_files(app.settings, opened.store, opened.clock))
        factory = app.lifespan_factory
        deps = None if factory is None else await stack.enter_async_context(factory())
        name = f"testing-{os.getpid()}-{secrets.token_hex(4)}"
        settings = WorkerSettings(name=name, lease_ms=LEASE_MS, files=files)
        await work.publish([one.info for one in app.registry.all()])
        await app.limit.put_into(opened.operations)
        await app.queue.put_into(opened.operations)
        await app.schedule.put_into(opened.operations)
        await app.alert.put_into(opened.operations)
        await work.hello(_hello(app, work, name))
        driver = Driver(app, opened, work, settings, deps=deps, outbox=outbox)
        try:
            yield driver
        finally:
            await driver.close()
            await work.goodbye(name)


def _hello(app: App, work: LocalWork, name: str) -> WorkerHello:
    now = work.clock.now()
    return WorkerHello(
        namespace=work.namespace,
        worker=name,
        host=socket.gethostname(),
        pid=os.getpid(),
        queues=None,
        types=app.registry.known,
        started_at=now,
        seen_at=now,
    )
