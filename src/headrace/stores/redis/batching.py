"""What is asked of batches and their members.

Members are looked at in pages, in order of seq: each is counted once, as it is when it is looked at. So a
count in which nobody lives tells of members that have all ended, as long as nobody made one live; and who
does that writes the batch's register.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.core.filters import Page, dump_cursor, load_cursor
from headrace.core.job import Job
from headrace.core.states import State
from headrace.stores.redis.database import Database
from headrace.stores.redis.rows import job_of
from headrace.stores.redis.session import Look
from headrace.stores.rows import STATES
from headrace.stores.texts import possible
from headrace.stores.values import Register

_AFTER_ALL: Final = "batch;"


async def batch_counts(at: Look, batch: str) -> Mapping[State, int]:
    """How many members of a batch there are in each state."""
    counts: Counter[State] = Counter()
    after: str | None = "0"
    while after:
        after, *told = await at.look("batch_counts", batch, after)
        for state, count in zip(told[::2], told[1::2], strict=True):
            counts[STATES[state]] += count
    return dict(counts)


async def first_in_line(at: Look, namespace: str, batch: str, lane: str) -> Job | None:
    """The first member that is blocked or parked on the lane."""
    after, found = "0", None
    while after and found is None:
        after, *rows = await at.look("first_in_line", batch, lane, after)
        found = job_of(namespace, rows[0]) if rows else None
    return found


async def ended_since(at: Look, batch: str, instant: int) -> bool:
    """Whether a member ended at an instant or later."""
    after, found = "0", 0
    while after and not found:
        found, after = await at.look("ended_since", batch, instant, after)
    return bool(found)


async def newest_batches(at: Look, page: Page) -> tuple[Sequence[Register], str | None]:
    """A page of the registers of batches, newest first, and the next cursor."""
    (before,) = (_AFTER_ALL,) if page.before is None else load_cursor(page.before, (str,))
    found = [_register(row) for row in await at.look("newest_batches", before, page.limit + 1)]
    if len(found) <= page.limit:
        return found, None
    return found[: page.limit], dump_cursor(found[page.limit - 1].key)


def _register(row: Sequence[Any]) -> Register:
    key, value, revision, due_at = row
    return Register(key=key, value=value, revision=int(revision), due_at=int(due_at) if due_at else None)


class ReadsBatches:
    """Keeps ``headrace.stores.batching.BatchReader``, as part of the store."""

    _database: Database

    async def batch_counts(self, namespace: str, batches: Sequence[str]) -> Mapping[str, Mapping[State, int]]:
        at = self._database.at(self._database.keys(namespace))
        return {batch: await batch_counts(at, batch) for batch in possible(batches)}

    async def live_batches(self, namespace: str, batches: Sequence[str]) -> frozenset[str]:
        wanted, keys = possible(batches), self._database.keys(namespace)
        found = await self._database.pipe([("EXISTS", keys.batch_live(batch)) for batch in wanted])
        return frozenset(batch for batch, lives in zip(wanted, found, strict=True) if lives)

    async def first_in_line(self, namespace: str, batch: str, lane: str) -> Job | None:
        if not possible([batch]):
            return None
        return await first_in_line(self._database.at(self._database.keys(namespace)), namespace, batch, lane)

    async def ended_since(self, namespace: str, batch: str, at: int) -> bool:
        if not possible([batch]):
            return False
        return await ended_since(self._database.at(self._database.keys(namespace)), batch, at)

    async def newest_batches(self, namespace: str, page: Page) -> tuple[Sequence[Register], str | None]:
        return await newest_batches(self._database.at(self._database.keys(namespace)), page)
