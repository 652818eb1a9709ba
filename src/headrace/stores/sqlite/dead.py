"""Failed jobs by when they failed, and the jobs that take their places."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from headrace.core.dead import COUNTED_AT_MOST, PERMANENT_MARK, DeadFilter, DeathCount
from headrace.core.filters import Page, dump_cursor
from headrace.core.job import Transition
from headrace.stores.dead import LOOK_FACTOR, MAX_LOOK, count_of, first_look, place_of
from headrace.stores.sqlite.applying import Application
from headrace.stores.sqlite.database import Database
from headrace.stores.sqlite.inserting import Insertion
from headrace.stores.sqlite.reading import jobs_by_seq
from headrace.stores.sqlite.statements import first, queries, rows
from headrace.stores.sqlite.transaction import Write
from headrace.stores.texts import possible
from headrace.stores.values import Applied, ApplyAnswer, JobPage, NewJob

_SQL = queries("dead")


def dead(db: apsw.Connection, namespace: str, wanted: DeadFilter, page: Page) -> JobPage:
    """A page of dead letters, the latest death first, of a bounded number that is looked at."""
    if wanted.batch_id is not None and not possible([wanted.batch_id]):
        return JobPage(jobs=(), cursor=None)
    at, before = place_of(wanted, page)
    given: dict[str, Any] = {
        "namespace": namespace,
        "since": wanted.died_after,
        "types": _json(wanted.types),
        "queues": _json(wanted.queues),
        "batch_id": wanted.batch_id,
    }
    seqs: list[int] = []
    look, cursor = first_look(page), None
    while True:
        here = {"at": at, "before": before, "look": look, "limit": page.limit - len(seqs)}
        text, looked, last_at, last_seq = first(db, _SQL["dead_walk"], given | here) or ("[]", 0, 0, 0)
        seqs += json.loads(text)
        if looked < look or len(seqs) == page.limit:
            break
        at, before = last_at, last_seq
        if look == MAX_LOOK:
            cursor = dump_cursor(at, before)
            break
        look = min(look * LOOK_FACTOR, MAX_LOOK)
    jobs = jobs_by_seq(db, seqs)
    found = tuple(jobs[seq] for seq in seqs)
    if len(found) == page.limit:
        cursor = dump_cursor(found[-1].placement.ended_at or 0, found[-1].seq)
    return JobPage(jobs=found, cursor=cursor)


def dead_counts(db: apsw.Connection, namespace: str) -> Sequence[DeathCount]:
    """How many dead letters there are of each type and queue."""
    return _counted(db, "dead_counts", {"namespace": namespace})


def deaths_since(db: apsw.Connection, namespace: str, at: int) -> Sequence[DeathCount]:
    """How many jobs failed for good from an instant on."""
    return _counted(db, "deaths_since", {"namespace": namespace, "since": at})


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """A job that takes the place of a dead letter, and what becomes of that."""

    insertion: Insertion
    transition: Transition

    def __call__(self, write: Write) -> ApplyAnswer:
        """Writes both, inside a write transaction, or nothing."""
        (answer,) = Application((self.transition,))(write)
        if isinstance(answer, Applied):
            self.insertion(write)
        return answer


def _counted(db: apsw.Connection, query: str, given: dict[str, object]) -> Sequence[DeathCount]:
    found = rows(db, _SQL[query], given | {"permanent": PERMANENT_MARK, "limit": COUNTED_AT_MOST})
    return [count_of(row) for row in found]


def _json(words: frozenset[str]) -> str | None:
    return json.dumps(sorted(words)) if words else None


class KeepsDeadLetters:
    """Keeps ``headrace.stores.dead.DeadLetterStore``, as part of the store."""

    _database: Database

    async def dead(self, namespace: str, wanted: DeadFilter, page: Page) -> JobPage:
        return await self._database.read(lambda db: dead(db, namespace, wanted, page))

    async def dead_counts(self, namespace: str) -> Sequence[DeathCount]:
        return await self._database.read(lambda db: dead_counts(db, namespace))

    async def deaths_since(self, namespace: str, at: int) -> Sequence[DeathCount]:
        return await self._database.read(lambda db: deaths_since(db, namespace, at))

    async def stand_in(self, namespace: str, job: NewJob, transition: Transition, *, now: int) -> ApplyAnswer:
        insertion = Insertion(namespace=namespace, jobs=(job,), now=now)
        return await self._database.write(StandIn(insertion=insertion, transition=transition))
