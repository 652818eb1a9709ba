"""Signals: sent to a job, waited for by its handler, and never lost between the two.

Who sends writes the signal first and then changes the job: one that waits is due at once, one that runs
gets a new revision. Who waits looks for the signal and then gives the job back under the revision that it
had before. So either the look finds the signal, or the revision has changed and the wait looks again, or
the job waits already and is woken.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from headrace.clock import Clock
from headrace.core import wire
from headrace.core.decide import decide
from headrace.core.ids import checked_name
from headrace.core.job import Job
from headrace.core.outcomes import Report, Signalled, Suspended
from headrace.core.states import State
from headrace.core.steps import MAX_SIGNAL_BYTES, MAX_SIGNALS, Signal, awaited, has_come
from headrace.core.unique import checked_key
from headrace.core.wire import Json
from headrace.engine.published import PublishedTypes
from headrace.errors import IllegalMove, JobNotFound, StoreUnavailable, TooLarge
from headrace.mint import IdMint
from headrace.stores.protocol import Applied, Store

_DECIDE_AGAIN: Final = 20


class Signals:
    """Sends signals in one namespace."""

    def __init__(self, store: Store, clock: Clock, published: PublishedTypes, namespace: str) -> None:
        self._store = store
        self._clock = clock
        self._published = published
        self._namespace = namespace
        self._rng = random.Random()
        self._ids = IdMint(self._rng)

    async def send(self, job_id: str, name: str, payload: Json, key: str | None) -> None:
        """Keeps the signal for the job, and wakes the job if it waits for it.

        Raises JobNotFound, IllegalMove for a job that has ended, InvalidInput, TooLarge.
        """
        checked_name(name, "signal")
        text = wire.encode(payload, limit=MAX_SIGNAL_BYTES, what="signal payload")
        if key is not None:
            checked_key(key, "key")
        job = await self._job(job_id)
        if job.placement.terminal:
            raise IllegalMove(job_id, job.state, "signal")
        now = self._clock.now()
        kept = await self._store.kept(self._namespace, job_id, now=now)
        signal_id = self._ids.mint(now) if key is None else key
        known = any(one.id == signal_id for one in kept.signals)
        if not known and len(kept.signals) >= MAX_SIGNALS:
            msg = f"job {job_id} has {MAX_SIGNALS} signals, which is the limit"
            raise TooLarge(msg, field="signal")
        signal = Signal(id=signal_id, name=name, at=now, payload=text)
        await self._store.signal(self._namespace, job_id, signal)
        await self._wake(job_id, name)

    async def _wake(self, job_id: str, name: str) -> None:
        for _ in range(_DECIDE_AGAIN):
            job = await self._job(job_id)
            now = self._clock.now()
            if job.state is not State.PROCESSING and not await self._waits(job, name, now):
                return
            policy = await self._published.policy(job.facts.type, job.facts.version)
            transition = decide(job, Signalled(), policy=policy, now=now, rng=self._rng)
            (answer,) = await self._store.apply((transition,), now=now)
            if isinstance(answer, Applied):
                self._store.wake(self._namespace, frozenset({job.facts.queue}))
                return
        msg = f"job {job_id} changes too fast to be woken; send the signal again with the same key"
        raise StoreUnavailable(msg)

    async def _waits(self, job: Job, name: str, now: int) -> bool:
        """Read after the job: a wait that it was given back for was kept before that."""
        wait = awaited(job, await self._store.kept(self._namespace, job.id, now=now))
        return wait is not None and wait.name == name

    async def _job(self, job_id: str) -> Job:
        found = await self._store.get(self._namespace, (job_id,))
        if job_id not in found:
            raise JobNotFound(job_id)
        return found[job_id]


async def heard(
    store: Store, namespace: str, reports: Sequence[Report], waiting: Mapping[int, Job | None], now: int
) -> Mapping[int, Suspended]:
    """Of reports that wait for a signal those, by index, for which it has come: their jobs are due at once.

    The jobs of ``waiting`` must have been read before this is called.
    """
    found: dict[int, Suspended] = {}
    for index in waiting:
        outcome = reports[index].outcome
        if not isinstance(outcome, Suspended) or outcome.signal is None:
            continue
        try:
            kept = await store.kept(namespace, reports[index].job_id, now=now)
        except JobNotFound:
            continue  # the write that follows will say so
        if has_come(kept, outcome.signal):
            found[index] = replace(outcome, until=now)
    return found
