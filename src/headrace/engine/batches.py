"""Batches: making them, adding members, sealing, cancelling, retrying, and what they tell."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from headrace.clock import Clock
from headrace.core.batch import (
    PREFIX,
    BatchState,
    Callback,
    Counts,
    On,
    Phase,
    batch_id,
    in_line,
    is_batch_id,
)
from headrace.core.batch_request import NewBatch
from headrace.core.batch_wire import BatchView, dump, load
from headrace.core.filters import Page
from headrace.core.flow import Edge
from headrace.core.job import Job
from headrace.core.outcomes import RedriveAsked, RetryAsked
from headrace.core.request import EnqueueRequest
from headrace.core.unique import OnConflict
from headrace.engine.aftermath import Aftermath
from headrace.engine.batch_changes import Changes
from headrace.engine.batch_checks import Checks
from headrace.engine.batch_closing import TRIES, Closing, swap_of, too_busy
from headrace.engine.hints import ENDED_HINT
from headrace.engine.published import PublishedTypes
from headrace.engine.queues import Queues
from headrace.errors import InvalidInput, StaleRegister, StoreError, WaitTimeout
from headrace.stores.protocol import Holder, Inserted, NewJob, Store, Swap

_WAIT_SLICE_MS: Final = 500

Prepare = Callable[[Sequence[EnqueueRequest], int], Awaitable[Sequence[NewJob]]]


class Batches:
    """The batches of one namespace. ``prepare`` makes checked jobs of requests."""

    def __init__(  # noqa: PLR0913 - what batches stand on
        self,
        store: Store,
        clock: Clock,
        prepare: Prepare,
        *,
        published: PublishedTypes,
        aftermath: Aftermath,
        queues: Queues,
    ) -> None:
        namespace = aftermath.namespace
        self._store = store
        self._clock = clock
        self._prepare = prepare
        self._namespace = namespace
        self._queues = queues
        self._rng = random.Random()
        self._closing = Closing(store, clock, namespace=namespace)
        self._changes = Changes(store, clock, self._closing, published=published, aftermath=aftermath)
        self.checks = Checks(self._closing.check)

    async def create(self, new: NewBatch) -> BatchView:
        """Makes an open batch. Raises what an enqueue of its callbacks would raise."""
        now = self._clock.now()
        callbacks = await self._callbacks(new, now)
        while True:
            name = batch_id(now, self._rng)
            batch = BatchState(id=name, created_at=now, sequential=new.sequential, callbacks=callbacks)
            made = Swap(key=PREFIX + name, revision=0, value=dump(batch), due_at=batch.next_look(now))
            if await self._store.swap(self._namespace, (made,)):
                return BatchView(state=batch, counts=Counts())

    async def insert(
        self,
        jobs: Sequence[NewJob],
        *,
        now: int,
        parent: Holder | None = None,
        edges: Sequence[Edge] = (),
    ) -> Sequence[Inserted]:
        """Inserts jobs of which some are members of batches, or none of them (C38).

        Raises BatchNotFound, BatchSealed, and what ``JobStore.insert`` raises.
        """
        wanted = {name for job in jobs if is_batch_id(name := job.facts.batch_id)}
        parents_batch = None if parent is None else await self._batch_of(parent)
        insert = partial(self._store.insert, self._namespace)
        for attempt in range(TRIES):
            found = await self._closing.existing(wanted)
            for name, (_, batch) in found.items():
                batch.refuse_member(by_member=name == parents_batch)
            swaps = [swap_of(register, batch, now) for register, batch in found.values()]
            in_turn = {name for name, (_, batch) in found.items() if batch.sequential}
            placed = [_in_line(job) if job.facts.batch_id in in_turn else job for job in jobs]
            _refuse_waiting_twice(placed, in_turn, edges)
            try:
                answers = await self._queues.insert(
                    placed, partial(insert, placed, now=now, parent=parent, swaps=swaps, edges=edges)
                )
            except StaleRegister:
                await self._closing.pause(attempt)
                continue
            await self._look(in_turn)
            return answers
        raise too_busy(wanted)

    async def seal(self, name: str) -> None:
        """No more members from outside; a batch whose members have all ended is closed at once."""
        await self._change(name, lambda batch, _: batch.sealed())
        await self._look((name,))

    async def get(self, name: str) -> BatchView:
        """The batch and its numbers. Raises BatchNotFound."""
        _, batch = await self._closing.one(name)
        (view,) = await self._views((batch,))
        return view

    async def page(self, page: Page) -> tuple[Sequence[BatchView], str | None]:
        """A page of batches, newest first, and the next cursor."""
        registers, cursor = await self._store.newest_batches(self._namespace, page)
        return await self._views([load(register.value) for register in registers]), cursor

    async def cancel(self, name: str) -> int:
        """Seals it, cancels members that wait and asks those that run to stop; returns how many there were.

        Raises BatchNotFound; BatchClosed where all have ended.
        """
        await self._change(name, lambda batch, now: batch.cancelled(now))
        count = await self._changes.cancel_all(name)
        self._store.wake(self._namespace, frozenset({ENDED_HINT}))
        await self._look((name,))
        return count

    async def retry(self, name: str) -> int:
        """Runs all failed members again and returns how many; those of a closed batch in a new generation.

        A member whose unique key another job holds by now stays failed. Raises BatchNotFound.
        """
        await self._closing.one(name)
        count = await self._changes.retry_failed(name)
        await self._look((name,))
        return count

    async def retry_member(self, job: Job, asked: RetryAsked | RedriveAsked) -> None:
        """Runs one failed or cancelled member again. Raises JobNotFound, IllegalMove, DuplicateJob."""
        name = job.facts.batch_id or ""
        try:
            await self._changes.retry(name, job, asked)
        finally:
            await self._look((name,))

    async def wait(self, name: str, *, timeout_ms: int | None) -> BatchView:
        """The batch once it is closed. Raises BatchNotFound, WaitTimeout."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout_ms is None else loop.time() + timeout_ms / 1000
        while True:
            _, batch = await self._closing.one(name)
            if batch.phase is Phase.CLOSED:
                return await self.get(name)
            left = _WAIT_SLICE_MS if deadline is None else round((deadline - loop.time()) * 1000)
            if left <= 0:
                msg = f"batch {name} is not closed within {timeout_ms} ms; it is {batch.phase}"
                raise WaitTimeout(msg)
            await self._store.woken(
                self._namespace, frozenset({ENDED_HINT}), timeout_ms=min(left, _WAIT_SLICE_MS)
            )

    async def _views(self, batches: Sequence[BatchState]) -> Sequence[BatchView]:
        """Batches with the numbers of their members.

        These are read later, so a member may live by then that somebody has retried since: a batch that would
        be closed and have live members is read again.
        """
        states = {one.id: one for one in batches}
        while True:
            counts = await self._store.batch_counts(self._namespace, list(states))
            views = [BatchView(state=one, counts=Counts.of(counts[one.id])) for one in states.values()]
            torn = [view.state.id for view in views if view.state.is_over and view.counts.live]
            if not torn:
                return views
            again = {batch.id: batch for _, batch in (await self._closing.read(torn)).values()}
            if all(states[name] == batch for name, batch in again.items()):
                return views
            states |= again

    async def _callbacks(self, new: NewBatch, now: int) -> tuple[Callback, ...]:
        given = new.callbacks
        jobs = await self._prepare(tuple(given.values()), now)
        return tuple(
            _callback(on, request, job) for (on, request), job in zip(given.items(), jobs, strict=True)
        )

    async def _batch_of(self, holder: Holder) -> str | None:
        found = await self._store.get(self._namespace, (holder.job_id,))
        return found[holder.job_id].facts.batch_id if holder.job_id in found else None

    async def _change(self, name: str, change: Callable[[BatchState, int], BatchState]) -> None:
        """Changes the register as ``change(batch, now)`` says, unless that says the same."""
        for attempt in range(TRIES):
            register, batch = await self._closing.one(name)
            now = self._clock.now()
            after = change(batch, now)
            if after == batch or await self._store.swap(self._namespace, (swap_of(register, after, now),)):
                return
            await self._closing.pause(attempt)
        raise too_busy((name,))

    async def _look(self, batches: Collection[str]) -> None:
        """Does at once what is to be done for batches. What was asked for is done, whatever comes of this."""
        if batches:
            with suppress(StoreError):  # the sweep does it
                await self._closing.check(batches)


def refuse_members(requests: Sequence[EnqueueRequest]) -> None:
    """Raises InvalidInput for members of batches among jobs that another transaction inserts.

    Adding one writes the batch too, and whoever else adds one would wait until that transaction ends.
    """
    for index, request in enumerate(requests):
        if is_batch_id(request.batch_id):
            msg = "members are added to a batch with batch.add(...), not in a transaction of your own"
            error = InvalidInput(msg, field="batchId")
            error.index = index
            raise error


def has_members(requests: Sequence[EnqueueRequest]) -> bool:
    """Whether any of the requests is for a member of a batch."""
    return any(request.batch_id is not None and is_batch_id(request.batch_id) for request in requests)


def _in_line(new: NewJob) -> NewJob:
    if new.on_conflict is OnConflict.REPLACE and new.placement.unique_lock is not None:
        msg = "a member of a sequential batch waits for its turn, so it cannot replace a job that is due"
        raise InvalidInput(msg, field="onConflict")
    return replace(new, placement=in_line(new.placement))


def _refuse_waiting_twice(jobs: Sequence[NewJob], in_turn: Collection[str], edges: Sequence[Edge]) -> None:
    children = {edge.child for edge in edges}
    for index, job in enumerate(jobs):
        if job.facts.batch_id in in_turn and job.facts.id in children:
            msg = "a member of a sequential batch waits for its turn, and cannot wait for other jobs too"
            error = InvalidInput(msg, field="after")
            error.index = index
            raise error


def _callback(on: On, request: EnqueueRequest, job: NewJob) -> Callback:
    facts = job.facts
    return Callback(
        on=on,
        type=facts.type,
        version=facts.version,
        queue=facts.queue,
        payload=facts.payload,
        priority=job.placement.priority,
        max_attempts=facts.max_attempts,
        max_crashes=facts.max_crashes,
        timeout_ms=facts.timeout_ms,
        backoff=facts.backoff,
        delay_ms=request.delay_ms or 0,
        due_at=request.due_at or 0,
        lane=facts.lane,
        tags=facts.tags,
    )
