"""The apply op: guarded transitions, an answer for each."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any, Final

from headrace.core.history import append
from headrace.core.job import Job, Transition
from headrace.errors import StoreError
from headrace.stores.gating import freed_in, some_may_free
from headrace.stores.known_limits import KnownLimits
from headrace.stores.redis import lanes, registers
from headrace.stores.redis.database import Database
from headrace.stores.redis.finishing import finish, is_plain
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.reading import jobs_by_id, pages, trails
from headrace.stores.redis.rows import move_write
from headrace.stores.redis.session import Look, Session, Write, answers_of, writes_text
from headrace.stores.refusals import refusal
from headrace.stores.values import Applied, ApplyAnswer, Conflict, Swap

AT_ONCE: Final = 100
"""So many jobs a script: a larger one would keep the server busy for too long."""

_APPLIED: Final = Applied()


@dataclass(frozen=True, slots=True)
class Application:
    """Transitions to write, and swaps of their namespace.

    What they free at the instant ``now`` is given on.
    """

    transitions: Sequence[Transition]
    now: int
    swaps: Sequence[Swap] = ()
    limits: KnownLimits = field(default_factory=KnownLimits)

    async def run(self, database: Database) -> Sequence[ApplyAnswer]:
        """Writes them. Raises StaleRegister, and then nothing is written."""
        answers: list[ApplyAnswer] = []
        swaps = self.swaps
        for namespace, group in groupby(self.transitions, key=lambda one: one.job.facts.namespace):
            answers += await self._of_namespace(database, namespace, list(group), swaps)
            swaps = ()
        return answers

    async def _of_namespace(
        self, database: Database, namespace: str, transitions: Sequence[Transition], swaps: Sequence[Swap]
    ) -> list[ApplyAnswer]:
        keys = database.keys(namespace)
        said: dict[int, Any] = {}
        for indexes in _rounds(transitions):
            some = [transitions[index] for index in indexes]
            if swaps:
                answers = await database.together(keys, partial(self._swapped, some, swaps))
                swaps = ()
            else:
                answers = await self._written(database, keys, some)
            said |= zip(indexes, answers, strict=True)
        return await self._told(database, namespace, transitions, [said[n] for n in range(len(transitions))])

    async def _swapped(
        self, transitions: Sequence[Transition], swaps: Sequence[Swap], session: Session
    ) -> Sequence[Any]:
        registers.add_swaps(session, swaps)
        await add_moves(session, transitions, self.now)
        return (await session.commit())[-len(transitions) :]

    async def _written(
        self, database: Database, keys: Keys, transitions: Sequence[Transition]
    ) -> Sequence[Any]:
        if not is_plain(transitions):
            return await self._moved(database, keys, transitions)
        said: list[Any] = [1] * len(transitions)
        left = await finish(database, keys, transitions, at_once=AT_ONCE)
        if left:
            moved = await self._moved(database, keys, [transitions[index] for index in left])
            for index, answer in zip(left, moved, strict=True):
                said[index] = answer
        return said

    async def _moved(
        self, database: Database, keys: Keys, transitions: Sequence[Transition]
    ) -> Sequence[Any]:
        writes = await moves(database.at(keys), transitions, self.now)
        texts = [(writes_text(page),) for page in pages(writes, AT_ONCE)]
        return [one for reply in await database.runs(keys, "commit", texts) for one in answers_of(reply)]

    async def _told(
        self, database: Database, namespace: str, transitions: Sequence[Transition], said: Sequence[Any]
    ) -> list[ApplyAnswer]:
        answers = await answers_to(database.at(database.keys(namespace)), namespace, transitions, said)
        if some_may_free(transitions):
            written = [one for one, answer in zip(transitions, answers, strict=True) if answer is _APPLIED]
            await give_on(database, written, self.now, self.limits)
        database.whereabouts.forget(one.job.id for one in transitions if one.placement.lease_until is None)
        return answers


def _rounds(transitions: Sequence[Transition]) -> Sequence[Sequence[int]]:
    """Indexes of transitions, the second one of a job in a later round: its trail may be longer by then."""
    if len({one.job.seq for one in transitions}) == len(transitions):
        return [range(len(transitions))]
    rounds: list[list[int]] = []
    met: dict[int, int] = {}
    for index, one in enumerate(transitions):
        number = met.get(one.job.seq, 0)
        met[one.job.seq] = number + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(index)
    return rounds


async def give_on(database: Database, written: Sequence[Transition], now: int, limits: KnownLimits) -> None:
    """Brings back who waits for what these transitions freed.

    They are written, whatever happens here: who is not brought back now comes back by the sweep.
    """
    with suppress(StoreError):
        for namespace, freed in freed_in(written).items():
            await lanes.free(database, namespace, freed, now, limits)


async def add_moves(session: Session, transitions: Sequence[Transition], now: int) -> None:
    """Adds the writes of transitions; the answers to them are 1, 0, or the id of who holds the unique key."""
    session.add(*await moves(session, transitions, now))


async def moves(look: Look, transitions: Sequence[Transition], now: int) -> list[Write]:
    """The writes of transitions, no two of one job. Where it has had attempts before, its trail is looked at.

    It need not be watched: where it has changed since, the revision has too, and the write is refused.
    """
    longer = [one.job.id for one in transitions if one.attempt is not None and _has_trail(one.job)]
    known: Mapping[str, str | None] = await trails(look, longer) if longer else {}
    return [
        move_write(one, now, None if one.attempt is None else append(known.get(one.job.id), one.attempt))
        for one in transitions
    ]


async def answers_to(
    look: Look, namespace: str, transitions: Sequence[Transition], said: Sequence[Any]
) -> list[ApplyAnswer]:
    """What is answered, by what the commit said, and by what the jobs are now that it refused to move."""
    if all(one == 1 for one in said):
        return [_APPLIED] * len(transitions)
    ids = [one.job.id for one, answer in zip(transitions, said, strict=True) if answer == 0]
    current = await jobs_by_id(look, namespace, ids)
    known = await trails(look, ids)
    return [_answer(one, answer, current, known) for one, answer in zip(transitions, said, strict=True)]


def _answer(
    transition: Transition,
    said: str | int,
    current: Mapping[str, Job],
    known: Mapping[str, str | None],
) -> ApplyAnswer:
    if said == 1:
        return _APPLIED
    if said != 0:
        return Conflict(str(said))
    job_id = transition.job.id
    return refusal(transition, current.get(job_id), known.get(job_id))


def _has_trail(job: Job) -> bool:
    placement = job.placement
    return placement.starts > 1 or placement.generation > 1
