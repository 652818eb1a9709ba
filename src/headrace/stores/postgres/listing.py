"""Listings, newest first: a merge of walks down the index that fits the filter.

A walk looks at a bounded number of jobs, so that a filter that hardly anything fits costs a
bounded time; what was looked at is behind the cursor, also where nothing was found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headrace.core.filters import JobFilter, Page, dump_cursor, load_cursor
from headrace.core.states import LIVE, TERMINAL, State
from headrace.stores.postgres.reading import jobs_by_seq
from headrace.stores.postgres.session import Session
from headrace.stores.texts import possible
from headrace.stores.values import JobPage

FIRST_LOOK: Final = 200
LOOK_FACTOR: Final = 8
MAX_LOOK: Final = 20_000
_NEWEST: Final = 2**63 - 1

_Walk = tuple[str, tuple[object, ...]]
"""A query, and what it is given beside what all are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """Part of a walk: the fitting jobs, and the seq down to which all were looked at (0: the end)."""

    seqs: Sequence[int]
    down_to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """What one call looks for."""

    session: Session
    namespace: str
    wanted: JobFilter
    walks: Sequence[_Walk]


async def find(session: Session, namespace: str, wanted: JobFilter, page: Page) -> JobPage:
    """A page of jobs. It may hold fewer than asked for, or none, and still have a cursor."""
    (start,) = (_NEWEST,) if page.before is None else load_cursor(page.before, (int,))
    before = int(start)
    listing = _Listing(session=session, namespace=namespace, wanted=wanted, walks=_walks(wanted))
    found: list[int] = []
    looks = [FIRST_LOOK * LOOK_FACTOR**n for n in range(10) if FIRST_LOOK * LOOK_FACTOR**n < MAX_LOOK]
    for look in [*looks, MAX_LOOK]:
        stretch = await _stretch(listing, before, look, page.limit - len(found))
        found += stretch.seqs
        before = found[-1] if len(found) == page.limit else stretch.down_to
        if len(found) == page.limit or before == 0:
            break
    jobs = await jobs_by_seq(session, found)
    cursor = dump_cursor(before) if before else None
    return JobPage(jobs=tuple(jobs[seq] for seq in found), cursor=cursor)


def _walks(wanted: JobFilter) -> Sequence[_Walk]:
    if any("\0" in word for word in (wanted.batch_id, wanted.unique_key, wanted.tag) if word is not None):
        return []  # no column can hold such a text, and the server would not even look for it
    if wanted.batch_id is not None:
        return [("find_of_batch", (wanted.batch_id, wanted.unique_key, wanted.tag))]
    if wanted.unique_key is not None:
        return [("find_of_unique_key", (wanted.unique_key, wanted.tag))]
    if wanted.tag is not None:
        return [("find_of_tag", (wanted.tag,))]
    states = wanted.states or frozenset(State)
    return [*_walks_of_ended(states & TERMINAL), *_walks_of_live(states & LIVE)]


def _walks_of_ended(states: frozenset[State]) -> Sequence[_Walk]:
    if State.COMPLETED in states:
        return [("find_ended", ())]
    return [("find_otherwise", (state.value,)) for state in sorted(states)]


def _walks_of_live(states: frozenset[State]) -> Sequence[_Walk]:
    if states == frozenset({State.PROCESSING}):
        return [("find_running", ())]
    return [("find_live", ())] if states else []


async def _stretch(listing: _Listing, before: int, look: int, limit: int) -> _Stretch:
    walks = [await _walk(listing, walk, (before, look, limit)) for walk in listing.walks]
    down_to = max((walk.down_to for walk in walks), default=0)
    merged = sorted((seq for walk in walks for seq in walk.seqs if seq >= down_to), reverse=True)
    return _Stretch(seqs=merged[:limit], down_to=down_to)


async def _walk(listing: _Listing, walk: _Walk, reach: tuple[int, int, int]) -> _Stretch:
    query, own = walk
    _, look, limit = reach
    wanted = listing.wanted
    words = (_words(wanted.states), _words(wanted.types), _words(wanted.queues))
    answer = await listing.session.row(query, listing.namespace, *reach, *words, *own)
    seqs, looked, lowest = answer or ([], 0, None)
    if len(seqs) == limit:
        return _Stretch(seqs=seqs, down_to=seqs[-1])
    return _Stretch(seqs=seqs, down_to=lowest if looked == look and lowest is not None else 0)


def _words(wanted: frozenset[State] | frozenset[str]) -> list[str] | None:
    """The words as a parameter; none of them that a column cannot hold would be found."""
    return possible([str(word) for word in wanted]) if wanted else None
