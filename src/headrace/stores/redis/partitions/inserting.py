"""Inserts into queues that are spread over partitions.

Jobs of one partition that depend on nothing elsewhere are one op there, as ever. What hangs together across
partitions is decided in one of them, and owed to the others: see ``intents``. Bulk inserts that hang together
by nothing are one op in each partition, in the order of these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from headrace.core.job import Transition
from headrace.errors import JobNotFound, OutcomeUnknown, StaleRegister, StoreUnavailable
from headrace.stores.redis.dead import StandIn
from headrace.stores.redis.partitions.intents import Duty, Intents, intent_of
from headrace.stores.redis.partitions.lines import PutInLine
from headrace.stores.redis.partitions.parts import Parts
from headrace.stores.redis.partitions.places import HOME, hashed, key_of, partition_of
from headrace.stores.redis.partitions.planning import Planning, Wish, edges_of, placed
from headrace.stores.redis.partitions.room import make_room
from headrace.stores.redis.partitions.ticks import Ticks
from headrace.stores.redis.session import Session
from headrace.stores.values import Applied, ApplyAnswer, Inserted, InsertKind, NewJob

_TRIES: Final = 30
_MANY: Final = 2**32


class Inserting:
    """Inserts for one process."""

    def __init__(self, parts: Parts, intents: Intents, lines: PutInLine) -> None:
        self._parts = parts
        self._intents = intents
        self._lines = lines
        self.ticks: Final = Ticks()
        self._planning = Planning(parts)

    async def insert(self, wish: Wish) -> Sequence[Inserted]:
        """Does it. Raises what ``JobStore.insert`` raises."""
        counts = await self._parts.counts.keep(wish.namespace, [new.facts.queue for new in wish.jobs])
        parent = HOME if wish.parent is None else await self._partition_of(wish.namespace, wish.parent.job_id)
        if not parent and all(counts[new.facts.queue] == 1 for new in wish.jobs):
            parents = {edge.parent for edge in wish.edges}
            if not parents or set(await self._outside(wish, parents)) <= {HOME}:
                return await self._native(wish)
        places = await self._places(wish, counts, parent)
        wish = replace(wish, jobs=self.ticks.on(wish.jobs, wish.now))
        for _ in range(_TRIES):
            lined, lines = await self._lines.tagged(wish.namespace, wish.jobs, wish.now)
            if wish.room is not None:
                if wish.parent is not None:
                    await self._planning.refuse_lost(wish.namespace, parent, wish.parent)
                planned = (await self._planning.planned(wish, places)).values()
                fresh = [new for one in planned for new in one.plan.fresh]
                await make_room(self._parts, wish.namespace, fresh, wish.room)
            try:
                done = replace(wish, jobs=lined, swaps=(*wish.swaps, *lines), room=None)
                return await self._insert(done, places, parent)
            except StaleRegister as stale:
                if stale.key not in {one.key for one in lines}:
                    raise
        raise StoreUnavailable("the line of a fair queue changes too fast; try again")

    async def _insert(self, wish: Wish, places: Sequence[int], parent: int) -> Sequence[Inserted]:
        numbers = sorted({*places})
        outside = await self._outside(wish, {edge.parent for edge in wish.edges})
        touched = {*numbers, *outside, *([HOME] if wish.swaps else []), *([parent] if wish.parent else [])}
        if len(touched) == 1:
            return await self._as_one(touched.pop(), wish)
        await self._planning.refuse(wish, places)
        if wish.swaps or wish.parent or wish.edges:
            return await self._across(wish, places, parent, outside)
        answers: dict[int, Inserted] = {}
        for number in numbers:
            indexes = [index for index, place in enumerate(places) if place == number]
            some = replace(wish, jobs=[wish.jobs[index] for index in indexes])
            try:
                answers |= zip(indexes, await self._as_one(number, some), strict=True)
            except StoreUnavailable as error:
                if not answers:
                    raise
                raise OutcomeUnknown(f"only some of the jobs were inserted: {error}") from error
        return [answers[index] for index in range(len(wish.jobs))]

    async def _native(self, wish: Wish) -> Sequence[Inserted]:
        """As the store of the home does it, where nothing of it is spread."""
        return await self._parts.home.insert(
            wish.namespace,
            wish.jobs,
            now=wish.now,
            parent=wish.parent,
            swaps=wish.swaps,
            steps=wish.steps,
            edges=wish.edges,
            room=wish.room,
        )

    async def _as_one(self, number: int, wish: Wish) -> Sequence[Inserted]:
        answers = await placed(wish, wish.jobs, wish.parent).run(self._parts.inserter(number))
        self._learn(number, answers)
        return answers

    def _learn(self, number: int, answers: Sequence[Inserted]) -> None:
        self._parts.learn_places((one.job_id, number) for one in answers if one.kind is InsertKind.INSERTED)

    async def stand_in(self, namespace: str, job: NewJob, transition: Transition, *, now: int) -> ApplyAnswer:
        """The dead letter's partition decides, and owes the job that takes its place to another."""
        wish = Wish(namespace=namespace, jobs=(job,), now=now)
        counts = await self._parts.counts.keep(namespace, (job.facts.queue,))
        here, count = partition_of(transition.job), counts[job.facts.queue]
        place = _place(job, key_of(job) if count > 1 else None, count, here)
        database = self._parts.database(here)
        if place == here:
            insertion = placed(wish, wish.jobs, None)
            op = StandIn(insertion=insertion, transition=transition, now=now)
            return await database.together(database.keys(namespace), op.within)
        planned = (await self._planning.planned(wish, (place,)))[place]
        duty = Duty(partition=place, writes=planned.writes(wish))
        intent = intent_of(job.facts.id, transition.job.revision, now, (duty,))
        nothing = placed(replace(wish, jobs=()), (), None)

        async def op_and_intent(session: Session) -> ApplyAnswer:
            session.add(intent.write)
            return await StandIn(insertion=nothing, transition=transition, now=now).within(session)

        answer = await database.together(database.keys(namespace), op_and_intent)
        if isinstance(answer, Applied):
            await self._intents.fulfil(namespace, here, intent)
        return answer

    # -------------------------------------------------------- places

    async def _places(self, wish: Wish, counts: Mapping[str, int], parent: int) -> list[int]:
        keys = [key_of(new) if counts[new.facts.queue] > 1 else None for new in wish.jobs]
        together = await self._together(wish, parent) if wish.jobs else 0
        return [
            _place(new, key, counts[new.facts.queue], together)
            for new, key in zip(wish.jobs, keys, strict=True)
        ]

    async def _together(self, wish: Wish, parent: int) -> int | None:
        """Where jobs without keys go that hang together with something; None: each for itself."""
        if wish.swaps:
            return HOME
        if wish.edges:
            outside = await self._outside(wish, {edge.parent for edge in wish.edges})
            return min(outside) if outside else hashed(wish.jobs[0].facts.id, _MANY)
        return parent if wish.parent is not None else None

    async def _partition_of(self, namespace: str, job_id: str) -> int:
        return next(iter(await self._parts.where(namespace, (job_id,))), HOME)

    async def _outside(self, wish: Wish, parents: set[str]) -> Mapping[int, list[str]]:
        """The parents that are there already, by partition. Raises JobNotFound."""
        others = sorted(parents - {new.facts.id for new in wish.jobs})
        if not others:
            return {}
        found = await self._parts.where(wish.namespace, others)
        there = {job_id for some in found.values() for job_id in some}
        for job_id in others:
            if job_id not in there:
                raise JobNotFound(job_id)
        return found

    # -------------------------------------------------------- across partitions

    async def _across(
        self, wish: Wish, places: Sequence[int], parent: int, outside: Mapping[int, Sequence[str]]
    ) -> Sequence[Inserted]:
        """Decides in one partition, in that of the registers where there are swaps, and owes the rest."""
        first = HOME if wish.swaps else parent if wish.parent else min({*places, *outside})
        if wish.parent is not None and parent != first:
            await self._planning.refuse_lost(wish.namespace, parent, wish.parent)
        planned = await self._planning.planned(wish, places)
        elsewhere = {number: one for number, one in planned.items() if number != first}
        inserts = [Duty(partition=number, writes=one.writes(wish)) for number, one in elsewhere.items()]
        duties = [*inserts, *edges_of(wish, places, planned, outside)]
        name = wish.jobs[0].facts.id if wish.jobs else wish.parent.job_id if wish.parent else ""
        swapped = next((f"{one.key} {one.revision}" for one in wish.swaps), "")
        intent = intent_of(name, swapped, wish.now, duties)
        here = [new for new, place in zip(wish.jobs, places, strict=True) if place == first]
        own = placed(replace(wish, edges=()), here, wish.parent if parent == first else None)
        database = self._parts.database(first)

        async def op(session: Session) -> Sequence[Inserted]:
            decided = await own.within(session)
            if duties:
                session.add(intent.write)
            await session.commit()
            return decided

        answers = {first: await database.together(database.keys(wish.namespace), op)}
        told = await self._intents.fulfil(wish.namespace, first, intent) if duties else []
        for (number, one), said in zip(elsewhere.items(), told, strict=False):
            answers[number] = (
                one.plan.answers if said else await self._planning.looked_up(wish.namespace, number, one.plan)
            )
        for number, some in answers.items():
            self._learn(number, some)
        left = {number: iter(some) for number, some in answers.items()}
        return [next(left[place]) for place in places]


def place_of(new: NewJob, count: int) -> int:
    """Where a job is that hangs together with nothing, among so many partitions. Raises InvalidInput."""
    return _place(new, key_of(new) if count > 1 else None, count, None)


def _place(new: NewJob, key: str | None, count: int, together: int | None) -> int:
    if count == 1:
        return HOME
    if key is not None:
        return hashed(key, count)
    return hashed(new.facts.id, count) if together is None else together % count
