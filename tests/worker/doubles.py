"""A source of work that can be cut off, as by a store that does not answer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from headrace.clock import Clock
from headrace.core.flow import Parent
from headrace.core.job import Job
from headrace.core.outcomes import Report
from headrace.core.request import EnqueueRequest
from headrace.core.steps import Kept
from headrace.engine.operations import TypeInfo
from headrace.engine.work import (
    Claim,
    Completion,
    Holder,
    LocalWork,
    Note,
    QueueState,
    Renewal,
    Renewer,
    Reported,
    Work,
    WorkerHello,
)
from headrace.errors import OutcomeUnknown, StoreUnavailable


class Unreliable:
    """Passes everything on to ``inner``, unless told otherwise.

    ``down``: nothing is answered. ``renewals_down``: renewals are not. ``renewals_busy``: no lease is
    renewed, without an error. ``hold_notes``: notes are written once that is set. ``lose_replies``: so
    many reports are written and then answered with an error. ``refused`` counts the calls that were
    refused.
    """

    def __init__(self, inner: LocalWork) -> None:
        self._inner = inner
        self.down = False
        self.renewals_down = False
        self.renewals_busy = False
        self.hold_notes: asyncio.Event | None = None
        self.lose_replies = 0
        self.refused: Counter[str] = Counter()
        self.reported: list[Report] = []

    @property
    def namespace(self) -> str:
        return self._inner.namespace

    @property
    def clock(self) -> Clock:
        return self._inner.clock

    async def publish(self, infos: Sequence[TypeInfo]) -> None:
        self._check("publish")
        await self._inner.publish(infos)

    async def queues(self) -> Sequence[QueueState]:
        self._check("queues")
        return await self._inner.queues()

    async def resample(self) -> None:
        self._check("resample")
        await self._inner.resample()

    async def claim(self, claim: Claim) -> Sequence[Job]:
        self._check("claim")
        return await self._inner.claim(claim)

    async def report(self, reports: Sequence[Report]) -> Sequence[Reported]:
        self._check("report")
        self.reported.extend(reports)
        answers = await self._inner.report(reports)
        if self.lose_replies:
            self.lose_replies -= 1
            raise OutcomeUnknown("the reply was lost")
        return answers

    async def note(self, notes: Sequence[Note]) -> frozenset[str]:
        self._check("note")
        if self.hold_notes is not None:
            await self.hold_notes.wait()
        return await self._inner.note(notes)

    async def enqueue(self, parent: Holder, requests: Sequence[EnqueueRequest]) -> tuple[str, ...]:
        self._check("enqueue")
        return await self._inner.enqueue(parent, requests)

    async def parents(self, holder: Holder) -> tuple[Parent, ...]:
        self._check("parents")
        return await self._inner.parents(holder)

    async def kept(self, holder: Holder) -> Kept:
        self._check("kept")
        return await self._inner.kept(holder)

    async def transaction(self, holder: Holder, work: Work, completion: Completion) -> object:
        self._check("transaction")
        return await self._inner.transaction(holder, work, completion)

    @asynccontextmanager
    async def renewer(self) -> AsyncIterator[Renewer]:
        async with self._inner.renewer() as inner:
            yield _Renewer(self, inner)

    async def hello(self, hello: WorkerHello) -> None:
        self._check("hello")
        await self._inner.hello(hello)

    async def goodbye(self, worker: str) -> None:
        self._check("goodbye")
        await self._inner.goodbye(worker)

    async def woken(self, queues: frozenset[str] | None, *, timeout_ms: int) -> bool:
        return await self._inner.woken(queues, timeout_ms=timeout_ms)

    def _check(self, call: str) -> None:
        if self.down or (self.renewals_down and call == "renew"):
            self.refused[call] += 1
            raise StoreUnavailable("down for this test")


class Silent(Unreliable):
    """Never passes on a hint, so that a worker learns by polling and renewing alone."""

    async def woken(self, queues: frozenset[str] | None, *, timeout_ms: int) -> bool:
        await asyncio.Event().wait()
        return False


class _Renewer:
    def __init__(self, work: Unreliable, inner: Renewer) -> None:
        self._work = work
        self._inner = inner

    async def renew(self, holders: Sequence[Holder], *, now: int, lease_until: int) -> Renewal:
        self._work._check("renew")
        if self._work.renewals_busy:
            return Renewal(busy=frozenset(holder.job_id for holder in holders))
        return await self._inner.renew(holders, now=now, lease_until=lease_until)
