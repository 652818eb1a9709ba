"""All that is moved besides jobs: registers, lanes, receipts, records, and whether events are logged."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from headrace.core.filters import MAX_LIMIT, Page
from headrace.core.limits import LaneState
from headrace.engine.audit import KIND as AUDIT
from headrace.engine.dead_letters import DISCARDS
from headrace.files.disk import KIND as FILES
from headrace.moving.lease import Lease
from headrace.moving.registers import PREFIX
from headrace.moving.sides import Said, Side, Surroundings
from headrace.stores.adopting import Adoption
from headrace.stores.keyed import Kept
from headrace.stores.protocol import Record, Register, Swap

T = TypeVar("T")

RECORD_KINDS: Final = (AUDIT, DISCARDS, FILES)
_AT_ONCE: Final = 200
_MASK: Final = 2**64 - 1


@dataclass(slots=True)
class Digest:
    """How many there are, and a sum over their contents that does not depend on their order."""

    count: int = 0
    sum: int = 0

    def add(self, *parts: object) -> None:
        """Takes another one in."""
        self.count += 1
        digest = hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).digest()
        self.sum = (self.sum + int.from_bytes(digest[:8])) & _MASK


@dataclass(slots=True, kw_only=True)
class ThingsFound:
    """What a pass over these found: how many of each there are, how many it wrote, and what still differs."""

    counts: dict[str, int] = field(default_factory=dict[str, int])
    written: int = 0
    differences: list[str] = field(default_factory=list[str])


class ThingsPass:
    """A pass over all of these. What is at the target and not at the source is removed there."""

    def __init__(self, source: Side, target: Side, lease: Lease, around: Surroundings) -> None:
        self._source = source
        self._target = target
        self._lease = lease
        self._around = around
        self.found = ThingsFound()

    async def before_jobs(self) -> ThingsFound:
        """Lanes: a job that is parked on one is looked after through it, and a rate goes on where it was."""
        self._around.say(Said("lanes of limits"))
        there = {one.key: one async for one in lanes_of(self._target)}
        missing: list[LaneState] = []
        async for lane in lanes_of(self._source):
            self._count("lanes")
            if lane.key not in there:
                missing.append(lane)
            elif lane != there[lane.key] and not await self._set(lane, there[lane.key]):
                self.found.differences.append(f"lane {lane.key}")
        for some in _chunks(missing):
            await self._lease.adopt(Adoption(lanes=some))
            self.found.written += len(some)
        return self.found

    async def after_jobs(self) -> ThingsFound:
        """Registers last: schedules and batches come into effect by them."""
        await self._receipts()
        for kind in RECORD_KINDS:
            await self._records(kind)
        await self._registers()
        return self.found

    async def events(self) -> None:
        """Logs events at the target as the source does, from now on."""
        kept = await self._source.store.events_kept(self._source.namespace)
        if kept != await self._target.store.events_kept(self._target.namespace):
            await self._target.store.keep_events(self._target.namespace, kept)

    async def _set(self, lane: LaneState, there: LaneState) -> bool:
        """Brings a lane up to date that a breaker has closed or opened since."""
        if lane.tat != there.tat:
            return False
        await self._target.store.set_lane(self._target.namespace, lane)
        self.found.written += 1
        return True

    async def _receipts(self) -> None:
        self._around.say(Said("idempotency keys"))
        now = self._source.clock.now()
        there = await digest_of_receipts(self._target, now)
        here = Digest()
        async for some in receipts_of(self._source, now):
            for one in some:
                _add(here, one)
        self.found.counts["idempotency keys"] = here.count
        if here == there:
            return
        async for some in receipts_of(self._source, now):
            await self._lease.adopt(Adoption(receipts=some))
            self.found.written += len(some)
        if await digest_of_receipts(self._target, now) != here:
            self.found.differences.append("idempotency keys")

    async def _records(self, kind: str) -> None:
        self._around.say(Said(f"records: {kind}"))
        async for some in records_of(self._source, kind):
            await self._lease.keep()
            self._count(f"{kind} records", len(some))
            keys = [one.key for one in some]
            there = await self._target.store.records(self._target.namespace, kind, keys)
            changed = [one for one in some if there.get(one.key) != one]
            if changed:
                await self._target.store.append(self._target.namespace, kind, changed)
                self.found.written += len(changed)

    async def _registers(self) -> None:
        self._around.say(Said("schedules, limits, batches and other settings"))
        here = await registers_of(self._source)
        there = await registers_of(self._target)
        for key in here:
            self._count(family(key))
        changed = [
            Swap(key=key, revision=_revision(there, key), value=one.value, due_at=one.due_at)
            for key, one in here.items()
            if key not in there or (there[key].value, there[key].due_at) != (one.value, one.due_at)
        ]
        changed += [
            Swap(key=key, revision=one.revision, value=None) for key, one in there.items() if key not in here
        ]
        for some in _chunks(changed):
            await self._lease.adopt(Adoption(swaps=some))
            self.found.written += len(some)

    def _count(self, name: str, by: int = 1) -> None:
        self.found.counts[name] = self.found.counts.get(name, 0) + by


def family(key: str) -> str:
    """What a register belongs to, in a word."""
    word = key.partition(":")[0].partition("/")[0]
    return f"{word} registers"


async def registers_of(side: Side) -> Mapping[str, Register]:
    """All registers but those of moves, by key."""
    found = await side.store.scan(side.namespace, "")
    return {one.key: one for one in found if not one.key.startswith(PREFIX)}


async def lanes_of(side: Side) -> AsyncIterator[LaneState]:
    """All lanes of which something is kept."""
    after = ""
    while True:
        found = await side.store.kept_lanes(side.namespace, after=after, limit=_AT_ONCE)
        for lane in found:
            yield lane
        if len(found) < _AT_ONCE:
            return
        after = found[-1].key


async def receipts_of(side: Side, now: int) -> AsyncIterator[Sequence[Kept]]:
    """All receipts that are still good, in pages."""
    after: str | None = None
    while True:
        found, after = await side.store.kept_receipts(side.namespace, after=after, limit=_AT_ONCE)
        if good := [one for one in found if one.receipt.until > now]:
            yield good
        if after is None:
            return


async def digest_of_receipts(side: Side, now: int) -> Digest:
    """What the receipts of a side come to."""
    digest = Digest()
    async for some in receipts_of(side, now):
        for one in some:
            _add(digest, one)
    return digest


async def records_of(side: Side, kind: str) -> AsyncIterator[Sequence[Record]]:
    """All records of a kind, in pages."""
    before: str | None = None
    while True:
        found, before = await side.store.list_records(
            side.namespace, kind, Page(limit=MAX_LIMIT, before=before)
        )
        if found:
            yield found
        if before is None:
            return


def _add(digest: Digest, one: Kept) -> None:
    digest.add(one.receipt.key, one.job_id, one.receipt.body, one.receipt.until)


def _revision(there: Mapping[str, Register], key: str) -> int:
    return there[key].revision if key in there else 0


def _chunks(things: Sequence[T]) -> list[Sequence[T]]:
    return [things[start : start + _AT_ONCE] for start in range(0, len(things), _AT_ONCE)]
