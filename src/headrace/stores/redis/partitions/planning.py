"""What an insertion comes to in each partition, as things are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.core.flow import Edge, standing
from headrace.errors import InvalidInput, LeaseLost
from headrace.stores.keyed import Plan, has_key, plan
from headrace.stores.keyed import Standing as Holding
from headrace.stores.lining import Room
from headrace.stores.redis.inserting import (
    Insertion,
    good_receipts,
    insert_write,
    insertions,
    standing_holders,
)
from headrace.stores.redis.partitions.intents import Duty
from headrace.stores.redis.partitions.parts import Parts, gathered
from headrace.stores.redis.reading import jobs_by_id
from headrace.stores.redis.rows import replace_write
from headrace.stores.redis.session import Session, Write, writes_text
from headrace.stores.redis.stepping import step_values
from headrace.stores.values import Holder, Inserted, InsertKind, NewJob, Swap


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one call inserts."""

    namespace: str
    jobs: Sequence[NewJob]
    now: int
    parent: Holder | None = None
    swaps: Sequence[Swap] = ()
    edges: Sequence[Edge] = ()
    steps: Sequence[Any] = field(default_factory=tuple[Any, ...])
    room: Room | None = None


def placed(wish: Wish, jobs: Sequence[NewJob], parent: Holder | None) -> "Placed":
    """The insertion of those of the jobs that belong to one partition."""
    return Placed(
        namespace=wish.namespace,
        jobs=jobs,
        now=wish.now,
        parent=parent,
        swaps=wish.swaps,
        steps=wish.steps,
        edges=wish.edges,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed(Insertion):
    """An insertion of jobs that have been put in line, for which there is room."""

    async def ready(self, session: Session, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
        del session
        return jobs


@dataclass(frozen=True, slots=True)
class Planned:
    """What becomes of the jobs of one partition, and how those are written that it replaces."""

    plan: Plan
    replacements: Sequence[Write] = ()

    def writes(self, wish: Wish) -> list[Write]:
        """What the partition owes."""
        writes = [*self.replacements, *insertions(self.plan.fresh, self.plan, wish.now)]
        ids = [one.job_id for one in self.plan.answers if one.kind is InsertKind.INSERTED]
        if wish.steps and ids:
            writes.append(("adopt", ids, step_values(wish.steps)))
        return writes


class Planning:
    """Looks at partitions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def planned(self, wish: Wish, places: Sequence[int]) -> dict[int, Planned]:
        """What becomes of the jobs of each partition. Raises DuplicateJob, IdempotencyMismatch."""
        numbers = sorted({*places})
        plans = await gathered(
            self._plan(
                wish, number, [new for new, place in zip(wish.jobs, places, strict=True) if place == number]
            )
            for number in numbers
        )
        return dict(zip(numbers, plans, strict=True))

    async def _plan(self, wish: Wish, number: int, jobs: Sequence[NewJob]) -> Planned:
        receipts: dict[str, tuple[str, str | None]] = {}
        holders: dict[str, Holding] = {}
        database = self._parts.database(number)
        look = database.at(database.keys(wish.namespace))
        if any(map(has_key, jobs)):
            keys = sorted({new.receipt.key for new in jobs if new.receipt is not None})
            locks = sorted({lock for new in jobs if (lock := new.placement.unique_lock) is not None})
            receipts, holders = await good_receipts(look, keys, wish.now), await standing_holders(look, locks)
        decided = plan(jobs, receipts=receipts, holders=holders)
        if not decided.replaced:
            return Planned(decided)
        found = await jobs_by_id(look, wish.namespace, [standing.id for standing, _ in decided.replaced])
        return Planned(
            decided,
            [
                replace_write(found[standing.id], new, wish.now)
                for standing, new in decided.replaced
                if standing.id in found
            ],
        )

    async def refuse(self, wish: Wish, places: Sequence[int]) -> None:
        """Raises what any of the partitions would refuse, while nothing is written yet."""
        try:
            writes_text([insert_write(wish.jobs, wish.now)]).encode()
        except UnicodeError as error:
            raise InvalidInput(f"a value cannot be kept: {error}") from error
        if any(map(has_key, wish.jobs)):
            await self.planned(wish, places)

    async def refuse_lost(self, namespace: str, number: int, holder: Holder) -> None:
        """Raises LeaseLost for a parent in another partition than what it decides: looked at just before."""
        found = await self._parts.store(number).get(namespace, (holder.job_id,))
        job = found.get(holder.job_id)
        if job is None or job.fence != holder.fence or job.placement.lease_until is None:
            raise LeaseLost(holder.job_id, holder.fence)

    async def looked_up(self, namespace: str, number: int, planned: Plan) -> list[Inserted]:
        """What became of jobs that another process inserted, or that found their keys taken."""
        ids = [one.job_id for one in planned.answers]
        there = await self._parts.store(number).get(namespace, ids)
        locks = {new.facts.id: new.placement.unique_lock for new in planned.fresh}
        found: list[Inserted] = []
        for one in planned.answers:
            lock = locks.get(one.job_id)
            if one.job_id in there or lock is None:
                found.append(one)
                continue
            database = self._parts.database(number)
            holder = await database.call("GET", database.keys(namespace).lock(lock))
            found.append(Inserted(kind=InsertKind.EXISTING, job_id=holder or one.job_id))
        return found


def edges_of(
    wish: Wish,
    places: Sequence[int],
    planned: Mapping[int, Planned],
    outside: Mapping[int, Sequence[str]],
) -> list[Duty]:
    """Who waits for whom: first who is waited for is told so, then who waits."""
    if not wish.edges:
        return []
    left = {number: iter(one.plan.answers) for number, one in planned.items()}
    answers = [next(left[place]) for place in places]
    stand_ins = {new.facts.id: one.job_id for new, one in zip(wish.jobs, answers, strict=True)}
    inserted = {one.job_id for one in answers if one.kind is InsertKind.INSERTED}
    where = {job_id: number for number, some in outside.items() for job_id in some}
    where |= {one.job_id: place for one, place in zip(answers, places, strict=True)}
    waiting: dict[int, dict[str, list[tuple[int, str, str]]]] = {}
    marked: dict[int, dict[str, None]] = {}
    for edge in standing(wish.edges, stand_ins, inserted):
        of_child = waiting.setdefault(where[edge.child], {}).setdefault(edge.child, [])
        of_child.append((edge.number, edge.parent, edge.on_parent_failure.value))
        marked.setdefault(where[edge.parent], {})[edge.parent] = None
    return [
        *(Duty(partition=n, writes=[("waited_on", list(ids))]) for n, ids in sorted(marked.items())),
        *(Duty(partition=n, writes=[("await", list(some.items()))]) for n, some in sorted(waiting.items())),
    ]
