"""Listings, newest first: a merge of walks down the index that fits the filter.

A walk looks at a bounded number of jobs, so that a filter that hardly anything fits costs a
bounded time; what was looked at is behind the cursor, also where nothing was found.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from headrace.core.filters import JobFilter, Page, dump_cursor, load_cursor
from headrace.core.states import LIVE, TERMINAL, State
from headrace.stores.sqlite.reading import jobs_by_seq
from headrace.stores.sqlite.statements import first, queries
from headrace.stores.values import JobPage

_SQL = queries("reads")

FIRST_LOOK: Final = 200
LOOK_FACTOR: Final = 8
MAX_LOOK: Final = 20_000
_NEWEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """Part of a walk: the fitting jobs, and the seq down to which all were looked at (0: the end)."""

    seqs: Sequence[int]
    down_to: int


def find(db: apsw.Connection, namespace: str, wanted: JobFilter, page: Page) -> JobPage:
    """A page of jobs. It may hold fewer than asked for, or none, and still have a cursor."""
    (before,) = (_NEWEST,) if page.before is None else load_cursor(page.before, (int,))
    before = int(before)
    found: list[int] = []
    looks = [FIRST_LOOK * LOOK_FACTOR**n for n in range(10) if FIRST_LOOK * LOOK_FACTOR**n < MAX_LOOK]
    for look in [*looks, MAX_LOOK]:
        stretch = _stretch(db, namespace, wanted, before, look, page.limit - len(found))
        found += stretch.seqs
        before = found[-1] if len(found) == page.limit else stretch.down_to
        if len(found) == page.limit or before == 0:
            break
    jobs = jobs_by_seq(db, found)
    cursor = dump_cursor(before) if before else None
    return JobPage(jobs=tuple(jobs[seq] for seq in found), cursor=cursor)


def _stretch(  # noqa: PLR0913, PLR0917 - where, what and how far
    db: apsw.Connection, namespace: str, wanted: JobFilter, before: int, look: int, limit: int
) -> _Stretch:
    given: dict[str, Any] = {
        "namespace": namespace,
        "states": _json(wanted.states),
        "types": _json(wanted.types),
        "queues": _json(wanted.queues),
        "batch_id": wanted.batch_id,
        "unique_key": wanted.unique_key,
        "tag": wanted.tag,
        "before": before,
        "look": look,
        "limit": limit,
    }
    walks = [_walk(db, query, given | own) for query, own in _walks(wanted)]
    down_to = max(walk.down_to for walk in walks)
    merged = sorted((seq for walk in walks for seq in walk.seqs if seq >= down_to), reverse=True)
    return _Stretch(seqs=merged[:limit], down_to=down_to)


def _walks(wanted: JobFilter) -> Sequence[tuple[str, dict[str, Any]]]:
    if wanted.batch_id is not None:
        return [("find_of_batch", {})]
    if wanted.unique_key is not None:
        return [("find_of_unique_key", {})]
    if wanted.tag is not None:
        return [("find_of_tag", {})]
    states = wanted.states or frozenset(State)
    walks: list[tuple[str, dict[str, Any]]] = [
        ("find_ended", {"state": state.value}) for state in sorted(states & TERMINAL)
    ]
    if states & LIVE == frozenset({State.PROCESSING}):
        walks.append(("find_running", {}))
    elif states & LIVE:
        walks.append(("find_live", {}))
    return walks


def _walk(db: apsw.Connection, query: str, given: dict[str, Any]) -> _Stretch:
    text, looked, lowest = first(db, _SQL[query], given) or ("[]", 0, None)
    seqs: list[int] = json.loads(text)
    if len(seqs) == given["limit"]:
        return _Stretch(seqs=seqs, down_to=seqs[-1])
    return _Stretch(seqs=seqs, down_to=lowest if looked == given["look"] and lowest is not None else 0)


def _json(words: Iterable[str]) -> str | None:
    return json.dumps(sorted(words)) if words else None
