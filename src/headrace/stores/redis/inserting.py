"""The insert op: all jobs and swaps or nothing, one live job a unique key."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.core.flow import Edge
from headrace.core.steps import Step
from headrace.errors import Refused
from headrace.stores.gathering import Gatherer
from headrace.stores.keyed import Plan, Standing, has_key, plan
from headrace.stores.known_limits import KnownLimits
from headrace.stores.lining import Room, line_up
from headrace.stores.redis.applying import give_on
from headrace.stores.redis.database import Again, Database
from headrace.stores.redis.flowing import link
from headrace.stores.redis.lining import in_line, make_room, watched_by
from headrace.stores.redis.plain_inserting import insert_plain
from headrace.stores.redis.reading import jobs_by_id
from headrace.stores.redis.registers import add_swaps
from headrace.stores.redis.rows import insert_row, replace_write
from headrace.stores.redis.session import Look, Session, Write
from headrace.stores.redis.stepping import adopt
from headrace.stores.redis.turns import Insistence, Turns
from headrace.stores.values import Holder, Inserted, InsertKind, NewJob, Swap

_New = tuple[NewJob, int]
"""A job, and when it is inserted."""


class Inserter:
    """Inserts what needs no look beforehand, that of several callers in one commit."""

    def __init__(self, database: Database, limits: KnownLimits) -> None:
        self.database = database
        self.limits = limits
        self.turns = Turns()
        self._gatherer = Gatherer[str, _New](self._write)

    async def insert(self, namespace: str, jobs: Sequence[NewJob], now: int) -> None:
        """Returns when the jobs are there."""
        if jobs:
            await self._gatherer.add(namespace, [(new, now) for new in jobs])

    async def _write(self, namespace: str, given: Sequence[_New]) -> None:
        keys, now = self.database.keys(namespace), max(now for _, now in given)
        jobs = [new for new, _ in given]
        if not await insert_plain(self.database, keys, jobs, now):
            await self.database.write(keys, [insert_write(jobs, now)])


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
    insistence: Insistence = field(default_factory=Insistence)

    async def run(self, inserter: Inserter) -> Sequence[Inserted]:
        """Does it."""
        alone = not (self.parent or self.swaps or self.steps or self.room or self.edges)
        if alone and line_up(self.jobs, self.now) is None:
            if not any(has_key(new) for new in self.jobs):
                await inserter.insert(self.namespace, self.jobs, self.now)
                return [Inserted(kind=InsertKind.INSERTED, job_id=new.facts.id) for new in self.jobs]
            if (answers := await self._unlooked(inserter.database)) is not None:
                return answers
        database = inserter.database
        keys = database.keys(self.namespace)
        async with inserter.turns.taken(watched_by(keys, self.jobs, self.now, self.room)):
            answers = await database.together(keys, self._op)
        if self.room is not None and self.room.drops:
            await give_on(database, self.room.drops, self.now, inserter.limits)
        return answers

    async def within(self, session: Session) -> Sequence[Inserted]:
        """Looks at what it depends on, and adds all writes. What it answers is true once they are done."""
        if self.parent is not None:
            session.add(("held", self.parent.job_id, self.parent.fence))
        add_swaps(session, self.swaps)
        decided = await self._decided(session)
        fresh = await self.ready(session, decided.fresh)
        session.add(*await self._replacements(session, decided))
        session.add(*insertions(fresh, decided, self.now))
        if self.steps:
            adopt(
                session,
                [one.job_id for one in decided.answers if one.kind is InsertKind.INSERTED],
                self.steps,
            )
        if self.edges:
            link(session, self.edges, self.jobs, decided.answers)
        return decided.answers

    async def _op(self, session: Session) -> Sequence[Inserted]:
        answers = await self.within(session)
        await session.commit()
        return answers

    async def _unlooked(self, database: Database) -> Sequence[Inserted] | None:
        """Saves a look, as most often nobody holds the keys; None, and nothing is done, if somebody does.

        Whether the call is refused for what its own jobs have in common cannot be said without a look.
        """
        try:
            decided = plan(self.jobs, receipts={}, holders={})
            await database.write(database.keys(self.namespace), insertions(decided.fresh, decided, self.now))
        except (Again, Refused):
            return None
        return decided.answers

    async def ready(self, session: Session, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
        """The new ones of the jobs as they are to be added. Raises QueueFull."""
        if self.room is not None:
            await make_room(session, jobs, self.room)
        return await in_line(session, jobs, self.now, self.insistence)

    async def receipts(self, session: Session, keys: Sequence[str]) -> dict[str, tuple[str, str | None]]:
        """The receipts that are good: the id of the job and the digest of the body, by key."""
        return await good_receipts(session, keys, self.now)

    async def holders(self, session: Session, locks: Sequence[str]) -> dict[str, Standing]:
        """Who holds unique locks, by lock."""
        return await standing_holders(session, locks)

    async def _decided(self, session: Session) -> Plan:
        receipts = sorted({new.receipt.key for new in self.jobs if new.receipt is not None})
        locks = sorted({lock for new in self.jobs if (lock := new.placement.unique_lock) is not None})
        return plan(
            self.jobs,
            receipts=await self.receipts(session, receipts),
            holders=await self.holders(session, locks),
        )

    async def _replacements(self, session: Session, decided: Plan) -> list[Write]:
        if not decided.replaced:
            return []
        found = await jobs_by_id(session, self.namespace, [standing.id for standing, _ in decided.replaced])
        if any(
            standing.id not in found or found[standing.id].revision != standing.revision
            for standing, _ in decided.replaced
        ):
            raise Again
        return [replace_write(found[standing.id], new, self.now) for standing, new in decided.replaced]


def insert_write(jobs: Sequence[NewJob], now: int) -> Write:
    """The write that inserts jobs which depend on nothing that is there."""
    return ("insert", now, [insert_row(new) for new in jobs])


def insertions(fresh: Sequence[NewJob], decided: Plan, now: int) -> list[Write]:
    """The writes of a plan but for its replacements; refused if somebody holds a key by then."""
    latest = {one.receipt.key: one for one in decided.receipts}
    # first, so that a repeated insert is answered by its receipt, and not refused for its id
    writes: list[Write] = [
        ("receipt", key, one.job_id, one.receipt.body, one.receipt.until, now) for key, one in latest.items()
    ]
    if fresh:
        writes.append(insert_write(fresh, now))
    return writes


async def good_receipts(look: Look, keys: Sequence[str], now: int) -> dict[str, tuple[str, str | None]]:
    """The receipts that are good: the id of the job and the digest of the body, by key."""
    found: list[Any] = await look.look("receipts", *keys) if keys else []
    return {
        key: (one[0], one[1] or None)
        for key, one in zip(keys, found, strict=True)
        if one and int(one[2]) > now
    }


async def standing_holders(look: Look, locks: Sequence[str]) -> dict[str, Standing]:
    """Who holds unique locks, by lock."""
    found: list[Any] = await look.look("holders", *locks) if locks else []
    return {
        lock: Standing(id=one[0], seq=int(one[1]), revision=int(one[2]), state=one[3], type=one[4])
        for lock, one in zip(locks, found, strict=True)
        if one
    }
