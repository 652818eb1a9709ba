"""Transitions of jobs in several partitions: a job's seq tells in which it is."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from headrace.core.job import Transition
from headrace.stores.gating import freed_in, some_may_free
from headrace.stores.redis.applying import add_moves, answers_to, moves
from headrace.stores.redis.partitions.circulating import Circulation
from headrace.stores.redis.partitions.intents import Duty, Intents, intent_of
from headrace.stores.redis.partitions.parts import Parts, gathered
from headrace.stores.redis.partitions.places import HOME, partition_of
from headrace.stores.redis.partitions.sharing import is_shared
from headrace.stores.redis.registers import add_swaps
from headrace.stores.redis.session import Session
from headrace.stores.values import Applied, ApplyAnswer, Stale, Swap


class Applying:
    """Writes transitions."""

    def __init__(self, parts: Parts, intents: Intents) -> None:
        self._parts = parts
        self._intents = intents
        self._circulation = Circulation(parts, intents)

    async def apply(
        self, transitions: Sequence[Transition], *, now: int, swaps: Sequence[Swap] = ()
    ) -> Sequence[ApplyAnswer]:
        """An answer for each. Swaps are decided in the home, which owes the transitions to the others."""
        by_place: dict[int, list[int]] = {}
        for index, one in enumerate(transitions):
            by_place.setdefault(partition_of(one.job), []).append(index)
        if not swaps or set(by_place) <= {HOME}:
            told = await gathered(
                self._parts.store(number).apply(
                    [transitions[index] for index in indexes], now=now, swaps=swaps
                )
                for number, indexes in by_place.items()
            )
        else:
            told = await self._with_swaps(transitions, by_place, now, swaps)
        answers = {
            index: answer
            for indexes, some in zip(by_place.values(), told, strict=True)
            for index, answer in zip(indexes, some, strict=True)
        }
        told_all = [answers[index] for index in range(len(transitions))]
        await self._give_on(transitions, told_all, now)
        return told_all

    async def _give_on(
        self, transitions: Sequence[Transition], answers: Sequence[ApplyAnswer], now: int
    ) -> None:
        """Lets other partitions have what these transitions freed of limits, if jobs wait for it there."""
        if not some_may_free(transitions):
            return
        written = [
            one for one, answer in zip(transitions, answers, strict=True) if isinstance(answer, Applied)
        ]
        for namespace, freed in freed_in(written).items():
            lanes = sorted({lane for one in freed.values() for lane in one.slots if is_shared(lane)})
            if lanes:
                await self._circulation.bring(namespace, lanes, now)

    async def _with_swaps(
        self,
        transitions: Sequence[Transition],
        by_place: dict[int, list[int]],
        now: int,
        swaps: Sequence[Swap],
    ) -> list[Sequence[ApplyAnswer]]:
        namespace = transitions[0].job.facts.namespace
        groups = {number: [transitions[index] for index in indexes] for number, indexes in by_place.items()}
        duties = [
            Duty(partition=number, writes=await moves(self._parts.reader(number, namespace), group, now))
            for number, group in groups.items()
            if number != HOME
        ]
        intent = intent_of(transitions[0].job.id, f"{swaps[0].key} {swaps[0].revision}", now, duties)
        home = self._parts.home_database

        async def op(session: Session) -> list[Any]:
            add_swaps(session, swaps)
            await add_moves(session, groups.get(HOME, ()), now)
            session.add(intent.write)
            return (await session.commit())[1:-1]

        said = {HOME: await home.together(home.keys(namespace), op)}
        for duty, answers in zip(duties, await self._intents.fulfil(namespace, HOME, intent), strict=True):
            said[duty.partition] = answers or [0] * len(groups[duty.partition])
        return [
            await self._answers(namespace, number, group, said[number]) for number, group in groups.items()
        ]

    async def _answers(
        self, namespace: str, number: int, group: Sequence[Transition], said: Sequence[Any]
    ) -> Sequence[ApplyAnswer]:
        answers = await answers_to(self._parts.reader(number, namespace), namespace, group, said)
        return [
            Applied() if isinstance(answer, Stale) and _was_written(one, answer) else answer
            for one, answer in zip(group, answers, strict=True)
        ]


def _was_written(transition: Transition, stale: Stale) -> bool:
    """Whether another process has done just this: it found it owed."""
    seen, job = transition.job, stale.job
    return (
        job.fence == seen.fence
        and job.revision == seen.revision + 1
        and job.placement == replace(transition.placement, lease_until=job.placement.lease_until)
    )
