"""Whole queues over a store: bounds that inserts keep to, and the weights of fair ones."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from headrace.clock import Clock
from headrace.core.decide import decide
from headrace.core.fairness import FairQueue, queue_key
from headrace.core.ids import checked_name
from headrace.core.job import Job, Transition
from headrace.core.limit_keys import KeyRule
from headrace.core.outcomes import Dropped
from headrace.core.queue_rules import (
    DEPTHS,
    NO_RULES,
    REGISTER,
    Overflow,
    QueueBound,
    QueueRules,
    drops,
)
from headrace.core.states import State
from headrace.engine.hints import ENDED_HINT
from headrace.engine.published import PublishedTypes
from headrace.engine.queue_operations import BoundView
from headrace.engine.registry import Registry
from headrace.errors import IllegalMove, QueueFull, StoreUnavailable
from headrace.stores.protocol import Inserted, NewJob, Register, Room, Store, Swap

REFRESH_MS: Final = 5_000
"""For so long a process goes by the rules it has read."""

_TRIES: Final = 50
_SPARE: Final = 32
_PAUSE_S: Final = 0.005


class Insert(Protocol):
    """Inserts jobs."""

    def __call__(self, *, room: Room | None) -> Awaitable[Sequence[Inserted]]:
        """Inserts them where there is room."""
        ...


class Queues:
    """The queues of one namespace. ``gave_way`` is told of the jobs that are dropped for newer ones."""

    def __init__(  # noqa: PLR0913 - what queues stand on
        self,
        store: Store,
        clock: Clock,
        gave_way: Callable[[Sequence[Transition]], None],
        *,
        namespace: str,
        registry: Registry,
        published: PublishedTypes,
    ) -> None:
        self._store = store
        self._clock = clock
        self._namespace = namespace
        self._registry = registry
        self._published = published
        self._gave_way = gave_way
        self._rng = random.Random()
        self._kept: QueueRules = NO_RULES
        self._read_at: int | None = None
        self._declared: QueueRules = NO_RULES
        self._rules: QueueRules = NO_RULES
        self._bounded: Mapping[str, QueueBound] = {}

    async def refresh(self) -> None:
        """Reads the rules, unless that was done within the last five seconds."""
        now = self._clock.now()
        if self._read_at is None or not 0 <= now - self._read_at <= REFRESH_MS:
            found = (await self._store.read(self._namespace, (REGISTER,))).get(REGISTER)
            self._learn(NO_RULES if found is None else QueueRules.loads(found.value))
            self._read_at = now

    @property
    def shares_out(self) -> bool:
        """Whether any queue is shared out by itself, as far as this process knows."""
        return bool(self._known().fair_by)

    def fair_by(self, queue: str) -> KeyRule | None:
        """By what a queue is shared out, as far as this process knows."""
        return self._known().fair_by.get(queue)

    def room_for(self, jobs: Sequence[NewJob]) -> Room | None:
        """The bounds of the queues that the jobs come to, as far as this process knows; None for none."""
        self._known()
        if not self._bounded:
            return None
        queues = {new.facts.queue for new in jobs}
        bounds = tuple(bound for name, bound in self._bounded.items() if name in queues)
        return Room(bounds=bounds) if bounds else None

    def refusing(self, jobs: Sequence[NewJob]) -> Room | None:
        """As ``room_for``, of queues that refuse: for inserts that can drop nothing."""
        room = self.room_for(jobs)
        kept = [] if room is None else [one for one in room.bounds if one.overflow is Overflow.REJECT]
        return Room(bounds=tuple(kept)) if kept else None

    async def insert(self, jobs: Sequence[NewJob], insert: Insert) -> Sequence[Inserted]:
        """Inserts jobs where there is room, or where waiting ones give way. Raises QueueFull (C8)."""
        await self.refresh()
        room = self.room_for(jobs)
        if room is None:
            return await insert(room=None)
        for attempt in range(_TRIES):
            try:
                answers = await insert(room=room)
            except QueueFull as full:
                if attempt:
                    await asyncio.sleep(self._rng.uniform(0, _PAUSE_S))
                room = Room(bounds=room.bounds, drops=await self._more(room, full))
            else:
                await self._tell(room.drops)
                return answers
        msg = "a bounded queue changes too fast to make room in it; try again"
        raise StoreUnavailable(msg)

    async def bounds(self) -> Sequence[BoundView]:
        """The queues for which anybody has said how many jobs may wait, by name."""
        rules, _ = await self._read()
        rules = rules.declaring(self._registry.queue_rules)
        names = sorted({*rules.bounds, *rules.set_bounds})
        registers = await self._store.read(self._namespace, [DEPTHS + name for name in names])
        return [
            BoundView(
                queue=name,
                bound=rules.bound(name),
                declared=rules.bounds.get(name),
                set=name in rules.set_bounds,
                dropped=drops(kept.value if (kept := registers.get(DEPTHS + name)) is not None else None),
            )
            for name in names
        ]

    async def set_bound(self, queue: str, max_length: int | None, overflow: Overflow) -> None:
        """Sets an operator's bound, or that there is none. Raises InvalidInput."""
        checked_name(queue, "queue")
        bound = (
            None if max_length is None else QueueBound(queue=queue, max_length=max_length, overflow=overflow)
        )
        await self._change(lambda rules: rules.setting(queue, bound))

    async def reset_bound(self, queue: str) -> None:
        """Takes an operator's bound back."""
        await self._change(lambda rules: rules.resetting(queue))

    async def declare(
        self, rules: QueueRules, weights: Mapping[str, Mapping[str, float]], fair: Collection[str]
    ) -> None:
        """Puts what a program declares."""
        await self._change(lambda known: known.declaring(rules))
        for queue in sorted({*fair, *weights}):
            given = weights.get(queue)
            await self._change_shares(
                queue, lambda known, given=given: known if given is None else known.with_declared(given)
            )

    async def shares(self, queue: str) -> FairQueue | None:
        """The weights of a fair queue; None for one that was never fair."""
        found = await self._shares(checked_name(queue, "queue"))
        return None if found is None else FairQueue.loads(found.value)

    async def set_weight(self, queue: str, tenant: str, weight: float | None) -> FairQueue:
        """Sets an operator's weight, or takes it back. Raises InvalidInput."""
        return await self._change_shares(
            checked_name(queue, "queue"), lambda known: known.with_weight(tenant, weight)
        )

    def _known(self) -> QueueRules:
        if self._declared is not self._registry.queue_rules:
            self._learn(self._kept)
        return self._rules

    def _learn(self, kept: QueueRules) -> None:
        self._kept, self._declared = kept, self._registry.queue_rules
        self._rules = kept.declaring(self._declared)
        self._bounded = self._rules.bounded

    async def _more(self, room: Room, full: QueueFull) -> tuple[Transition, ...]:
        """What is dropped at the next try. Raises QueueFull where nothing gives way."""
        bound = next(one for one in room.bounds if one.queue == full.queue)
        if bound.overflow is Overflow.REJECT or full.coming > bound.max_length:
            raise full
        excess = full.waiting + full.coming - bound.max_length
        oldest = await self._store.oldest_waiting(self._namespace, bound.queue, limit=excess + _SPARE)
        others = [one for one in room.drops if one.job.facts.queue != bound.queue]
        now = self._clock.now()
        return (*others, *[one for job in oldest if (one := await self._dropped(job, now)) is not None])

    async def _dropped(self, job: Job, now: int) -> Transition | None:
        policy = await self._published.policy(job.facts.type, job.facts.version)
        try:
            return decide(job, Dropped(), policy=policy, now=now, rng=self._rng)
        except IllegalMove:
            return None  # it was claimed meanwhile

    async def _tell(self, given: Sequence[Transition]) -> None:
        """Tells of the jobs that had to give way: of those that were given, as many as it took."""
        if not given:
            return
        found = await self._store.get(self._namespace, [one.job.id for one in given])
        gone = [
            one
            for one in given
            if (job := found.get(one.job.id)) is not None
            and job.state is State.CANCELLED
            and job.revision == one.job.revision + 1
        ]
        self._gave_way(gone)
        self._store.wake(self._namespace, frozenset({ENDED_HINT}))

    async def _read(self) -> tuple[QueueRules, int]:
        found = (await self._store.read(self._namespace, (REGISTER,))).get(REGISTER)
        return (NO_RULES, 0) if found is None else (QueueRules.loads(found.value), found.revision)

    async def _change(self, change: Callable[[QueueRules], QueueRules]) -> None:
        for _ in range(_TRIES):
            known, revision = await self._read()
            wanted = change(known)
            swap = Swap(key=REGISTER, revision=revision, value=wanted.dumps())
            if wanted == known or await self._store.swap(self._namespace, (swap,)):
                self._learn(wanted)
                self._read_at = self._clock.now()
                return
        msg = "the rules of queues change too fast to decide on; try again"
        raise StoreUnavailable(msg)

    async def _shares(self, queue: str) -> Register | None:
        key = queue_key(queue)
        return (await self._store.read(self._namespace, (key,))).get(key)

    async def _change_shares(self, queue: str, change: Callable[[FairQueue], FairQueue]) -> FairQueue:
        for _ in range(_TRIES):
            found = await self._shares(queue)
            known = FairQueue.loads(None if found is None else found.value)
            wanted = change(known)
            if found is not None and wanted == known:
                return known
            swap = Swap(
                key=queue_key(queue),
                revision=0 if found is None else found.revision,
                value=wanted.dumps(),
                due_at=self._clock.now(),
            )
            if await self._store.swap(self._namespace, (swap,)):
                return wanted
        msg = f"the shares of queue {queue!r} change too fast to decide on; try again"
        raise StoreUnavailable(msg)
