"""Schedules over a store: put, paused, triggered, removed by compare-and-set; and the jobs they make."""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from headrace.core import scheduled
from headrace.core.policy import DAY_MS
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import Fire, Timing, checked_id, schedule_tag
from headrace.core.scheduled import KIND, Schedule, checked_request, dumps, key_of, loads
from headrace.core.unreadable import UNREADABLE, shown, why_unreadable
from headrace.core.wishes import Wishes
from headrace.engine.enqueue import new_job
from headrace.engine.keys import lane_of
from headrace.engine.operations import TypeInfo
from headrace.engine.preparing import Preparing
from headrace.engine.published import PublishedTypes
from headrace.engine.registry import Registry
from headrace.errors import (
    InvalidInput,
    Refused,
    ScheduleNotFound,
    StaleRegister,
    StoreUnavailable,
    UnknownJobType,
)
from headrace.mint import IdMint
from headrace.stores.protocol import Inserted, NewJob, Receipt, Register, Store, Swap

TRIGGERED_TAG: Final = "triggered"
RECEIPT_MS: Final = DAY_MS
"""For so long the store remembers a fire, beyond the misfire window: longer than clocks can differ."""
_TRIES: Final = 20


class Schedules:
    """The schedules of one namespace."""

    def __init__(
        self, engine: Preparing, store: Store, published: PublishedTypes, registry: Registry
    ) -> None:
        self._engine = engine
        self._store = store
        self._published = published
        self._registry = registry
        self._ids = IdMint(random.Random())

    async def all(self) -> Sequence[Schedule]:
        """All schedules, by id. One that only another version can read has the rule ``Unknown``."""
        found = await self._store.scan(self._engine.namespace, f"{KIND}:")
        return [shown(one.key.removeprefix(f"{KIND}:"), one.value) for one in found]

    async def get(self, schedule_id: str) -> Schedule:
        """One schedule, as ``all`` shows it. Raises ScheduleNotFound."""
        return shown(schedule_id, (await self._register(schedule_id)).value)

    async def put(self, schedule_id: str, timing: Timing, request: EnqueueRequest) -> Schedule:
        """Makes a schedule, or changes it; see ``core.scheduled.put``.

        Raises InvalidInput, also for a new one all of whose instants have passed; StoreError.
        """
        checked_id(schedule_id)
        checked_request(request)
        (job,) = await self._engine.prepared((request,), self._engine.now())
        await self._make_known(request.type)
        # the payload was checked now, so that a fire needs no code of the job type
        lane = job.facts.lane
        wishes = None if lane is None else Wishes.loads(lane)
        kept = replace(request, payload=job.facts.payload, encoded=True, wishes=wishes)

        def after(known: Schedule | None) -> Schedule:
            now = self._engine.now()
            wanted = scheduled.put(known, schedule_id, timing, kept, version=job.facts.version, now=now)
            if known is None and wanted.next_at is None:
                msg = f"schedule {schedule_id!r} has no instant to come"
                raise InvalidInput(msg, field="at")
            return wanted

        return await self._change(schedule_id, after)

    async def pause(self, schedule_id: str) -> Schedule:
        """Nothing fires until ``resume``. Raises ScheduleNotFound."""
        return await self._change_known(
            schedule_id, lambda known: scheduled.paused(known, now=self._engine.now())
        )

    async def resume(self, schedule_id: str) -> Schedule:
        """It fires again, from its next instant on. Raises ScheduleNotFound."""
        return await self._change_known(
            schedule_id, lambda known: scheduled.resumed(known, now=self._engine.now())
        )

    async def remove(self, schedule_id: str) -> None:
        """When this returns nothing fires any more. Raises ScheduleNotFound."""

        async def attempt(register: Register) -> bool:
            gone = Swap(key=register.key, revision=register.revision, value=None)
            return await self._store.swap(self._engine.namespace, (gone,))

        await self._try(schedule_id, attempt)

    async def trigger(self, schedule_id: str) -> Inserted:
        """Makes the job of a schedule now; its next instant stays, and so does a pause.

        Raises ScheduleNotFound, UnknownJobType, StoreError.
        """
        answers: list[Inserted] = []

        async def attempt(register: Register) -> bool:
            now = self._engine.now()
            known = _read(schedule_id, register)
            after = replace(known, triggered_at=now)
            job = await self._triggered(known, now)
            swap = Swap(
                key=register.key, revision=register.revision, value=dumps(after), due_at=register.due_at
            )
            try:
                answers.extend(
                    await self._store.insert(self._engine.namespace, (job,), now=now, swaps=(swap,))
                )
            except StaleRegister:
                return False
            self._store.wake(self._engine.namespace, frozenset({job.facts.queue}))
            return True

        await self._try(schedule_id, attempt)
        return answers[0]

    async def _triggered(self, schedule: Schedule, now: int) -> NewJob:
        """The job of a trigger: that of a fire, but for what tells which fire it is."""
        return schedule_job(
            schedule,
            await self._info(schedule.request.type),
            (schedule_tag(schedule.id), TRIGGERED_TAG),
            job_id=self._ids.mint(now),
            namespace=self._engine.namespace,
            now=now,
        )

    async def _info(self, job_type: str) -> TypeInfo:
        known = self._registry.find(job_type)
        info = known.info if known is not None else await self._published.latest(job_type)
        if info is None:
            raise UnknownJobType(job_type)
        return info

    async def _make_known(self, job_type: str) -> None:
        """Publishes the job type, so that a scheduler without its code can make jobs of it."""
        if (known := self._registry.find(job_type)) is not None:
            await self._published.publish((known.info,))

    async def _change_known(self, schedule_id: str, change: Callable[[Schedule], Schedule]) -> Schedule:
        def after(known: Schedule | None) -> Schedule:
            if known is None:
                raise ScheduleNotFound(schedule_id)
            return change(known)

        return await self._change(schedule_id, after)

    async def _change(self, schedule_id: str, change: Callable[[Schedule | None], Schedule]) -> Schedule:
        key = key_of(schedule_id)
        for _ in range(_TRIES):
            found = (await self._store.read(self._engine.namespace, (key,))).get(key)
            known = None if found is None else _read(schedule_id, found)
            wanted = change(known)
            if wanted == known:
                return wanted
            swap = Swap(
                key=key,
                revision=0 if found is None else found.revision,
                value=dumps(wanted),
                due_at=wanted.due_at,
            )
            if await self._store.swap(self._engine.namespace, (swap,)):
                return wanted
        raise _too_fast(schedule_id)

    async def _try(self, schedule_id: str, attempt: Callable[[Register], Awaitable[bool]]) -> None:
        for _ in range(_TRIES):
            if await attempt(await self._register(schedule_id)):
                return
        raise _too_fast(schedule_id)

    async def _register(self, schedule_id: str) -> Register:
        key = key_of(schedule_id)
        found = (await self._store.read(self._engine.namespace, (key,))).get(key)
        if found is None:
            raise ScheduleNotFound(schedule_id)
        return found


def schedule_job(  # noqa: PLR0913 - a job is made of exactly these
    schedule: Schedule, info: TypeInfo, tags: tuple[str, ...], *, job_id: str, namespace: str, now: int
) -> NewJob:
    """A job of a schedule, with the payload and the version of the job type that were put."""
    request = replace(schedule.request, tags=(*schedule.request.tags, *tags))
    versioned = replace(info, version=schedule.version)
    payload = str(request.payload)
    lane = lane_of(request, versioned, payload)
    return new_job(request, versioned, payload, job_id=job_id, namespace=namespace, now=now, lane=lane)


def fired_job(  # noqa: PLR0913 - a job is made of exactly these
    schedule: Schedule, info: TypeInfo, at: int, *, job_id: str, namespace: str, now: int
) -> NewJob:
    """The job of one fire. Its receipt makes the fire unique, even if the schedule is made anew (C32)."""
    fire = Fire(schedule=schedule.id, at=at)
    timing = schedule.timing
    job = schedule_job(schedule, info, fire.tags, job_id=job_id, namespace=namespace, now=now)
    due_at = max(now, fire.due_at(timing.jitter_ms))
    kept_until = max(now, at) + timing.catch_up.window_ms + RECEIPT_MS
    return replace(
        job,
        placement=replace(job.placement, due_at=due_at, rank=due_at),
        receipt=Receipt(key=fire.receipt_key, until=kept_until),
    )


def _read(schedule_id: str, register: Register) -> Schedule:
    """What is to be changed. Raises Refused: what only another version can read, this one leaves as it is."""
    try:
        return loads(register.value)
    except UNREADABLE as error:
        raise Refused(f"schedule {schedule_id!r} stays as it is: {why_unreadable(error)}") from error


def _too_fast(schedule_id: str) -> StoreUnavailable:
    return StoreUnavailable(f"schedule {schedule_id!r} changes too fast to decide on; try again")
