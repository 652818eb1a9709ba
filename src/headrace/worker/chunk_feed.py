"""Claims chunks: for each type of chunk, once there are enough messages or the oldest has waited enough.

Nothing is claimed early. A look that finds too few messages leaves them as they are, and learns since when
the oldest waits, so that the next look comes in time.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from headrace.core.chunk import calls
from headrace.engine.chunk_work import ChunkClaim
from headrace.engine.registry import Registered, Registry
from headrace.engine.work import WorkSource
from headrace.worker.buffer import Buffer
from headrace.worker.chunk_call import HeldChunk, HeldMessage
from headrace.worker.held import Held
from headrace.worker.settings import WorkerSettings

PACE: Final = 0.05
"""Hints have a type looked at no more often than this, in seconds."""

SHARE: Final = 20
"""Looks in vain take at most this part of the time: one that is slow, on a long queue, comes less often."""


class ChunkType:
    """A type of chunk, and when it is looked at next."""

    def __init__(self, kind: Registered) -> None:
        self.kind = kind
        self.look_at = 0.0
        self.not_before = 0.0
        self.turn = 0

    def sooner(self) -> None:
        """Something has changed: looks as soon as its pace allows."""
        self.look_at = min(self.look_at, self.not_before)


class ChunkFeed:
    """The part of a feed that claims chunks. It takes turns with the claims of other jobs."""

    def __init__(  # noqa: PLR0913 - the organs it stands between
        self,
        work: WorkSource,
        registry: Registry,
        settings: WorkerSettings,
        *,
        buffer: Buffer,
        admitted: Callable[[list[Held]], list[Held]],
        call_of: Callable[[Sequence[HeldMessage]], HeldChunk],
        polled: Callable[[int], None],
    ) -> None:
        self._work = work
        self._settings = settings
        self._buffer = buffer
        self._admitted = admitted
        self._call_of = call_of
        self._polled = polled
        self._types = [ChunkType(one) for one in registry.all() if one.info.chunk is not None]
        self._took_its_turn = False

    def hint(self) -> None:
        """There may be more messages, or room for them."""
        for one in self._types:
            one.sooner()

    def pause(self) -> float:
        """How many seconds until the next look; the poll interval where there is nothing to look for."""
        poll = self._settings.poll_ms / 1000
        now = time.monotonic()
        return min((max(0.0, one.look_at - now) for one in self._types), default=poll)

    async def look(self, queues: Sequence[str]) -> bool:
        """Claims at most one chunk; whether one came. After that the next turn is that of other jobs."""
        if self._took_its_turn:
            self._took_its_turn = False
            return False
        now = time.monotonic()
        for one in self._types:
            if one.look_at <= now and await self._claim(one, queues):
                self._types.remove(one)
                self._types.append(one)
                self._took_its_turn = True
                return True
        return False

    async def _claim(self, one: ChunkType, queues: Sequence[str]) -> bool:
        poll = self._settings.poll_ms / 1000
        info = one.kind.info
        rule = info.chunk
        roomy = self._roomy(one, queues)
        if rule is None or not roomy:
            self._buffer.hungry = True
            one.look_at = time.monotonic() + poll
            return False
        begun = time.monotonic()
        found = await self._work.claim_chunk(
            ChunkClaim(
                worker=self._settings.name,
                queues=roomy,
                type=info.name,
                rule=rule,
                lease_ms=self._settings.lease_ms,
            )
        )
        ended = time.monotonic()
        self._polled(len(found.jobs))
        if found.jobs:
            one.look_at = one.not_before = 0.0
            one.turn += 1
            self._take([HeldMessage(job, one.kind, info.runs) for job in found.jobs])
            return True
        pause = poll
        if found.oldest_due_at is not None:
            ripe_in = (rule.ripe_from(found.oldest_due_at) - self._work.clock.now()) / 1000
            pause = min(poll, max(0.0, ripe_in))
        one.not_before = ended + max(PACE, (ended - begun) * SHARE)
        one.look_at = max(ended + pause, one.not_before)
        return False

    def _roomy(self, one: ChunkType, queues: Sequence[str]) -> tuple[str, ...]:
        """The queues of which a call may start here, another one first each time."""
        runs = one.kind.info.runs
        if not self._buffer.room_for_call(runs):
            return ()
        roomy = sorted(name for name in queues if self._buffer.room_of(name, runs) > 0)
        first = one.turn % len(roomy) if roomy else 0
        return (*roomy[first:], *roomy[:first])

    def _take(self, batch: list[Held]) -> None:
        messages = {held.job.id: held for held in self._admitted(batch) if isinstance(held, HeldMessage)}
        together = calls([held.job for held in messages.values()])
        self._buffer.put_calls(self._call_of([messages[job.id] for job in call]) for call in together)
