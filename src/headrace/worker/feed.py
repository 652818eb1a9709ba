"""Claims jobs in batches for the slots that are free, and a little ahead.

The feed looks for work of every kind with one claim. Once that comes back full it fills the pools
one by one, so that jobs for a pool that is full do not keep others from starting. When nothing is
left it waits for a hint, and polls behind it, because hints may be lost (C47).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final

from headrace.core.job import Isolation, Job
from headrace.core.lanes import lane_of_version
from headrace.engine.operations import Runs
from headrace.engine.registry import Registered, Registry
from headrace.engine.work import Claim, WorkSource
from headrace.errors import StoreUnusable
from headrace.worker.buffer import Buffer
from headrace.worker.chunk_call import HeldChunk, HeldMessage
from headrace.worker.chunk_feed import ChunkFeed
from headrace.worker.events import Claimed, OnEvent, Polled, StoreLost
from headrace.worker.held import Held, Holdings
from headrace.worker.log import log
from headrace.worker.promptness import Promptness
from headrace.worker.settings import WorkerSettings
from headrace.worker.settler import Settler
from headrace.worker.waiting import Patience, rings

SURVEY_EVERY: Final = 5.0
SURVEY_HINTED: Final = 1.0
NEW_QUEUES_EVERY: Final = 0.1
WET_EVERY: Final = 0.05


class Feed:
    """Keeps the buffer filled."""

    def __init__(  # noqa: PLR0913 - the organs it stands between
        self,
        work: WorkSource,
        registry: Registry,
        settings: WorkerSettings,
        *,
        holdings: Holdings,
        buffer: Buffer,
        settler: Settler,
        give_back: Callable[[Sequence[Held], str], None],
        park: Callable[[Held, str], None],
        superseded: Callable[[Sequence[Held]], None],
        can_isolate: Callable[[Registered], bool],
        call_of: Callable[[Sequence[HeldMessage]], HeldChunk],
        on_event: OnEvent | None,
    ) -> None:
        self.hinted: Callable[[], None] = _nothing
        self.last_claim_at: int | None = None
        self._work = work
        self._registry = registry
        self._settings = settings
        self._holdings = holdings
        self._buffer = buffer
        self._settler = settler
        self._give_back = give_back
        self._park = park
        self._superseded = superseded
        self._can_isolate = can_isolate
        self._on_event = on_event
        plain = [one.info for one in registry.all() if one.info.chunk is None]
        self._types = {runs: frozenset(one.name for one in plain if one.runs is runs) for runs in Runs}
        self._chunks = ChunkFeed(
            work,
            registry,
            settings,
            buffer=buffer,
            admitted=self._admitted,
            call_of=call_of,
            polled=self._polled,
        )
        self._apart = set(registry.queues).difference(one.queue for one in plain)
        self._names: list[str] = sorted(settings.queues or registry.queues)
        self._wanted = None if settings.queues is None else frozenset(settings.queues)
        self._bell = asyncio.Event()
        self._patience = Patience()
        self._promptness = Promptness(buffer)
        self._dry: set[Runs] = set()
        self._too_new: set[tuple[str, int]] = set()
        self._looking = True
        self._look_at = 0.0
        self._surveyed_at = -SURVEY_EVERY
        self._survey_after = SURVEY_EVERY
        self._wetted_at = 0.0
        self._capped = False
        self._hinted = False
        self._quiet = False
        buffer.roomy = self._room_again

    def quiet(self) -> None:
        """Claims nothing more."""
        self._quiet = True
        self._bell.set()

    async def run(self) -> None:
        """Claims, for as long as the worker lives."""
        while not self._quiet:
            try:
                pause = await self.poll()
                self._patience.answered()
            except StoreUnusable:
                raise
            except Exception as error:  # boundary: whatever goes wrong with one claim, the next may do
                await self._wait_for_store(error)
                continue
            if pause > 0:
                await rings(self._bell, pause)
                self._bell.clear()

    async def listen(self) -> None:
        """Waits for hints of work."""
        patience = Patience()
        timeout_ms = round(SURVEY_EVERY * 1000)
        while not self._quiet:
            try:
                if await self._work.woken(self._wanted, timeout_ms=timeout_ms):
                    self._hint()
                patience.answered()
            except StoreUnusable:
                raise
            except Exception as error:  # boundary: hints may be lost, the worker polls behind them
                await asyncio.sleep(patience.failed(error))

    async def poll(self) -> float:
        """One look for work; returns how many seconds to sleep before the next, 0 for none."""
        now = time.monotonic()
        if self._quiet or self._buffer.closed or self._settler.behind:
            return self._settings.poll_ms / 1000
        self._buffer.measure()
        if now >= self._look_at:
            self._looking = True
        if now - self._surveyed_at >= self._survey_after and not await self._survey():
            return self._found_nothing()
        if await self._chunks.look(self._names):
            return 0.0
        pause = await (self._look() if self._looking else self._fill())
        return min(pause, self._chunks.pause())

    def ring(self) -> None:
        """Something has changed: poll again."""
        self._bell.set()

    async def _look(self) -> float:
        """One claim over all kinds of jobs."""
        rooms = {runs: self._buffer.room(runs) for runs, types in self._types.items() if types}
        if not rooms:  # nothing but chunks
            await self._new_queues()
            return self._found_nothing()
        roomy = [runs for runs, room in rooms.items() if room > 0]
        if not roomy:
            return self._wait_for_room()
        self._looking = False
        self._look_at = time.monotonic() + self._settings.poll_ms / 1000
        if await self._claim(roomy, min(rooms[runs] for runs in roomy)):
            self._dry.clear()
            return 0.0
        if await self._new_queues():
            self._looking = True
            return 0.0
        return self._found_nothing()

    async def _fill(self) -> float:
        """One claim for the pool with the most room that is not known to be out of work."""
        wet = [runs for runs, types in self._types.items() if types and runs not in self._dry]
        if not wet:
            return self._found_nothing()
        rooms = {runs: self._buffer.room(runs) for runs in wet}
        runs = max(rooms, key=rooms.__getitem__)
        if rooms[runs] <= 0:
            return self._wait_for_room()
        if not await self._claim([runs], rooms[runs], apart=self._apart):
            self._dry.add(runs)
        return 0.0

    async def _claim(self, kinds: Sequence[Runs], limit: int, apart: Collection[str] = ()) -> bool:
        """Claims; whether all that was asked for came, so that there may be more.

        Of the queues that are ``apart`` nothing is claimed: only chunks are expected there, which a claim of
        other jobs would have to step over. Each look goes there too.
        """
        rooms = self._rooms(kinds, limit)
        for name in apart:
            rooms.pop(name, None)
        asked = {name: room for name, room in rooms.items() if room > 0}
        self._capped = len(asked) < len(rooms)
        if not asked:
            return False
        prompt = self._promptness.room(kinds, asked)
        limit = min(limit, sum(asked.values()))
        jobs = await self._work.claim(
            Claim(
                worker=self._settings.name,
                queues=asked,
                types=frozenset[str]().union(*(self._types[runs] for runs in kinds)),
                limit=limit,
                lease_ms=self._settings.lease_ms,
                prompt=prompt,
            )
        )
        self._polled(len(jobs))
        if jobs:
            self._promptness.met(jobs)
            self._take(jobs)
        self._capped = self._capped or self._promptness.held_back(prompt, limit, len(jobs))
        if len(jobs) < limit and min(asked.values()) < limit:
            came = Counter(job.facts.queue for job in jobs)
            self._capped = self._capped or any(came[name] == room for name, room in asked.items())
        return len(jobs) == limit

    def _rooms(self, kinds: Sequence[Runs], limit: int) -> dict[str, int]:
        """How many jobs at most of each queue; another queue comes first each time."""
        if len(self._names) > 1:
            self._names.append(self._names.pop(0))
        return {
            name: min(limit, *(self._buffer.room_of(name, runs) for runs in kinds)) for name in self._names
        }

    def _polled(self, count: int) -> None:
        self.last_claim_at = self._work.clock.now()
        if self._on_event is not None:
            self._on_event(Polled(count))

    def _take(self, jobs: Sequence[Job]) -> None:
        if self._apart:
            self._apart.difference_update(job.facts.queue for job in jobs)
        self._buffer.put(self._admitted([self._held(job) for job in jobs]))

    def _admitted(self, batch: list[Held]) -> list[Held]:
        """Those of the jobs claimed just now that may run here; the others go back, or wait parked."""
        if older := self._holdings.add(batch):
            self._superseded(older)
        if self._on_event is not None:
            self._on_event(Claimed(tuple(held.job for held in batch)))
        late = self._work.clock.now() + self._settings.last_call_ms
        if self._quiet:
            self._give_back(batch, "worker stops")
            return []
        if min(held.lease_until for held in batch) <= late:
            self._give_back(batch, "the claim took as long as the lease")
            return []
        return self._runnable(batch)

    def _runnable(self, batch: list[Held]) -> list[Held]:
        """Those whose payload is of a version known here; the others wait parked for a newer worker."""
        newer = [held for held in batch if held.job.facts.version > held.kind.info.version]
        if not newer:
            return batch
        for held in newer:
            facts = held.job.facts
            self._park(held, lane_of_version(facts.type, facts.version))
            if (facts.type, facts.version) not in self._too_new:
                self._too_new.add((facts.type, facts.version))
                log(
                    "version_not_known_here",
                    type=facts.type,
                    version=facts.version,
                    known=held.kind.info.version,
                )
        return [held for held in batch if held.job.facts.version <= held.kind.info.version]

    def _held(self, job: Job) -> Held:
        kind = self._registry.get(job.facts.type)
        runs = kind.info.runs
        if job.placement.isolation is not Isolation.NONE and self._can_isolate(kind):
            runs = Runs.PROCESS
        return Held(job, kind, runs)

    async def _survey(self) -> bool:
        """Learns of new and paused queues; whether any job is due."""
        queues = await self._work.queues()
        self._surveyed_at, self._survey_after = time.monotonic(), SURVEY_EVERY
        if self._wanted is None:
            self._names += sorted({queue.name for queue in queues}.difference(self._names))
        paused = {queue.name for queue in queues if queue.paused}
        if paused and (back := self._buffer.drain(paused)):
            self._give_back(back, "queue paused")
        now = self._work.clock.now()
        return any(
            queue.oldest_due_at is not None and queue.oldest_due_at <= now and queue.name not in paused
            for queue in queues
        )

    async def _new_queues(self) -> bool:
        known = len(self._names)
        if self._hinted and self._wanted is None and self._new_queues_in() <= 0:
            self._hinted = False
            await self._survey()
        return len(self._names) > known

    def _new_queues_in(self) -> float:
        return self._surveyed_at + NEW_QUEUES_EVERY - time.monotonic()

    def _hint(self) -> None:
        self._hinted = True
        self._chunks.hint()
        now = time.monotonic()
        if self._buffer.waiting:
            self._survey_after = SURVEY_HINTED  # a pause is hinted too, and what waits here must go back
        if len(self._dry) == len(Runs):
            self._looking = True
        elif now - self._wetted_at >= WET_EVERY:
            self._wetted_at = now
            self._dry.clear()
        else:
            self._look_at = min(self._look_at, now + WET_EVERY)
        self._bell.set()
        self.hinted()

    def _room_again(self) -> None:
        self._chunks.hint()
        if self._capped:
            self._dry.clear()
        self._bell.set()

    def _found_nothing(self) -> float:
        self._dry.update(Runs)
        self._buffer.hungry = self._capped
        pause = self._settings.poll_ms / 1000
        if self._hinted and self._wanted is None:  # the hint may have been for a queue not known yet
            pause = min(pause, max(0.0, self._new_queues_in()))
        now = time.monotonic()
        if not now < self._look_at < now + pause:  # chunks may be polled for more often than that
            self._look_at = now + pause
        return self._look_at - now

    def _wait_for_room(self) -> float:
        self._buffer.hungry = True
        return self._settings.poll_ms / 1000

    async def _wait_for_store(self, error: Exception) -> None:
        pause = self._patience.failed(error)
        log("claim_failed", error=repr(error), retry_in=pause)
        if self._on_event is not None:
            self._on_event(StoreLost("claim", error, pause))
        await asyncio.sleep(pause)


def _nothing() -> None:
    return None
