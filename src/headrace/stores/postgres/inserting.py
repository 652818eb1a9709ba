"""The insert op: all jobs and swaps or nothing, one live job a unique key."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from headrace.core.flow import Edge
from headrace.core.job import Facts, Isolation, Placement
from headrace.core.place import CLAIMED
from headrace.core.steps import Step
from headrace.errors import LeaseLost, StaleRegister
from headrace.stores.gating import gate_of
from headrace.stores.keyed import Kept, Standing, has_key, plan
from headrace.stores.lining import Room
from headrace.stores.postgres.database import Again, Database
from headrace.stores.postgres.flowing import link, lock_kin
from headrace.stores.postgres.gathering import Gatherer, Shape
from headrace.stores.postgres.lining import in_line, make_room
from headrace.stores.postgres.registers import make_swaps
from headrace.stores.postgres.rows import Values
from headrace.stores.postgres.session import Session
from headrace.stores.postgres.stepping import adopt
from headrace.stores.values import Holder, Inserted, InsertKind, NewJob, Swap

# What `insert_plain` leaves out, with the values it puts there.
_unusual_facts: Final[Callable[[Facts], Values]] = attrgetter(
    "backoff", "unique_key", "lock_after_claim", "lane", "batch_id", "parent_id", "tags"
)
_unusual_placement: Final[Callable[[Placement], Values]] = attrgetter(
    "lease_until", "unique_lock", "slot_key", "parked_on", "cancel_asked_at", "starts", "failures",
    "crashes", "releases", "snoozes", "worker", "started_at", "outcome", "error",
)  # fmt: skip
_USUAL_FACTS: Final = (None, None, None, None, None, None, ())
_USUAL_PLACEMENT: Final = (None, None, None, None, None, 0, 0, 0, 0, 0, None, None, None, None)

_facts_of_plain: Final[Callable[[Facts], Values]] = attrgetter(
    "id", "queue", "type", "payload", "created_at", "version", "max_attempts", "max_crashes"
)
_fixed: Final = (
    "id", "namespace", "queue", "type", "payload", "created_at", "version", "max_attempts", "max_crashes",
    "backoff", "unique_key", "lock_after_claim", "lane", "batch_id", "parent_id",
)  # fmt: skip
_placed: Final = (
    "state", "priority", "rank", "due_at", "lease_until", "unique_lock", "slot_key", "parked_on",
    "cancel_asked_at", "timeout_ms", "isolation", "generation", "starts", "failures", "crashes",
    "releases", "snoozes", "worker", "started_at", "outcome", "error",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Insertion:
    """What one call inserts."""

    namespace: str
    jobs: Sequence[NewJob]
    now: int
    parent: Holder | None = None
    swaps: Sequence[Swap] = ()
    steps: Sequence[Step] = ()
    edges: Sequence[Edge] = ()
    room: Room | None = None

    async def run(self, database: Database, gatherer: Gatherer) -> Sequence[Inserted]:
        """Does it."""
        plain = not (self.parent or self.swaps or self.steps or self.room or self.edges)
        if plain and (shape := _plain_shape(self.jobs)) is not None:
            await gatherer.insert(shape, [_plain_row(new) for new in self.jobs])
            return [Inserted(kind=InsertKind.INSERTED, job_id=new.facts.id) for new in self.jobs]
        return await database.together(self.within)

    async def within(self, session: Session) -> Sequence[Inserted]:
        """Does it inside a transaction. Raises Again if another transaction was in the way."""
        if self.edges:
            await lock_kin(session, self.namespace, self.edges, self.parent)
        answers = await self._insert(session)
        if self.steps:
            ids = [one.job_id for one in answers if one.kind is InsertKind.INSERTED]
            await adopt(session, self.namespace, ids, self.steps)
        if self.edges:
            await link(session, self.namespace, self.edges, self.jobs, answers)
        return answers

    async def _insert(self, session: Session) -> Sequence[Inserted]:
        if self.parent is not None:
            await _require_lease(session, self.namespace, self.parent)
        if (stale := await make_swaps(session, self.namespace, self.swaps)) is not None:
            raise StaleRegister(stale)
        if any(has_key(new) for new in self.jobs):
            return await self._keyed(session)
        await _insert_rows(session, await self.ready(session, self.jobs))
        return [Inserted(kind=InsertKind.INSERTED, job_id=new.facts.id) for new in self.jobs]

    async def ready(self, session: Session, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
        """The new ones of the jobs as they are to be added. Raises QueueFull, Again.

        Comes before any job is locked: whoever holds a queue or a line may wait for jobs, never the reverse.
        """
        if self.room is not None:
            await make_room(session, self.namespace, jobs, self.room)
        return await in_line(session, self.namespace, jobs, self.now)

    async def _keyed(self, session: Session) -> Sequence[Inserted]:
        decided = plan(
            self.jobs,
            receipts=await self._receipts(session),
            holders=await self._holders(session),
        )
        fresh = await self.ready(session, decided.fresh)
        for standing, new in sorted(decided.replaced, key=lambda one: one[0].seq):  # all lock in this order
            await _replace(session, standing, new)
        await _insert_rows(session, fresh)
        await self._write_receipts(session, decided.receipts)
        return decided.answers

    async def _receipts(self, session: Session) -> dict[str, tuple[str, str | None]]:
        keys = sorted({new.receipt.key for new in self.jobs if new.receipt is not None})
        if not keys:
            return {}
        found = await session.rows("receipts", self.namespace, keys, self.now)
        return {key: (job_id, body) for key, job_id, body in found}

    async def _holders(self, session: Session) -> dict[str, Standing]:
        locks = sorted({lock for new in self.jobs if (lock := new.placement.unique_lock) is not None})
        if not locks:
            return {}
        return {
            lock: Standing(seq=seq, revision=revision, id=job_id, state=state, type=kind)
            for lock, seq, revision, job_id, state, kind in await session.rows(
                "holders", self.namespace, locks
            )
        }

    async def _write_receipts(self, session: Session, kept: Sequence[Kept]) -> None:
        if not kept:
            return
        latest = {one.receipt.key: one for one in kept}
        written = await session.run(
            "write_receipts",
            self.namespace,
            list(latest),
            [one.job_id for one in latest.values()],
            [one.receipt.body for one in latest.values()],
            [one.receipt.until for one in latest.values()],
            self.now,
        )
        if written != len(latest):
            raise Again


def _plain_shape(jobs: Sequence[NewJob]) -> Shape | None:
    """What the jobs have in common, if they are alike and have only the usual columns."""
    found: Shape | None = None
    for new in jobs:
        facts, placement = new.facts, new.placement
        if (
            new.receipt is not None
            or _unusual_facts(facts) != _USUAL_FACTS
            or _unusual_placement(placement) != _USUAL_PLACEMENT
            or facts.timeout_ms != placement.timeout_ms
        ):
            return None
        here = (facts.namespace, placement.state, placement.isolation, placement.generation)
        if found is None:
            found = Shape(namespace=here[0], state=here[1], isolation=here[2], generation=here[3])
        elif here != (found.namespace, found.state, found.isolation, found.generation):
            return None
    return found


def _plain_row(new: NewJob) -> Values:
    placement = new.placement
    return (
        *_facts_of_plain(new.facts),
        placement.timeout_ms,
        placement.priority,
        placement.rank,
        placement.due_at,
    )


def job_object(new: NewJob) -> dict[str, object]:
    """A job as ``insert_jobs`` reads it, without what is null."""
    facts, placement = new.facts, new.placement
    told: dict[str, object] = {name: getattr(facts, name) for name in _fixed}
    told |= {name: getattr(placement, name) for name in _placed}
    told["first_timeout_ms"] = facts.timeout_ms
    told["tags"] = json.dumps(facts.tags, ensure_ascii=False) if facts.tags else None
    told["isolation"] = int(Isolation(placement.isolation))
    told["gate"], told["order_lane"] = gate_of(facts.lane)
    return {name: value for name, value in told.items() if value is not None}


def jobs_text(jobs: Sequence[NewJob]) -> str:
    """The one parameter of ``insert_jobs``."""
    return json.dumps([job_object(new) for new in jobs], ensure_ascii=False)


async def _insert_rows(session: Session, jobs: Sequence[NewJob]) -> None:
    if not jobs:
        return
    if len(await session.rows("insert_jobs", jobs_text(jobs))) != len(jobs):
        raise Again


async def _require_lease(session: Session, namespace: str, holder: Holder) -> None:
    if await session.row("hold_lease", namespace, holder.job_id, holder.fence, CLAIMED.value) is None:
        raise LeaseLost(holder.job_id, holder.fence)


async def _replace(session: Session, standing: Standing, new: NewJob) -> None:
    facts, placement = new.facts, new.placement
    there = (facts.namespace, standing.seq)
    if not await session.run(
        "replace_job", *there, standing.revision, placement.priority, placement.rank, placement.due_at
    ):
        raise Again
    await session.run("remove_tags", *there)
    tags = json.dumps(facts.tags, ensure_ascii=False) if facts.tags else None
    await session.run("replace_fixed", standing.seq, facts.payload, tags, facts.version)
    if facts.tags:
        await session.run("add_tags", *there, list(facts.tags))
