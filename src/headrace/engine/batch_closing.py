"""Closes batches whose members have ended, and passes the turn on in sequential ones.

Anybody may do it at any time, and several at once: whoever reads the register, looks at the members and
then swaps the register by the revision read cannot act on what has changed meanwhile, since every op that
makes a member live writes the register too. Nothing here counts; what a crash leaves undone is found again
by looking.
"""

import asyncio
import random
from collections.abc import Collection, Mapping
from typing import Final

from headrace.clock import Clock
from headrace.core.batch import (
    PREFIX,
    BatchState,
    Counts,
    Phase,
    given_turn,
    is_batch_id,
    turn_is_over,
    waits_for_turn,
)
from headrace.core.batch_wire import dump, load
from headrace.core.job import Job
from headrace.engine.hints import ENDED_HINT
from headrace.errors import BatchNotFound, StaleRegister, StoreUnavailable
from headrace.stores.protocol import Applied, NewJob, Register, Store, Swap

TRIES: Final = 50
_PAUSE_S: Final = 0.001
_LONGEST_PAUSE_S: Final = 0.05


class Closing:
    """The batches of one namespace, as whoever closes them sees them."""

    def __init__(self, store: Store, clock: Clock, *, namespace: str) -> None:
        self._store = store
        self._clock = clock
        self._namespace = namespace
        self._rng = random.Random()

    async def read(self, batches: Collection[str]) -> Mapping[str, tuple[Register, BatchState]]:
        """The batches that exist, by id, each with its register."""
        keys = [PREFIX + one for one in batches]
        found = await self._store.read(self._namespace, keys)
        return {(batch := load(register.value)).id: (register, batch) for register in found.values()}

    async def existing(self, batches: Collection[str]) -> Mapping[str, tuple[Register, BatchState]]:
        """As ``read``. Raises BatchNotFound if one of them does not exist."""
        found = await self.read([name for name in batches if is_batch_id(name)])
        for name in batches:
            if name not in found:
                raise BatchNotFound(name)
        return found

    async def one(self, name: str) -> tuple[Register, BatchState]:
        """One batch with its register. Raises BatchNotFound."""
        return (await self.existing((name,)))[name]

    async def check(self, batches: Collection[str]) -> frozenset[str]:
        """Does for each batch what is to be done now. Returns those that go on one member after the other."""
        found = await self.read(batches)
        # after the registers: a member that comes later has raised the revision that a swap would name
        live = await self._store.live_batches(self._namespace, list(found))
        for name, (register, batch) in found.items():
            if batch.sequential and name in live:
                await self._pass_turn(batch.id)
            elif batch.phase is Phase.CLOSING or (batch.phase is Phase.SEALED and name not in live):
                await self._close(register, batch)
        return frozenset(name for name, (_, batch) in found.items() if batch.sequential and name in live)

    async def finish(self, register: Register, batch: BatchState) -> None:
        """Inserts what a closing decided on and closes the batch, in one op, unless that was done before."""
        now = self._clock.now()
        jobs = [
            NewJob(facts=facts, placement=placement)
            for facts, placement in batch.callback_jobs(self._namespace, now)
        ]
        closed = swap_of(register, batch.closed(now), now)
        try:
            await self._store.insert(self._namespace, jobs, now=now, swaps=(closed,))
        except StaleRegister:
            return
        queues = frozenset(job.facts.queue for job in jobs)
        self._store.wake(self._namespace, queues | {ENDED_HINT})

    async def look_later(self, batches: Collection[str]) -> int:
        """Says when the sweep looks again at those that are not closed; returns how many are."""
        found = await self.read(batches)
        now = self._clock.now()
        for register, batch in found.values():
            if batch.phase is not Phase.CLOSED:
                await self._store.swap(self._namespace, (swap_of(register, batch, now),))
        return sum(batch.phase is Phase.CLOSED for _, batch in found.values())

    async def pause(self, attempt: int) -> None:
        """Waits a little before a swap is tried again, so that many who change one batch get through."""
        longest = min(_LONGEST_PAUSE_S, _PAUSE_S * 2**attempt)
        await asyncio.sleep(self._rng.uniform(0, longest))

    async def _close(self, register: Register, batch: BatchState) -> None:
        for attempt in range(TRIES):
            if batch.phase is Phase.CLOSING:
                await self.finish(register, batch)
                return
            if batch.phase is not Phase.SEALED or not await self._begin(register, batch):
                return
            again = await self.read((batch.id,))
            if batch.id not in again:
                return
            if again[batch.id][1] == batch:
                await self.pause(attempt)
            register, batch = again[batch.id]

    async def _begin(self, register: Register, batch: BatchState) -> bool:
        """Takes a batch to closing unless a member is live, in which case it is False.

        True says nothing of who did it, or whether another change came first: the register tells.
        """
        (counts,) = (await self._store.batch_counts(self._namespace, (batch.id,))).values()
        told = Counts.of(counts)
        if told.live:
            return False
        anything_ended = batch.reopened_at is None or await self._store.ended_since(
            self._namespace, batch.id, batch.reopened_at
        )
        closing = batch.closing(told, anything_ended=anything_ended)
        await self._store.swap(self._namespace, (swap_of(register, closing, self._clock.now()),))
        return True

    async def _pass_turn(self, name: str) -> None:
        """Lets the first member that waits start, if the one that had the turn has ended."""
        for attempt in range(TRIES):
            register, batch = (await self.read((name,))).get(name, (None, None))
            if register is None or batch is None or batch.cancelled_at is not None:
                return
            chosen = await self._next(batch)
            if chosen is None:
                return
            now = self._clock.now()
            swap = swap_of(register, batch.with_turn(chosen.id), now)
            try:
                (answer,) = await self._store.apply((given_turn(chosen, now),), now=now, swaps=(swap,))
            except StaleRegister:
                await self.pause(attempt)
                continue
            if isinstance(answer, Applied):
                self._store.wake(self._namespace, frozenset({chosen.facts.queue}))
                return

    async def _next(self, batch: BatchState) -> Job | None:
        """Who gets the turn: who had it if it waits all the same; the first in line once that has ended."""
        if batch.turn is not None:
            had = (await self._store.get(self._namespace, (batch.turn,))).get(batch.turn)
            if had is not None and not turn_is_over(had):
                return had if waits_for_turn(had, batch) else None
        return await self._store.first_in_line(self._namespace, batch.id, batch.lane)


def swap_of(register: Register, batch: BatchState, now: int) -> Swap:
    """The write that makes a register tell of a batch as it is now, if nobody else has written it."""
    return Swap(key=register.key, revision=register.revision, value=dump(batch), due_at=batch.next_look(now))


def too_busy(batches: Collection[str]) -> StoreUnavailable:
    """What is raised when others change batches faster than they can be read and written."""
    return StoreUnavailable(f"batch {', '.join(sorted(batches))} is busy with other writers; try again")
