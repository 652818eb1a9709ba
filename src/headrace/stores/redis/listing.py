"""Listings, newest first: one walk down all the indexes that fit the filter.

A walk looks at a bounded number of jobs, so that a filter that hardly anything fits costs a
bounded time; what was looked at is behind the cursor, also where nothing was found.
"""

from collections.abc import Mapping
from typing import Final

from headrace.core.filters import JobFilter, Page, dump_cursor, load_cursor
from headrace.core.job import Job
from headrace.core.states import LIVE, TERMINAL, State
from headrace.stores.redis.database import Database
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.rows import jobs_of
from headrace.stores.redis.session import Look
from headrace.stores.texts import possible
from headrace.stores.values import JobPage

FIRST_LOOK: Final = 200
LOOK: Final = 500
MAX_LOOK: Final = 20_000
_NEWEST: Final = 2**63 - 1


async def find(at: Look, namespace: str, wanted: JobFilter, page: Page) -> JobPage:
    """A page of jobs. It may hold fewer than asked for, or none, and still have a cursor."""
    (start,) = (_NEWEST,) if page.before is None else load_cursor(page.before, (int,))
    before = int(start)
    asked = _asked(at.keys, wanted)
    found: list[Job] = []
    look, looked_at = FIRST_LOOK, 0
    while before and looked_at < MAX_LOOK and len(found) < page.limit:
        limit = page.limit - len(found)
        looked, lowest, *rows = await at.look("find", str(before), look, limit, asked)
        found += jobs_of(namespace, rows)
        before = int(lowest) if looked == look or len(rows) == limit else 0
        looked_at, look = looked_at + looked, LOOK
    return JobPage(jobs=tuple(found), cursor=dump_cursor(before) if before else None)


def words(wanted: frozenset[State] | frozenset[str]) -> Mapping[str, bool] | None:
    """The words as a script looks them up; none of them that no job can have would be found."""
    return dict.fromkeys(possible([str(word) for word in wanted]), True) if wanted else None


def _asked(keys: Keys, wanted: JobFilter) -> Mapping[str, object]:
    """The filter as the script understands it, and where it looks."""
    filters: dict[str, object] = {
        "states": words(wanted.states),
        "types": words(wanted.types),
        "queues": words(wanted.queues),
        "batch": wanted.batch_id,
        "key": wanted.unique_key,
        "tag": wanted.tag,
    }
    asked = {name: one for name, one in filters.items() if one is not None}
    if wanted.batch_id is not None:
        return asked | {"index": _below(keys, keys.batch(wanted.batch_id))}
    if wanted.unique_key is not None:
        return asked | {"index": _below(keys, keys.unique_key(wanted.unique_key))}
    if wanted.tag is not None:
        return asked | {"index": _below(keys, keys.tag(wanted.tag))}
    states = wanted.states or frozenset(State)
    running = states & LIVE == frozenset({State.PROCESSING})
    return asked | {
        "ended": words(states & TERMINAL) or {},
        "running": running,
        "live": bool(states & LIVE) and not running,
    }


def _below(keys: Keys, key: str) -> str:
    return key.removeprefix(keys.root)


class ListsJobs:
    """The part of the store that lists jobs."""

    _database: Database

    async def find(self, namespace: str, wanted: JobFilter, page: Page) -> JobPage:
        return await find(self._database.at(self._database.keys(namespace)), namespace, wanted, page)
