"""Failed jobs by when they failed, and the jobs that take their places."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.core.dead import COUNTED_AT_MOST, PERMANENT_MARK, DeadFilter, DeathCount
from headrace.core.filters import Page, dump_cursor
from headrace.core.job import Transition
from headrace.stores.dead import LOOK_FACTOR, MAX_LOOK, count_of, first_look, place_of
from headrace.stores.postgres.applying import Application
from headrace.stores.postgres.database import Database
from headrace.stores.postgres.inserting import Insertion
from headrace.stores.postgres.reading import jobs_by_seq
from headrace.stores.postgres.session import Session
from headrace.stores.texts import possible
from headrace.stores.values import Applied, ApplyAnswer, JobPage, NewJob


async def dead(session: Session, namespace: str, wanted: DeadFilter, page: Page) -> JobPage:
    """A page of dead letters, the latest death first, of a bounded number that is looked at."""
    if wanted.batch_id is not None and not possible([wanted.batch_id]):
        return JobPage(jobs=(), cursor=None)
    at, before = place_of(wanted, page)
    words = (_words(wanted.types), _words(wanted.queues), wanted.batch_id)
    seqs: list[int] = []
    look, cursor = first_look(page), None
    while True:
        here = (at, before, wanted.died_after, look, page.limit - len(seqs))
        ((found, looked, last_at, last_seq),) = await session.rows("dead_walk", namespace, *here, *words)
        seqs += found
        if looked < look or len(seqs) == page.limit:
            break
        at, before = last_at, last_seq
        if look == MAX_LOOK:
            cursor = dump_cursor(at, before)
            break
        look = min(look * LOOK_FACTOR, MAX_LOOK)
    jobs = await jobs_by_seq(session, seqs)
    letters = tuple(jobs[seq] for seq in seqs)
    if len(letters) == page.limit:
        cursor = dump_cursor(letters[-1].placement.ended_at or 0, letters[-1].seq)
    return JobPage(jobs=letters, cursor=cursor)


async def dead_counts(session: Session, namespace: str) -> Sequence[DeathCount]:
    """How many dead letters there are of each type and queue."""
    found = await session.rows("dead_counts", namespace, PERMANENT_MARK, COUNTED_AT_MOST)
    return [count_of(row) for row in found]


async def deaths_since(session: Session, namespace: str, at: int) -> Sequence[DeathCount]:
    """How many jobs failed for good from an instant on."""
    found = await session.rows("deaths_since", namespace, PERMANENT_MARK, COUNTED_AT_MOST, at)
    return [count_of(row) for row in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """A job that takes the place of a dead letter, and what becomes of that."""

    insertion: Insertion
    transition: Transition

    async def within(self, session: Session) -> ApplyAnswer:
        """Writes both inside a transaction, or nothing. Raises Again if another one was in the way."""
        (answer,) = await Application((self.transition,)).within(session)
        if isinstance(answer, Applied):
            await self.insertion.within(session)
        return answer


def _words(wanted: frozenset[str]) -> list[str] | None:
    return possible(sorted(wanted)) if wanted else None


class KeepsDeadLetters:
    """Keeps ``headrace.stores.dead.DeadLetterStore``, as part of the store."""

    _database: Database

    async def dead(self, namespace: str, wanted: DeadFilter, page: Page) -> JobPage:
        return await self._database.snapshot(lambda session: dead(session, namespace, wanted, page))

    async def dead_counts(self, namespace: str) -> Sequence[DeathCount]:
        return await self._database.read(lambda session: dead_counts(session, namespace))

    async def deaths_since(self, namespace: str, at: int) -> Sequence[DeathCount]:
        return await self._database.read(lambda session: deaths_since(session, namespace, at))

    async def stand_in(self, namespace: str, job: NewJob, transition: Transition, *, now: int) -> ApplyAnswer:
        insertion = Insertion(namespace=namespace, jobs=(job,), now=now)
        op = StandIn(insertion=insertion, transition=transition)
        try:
            return await self._database.together(op.within)
        finally:
            self._inserted((job,))

    @abstractmethod
    def _inserted(self, jobs: Sequence[NewJob]) -> None:
        """Notes that jobs were inserted, or may have been."""
