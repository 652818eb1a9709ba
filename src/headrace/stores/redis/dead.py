"""Failed jobs by when they failed, and the jobs that take their places."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from headrace.core.dead import COUNTED_AT_MOST, NO_END, PERMANENT_MARK, DeadFilter, DeathCount
from headrace.core.filters import Page, dump_cursor
from headrace.core.job import Job, Transition
from headrace.stores.dead import MAX_LOOK, count_of, first_look, place_of
from headrace.stores.redis.applying import add_moves, answers_to
from headrace.stores.redis.database import Database
from headrace.stores.redis.inserting import Insertion
from headrace.stores.redis.listing import LOOK, words
from headrace.stores.redis.reading import jobs_by_id
from headrace.stores.redis.rows import jobs_of
from headrace.stores.redis.session import Look, Session
from headrace.stores.texts import possible
from headrace.stores.values import Applied, ApplyAnswer, JobPage, NewJob

_MARK: Final = json.dumps(PERMANENT_MARK)[1:-1]
"""As it stands where the text of an error is part of another JSON text."""


async def dead(at: Look, namespace: str, wanted: DeadFilter, page: Page) -> JobPage:
    """A page of dead letters, the latest death first, of a bounded number that is looked at."""
    if wanted.batch_id is not None and not possible([wanted.batch_id]):
        return JobPage(jobs=(), cursor=None)
    filters = {"types": words(wanted.types), "queues": words(wanted.queues), "batch": wanted.batch_id}
    asked = {name: one for name, one in filters.items() if one is not None}
    instant, before = place_of(wanted, page)
    found: list[Job] = []
    look, looked_at, cursor = min(first_look(page), LOOK), 0, None
    while True:
        limit = page.limit - len(found)
        here = (str(instant), str(before), wanted.died_after, look, limit, asked)
        looked, last_at, last_seq, *rows = await at.look("dead", *here)
        found += jobs_of(namespace, rows)
        looked_at += looked
        if looked < look and len(found) < page.limit:
            break
        instant, before = int(last_at), int(last_seq)
        if len(found) == page.limit or looked_at >= MAX_LOOK:
            cursor = dump_cursor(instant, before)
            break
        look = LOOK
    return JobPage(jobs=tuple(found), cursor=cursor)


async def counted(at: Look, since: int, *, dead_only: bool) -> Sequence[DeathCount]:
    """How many jobs failed for good from an instant on, by type and queue, of the latest."""
    counts: dict[tuple[str, str], DeathCount] = {}
    instant, before, left = str(NO_END), "0", COUNTED_AT_MOST
    while left:
        look = min(LOOK, left)
        looked, instant, before, *rows = await at.look(
            "dead_counts", instant, before, since, look, _MARK, dead_only
        )
        for one in map(count_of, rows):
            earlier = counts.get((one.type, one.queue))
            counts[one.type, one.queue] = one if earlier is None else sum_of(earlier, one)
        left -= looked
        if looked < look:
            break
    return [counts[key] for key in sorted(counts)]


def sum_of(late: DeathCount, early: DeathCount) -> DeathCount:
    """The count of both, of which one died later."""
    return replace(
        late,
        count=late.count + early.count,
        permanent=late.permanent + early.permanent,
        first_at=min(late.first_at, early.first_at),
        last_id=max(late.last_id, early.last_id) if late.last_at == early.last_at else late.last_id,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """A job that takes the place of a dead letter, and what becomes of that."""

    insertion: Insertion
    transition: Transition
    now: int

    async def within(self, session: Session) -> ApplyAnswer:
        """Commits both, or nothing. Raises Again if another one was in the way."""
        seen = self.transition.job
        current = (await jobs_by_id(session, session.namespace, [seen.id])).get(seen.id)
        if current is None or (current.fence, current.revision) != (seen.fence, seen.revision):
            (answer,) = await answers_to(session, session.namespace, [self.transition], [0])
            return answer
        session.add(("unchanged", seen.id, seen.revision))
        await add_moves(session, [self.transition], self.now)
        await self.insertion.within(session)
        await session.commit()
        return Applied()


class KeepsDeadLetters:
    """Keeps ``headrace.stores.dead.DeadLetterStore``, as part of the store."""

    _database: Database

    async def dead(self, namespace: str, wanted: DeadFilter, page: Page) -> JobPage:
        return await dead(self._database.at(self._database.keys(namespace)), namespace, wanted, page)

    async def dead_counts(self, namespace: str) -> Sequence[DeathCount]:
        return await counted(self._database.at(self._database.keys(namespace)), 0, dead_only=True)

    async def deaths_since(self, namespace: str, at: int) -> Sequence[DeathCount]:
        return await counted(self._database.at(self._database.keys(namespace)), at, dead_only=False)

    async def stand_in(self, namespace: str, job: NewJob, transition: Transition, *, now: int) -> ApplyAnswer:
        insertion = Insertion(namespace=namespace, jobs=(job,), now=now)
        op = StandIn(insertion=insertion, transition=transition, now=now)
        return await self._database.together(self._database.keys(namespace), op.within)
