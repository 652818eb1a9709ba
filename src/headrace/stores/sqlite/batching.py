"""What is asked of batches and their members."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import apsw

from headrace.core.filters import Page, dump_cursor, load_cursor
from headrace.core.job import Job
from headrace.core.states import LIVE, State
from headrace.stores.rows import STATES
from headrace.stores.sqlite.reading import jobs_by_seq
from headrace.stores.sqlite.statements import first, queries, rows, texts
from headrace.stores.texts import possible
from headrace.stores.values import Register

_SQL = queries("batches")
_AFTER_ALL: Final = "batch;"


def batch_counts(
    db: apsw.Connection, namespace: str, batches: Sequence[str]
) -> Mapping[str, Mapping[State, int]]:
    """How many members of each batch there are in each state."""
    return {batch: _counts(db, namespace, batch) for batch in possible(batches)}


def live_batches(db: apsw.Connection, namespace: str, batches: Sequence[str]) -> frozenset[str]:
    """Those of the batches that have a member that has not ended."""
    live = texts(sorted(state.value for state in LIVE))
    return frozenset(
        batch
        for batch in possible(batches)
        if first(db, _SQL["has_member_in"], {"namespace": namespace, "batch": batch, "states": live})
    )


def first_in_line(db: apsw.Connection, namespace: str, batch: str, lane: str) -> Job | None:
    """The first member that is blocked or parked on the lane."""
    blocked = {"namespace": namespace, "batch": batch, "state": State.BLOCKED}
    found = (
        first(db, _SQL["first_in_state"], blocked),
        first(db, _SQL["first_in_lane"], {"namespace": namespace, "lane": lane}),
    )
    seqs = [row[0] for row in found if row is not None and row[0] is not None]
    return jobs_by_seq(db, [min(seqs)]).get(min(seqs)) if seqs else None


def ended_since(db: apsw.Connection, namespace: str, batch: str, at: int) -> bool:
    """Whether a member ended at an instant or later."""
    given = {"namespace": namespace, "batch": batch, "at": at}
    return first(db, _SQL["has_ended_since"], given) is not None


def newest_batches(db: apsw.Connection, namespace: str, page: Page) -> tuple[Sequence[Register], str | None]:
    """A page of the registers of batches, newest first, and the next cursor."""
    (before,) = (_AFTER_ALL,) if page.before is None else load_cursor(page.before, (str,))
    given = {"namespace": namespace, "before": before, "limit": page.limit + 1}
    found = [_register(row) for row in rows(db, _SQL["newest_batches"], given)]
    if len(found) <= page.limit:
        return found, None
    return found[: page.limit], dump_cursor(found[page.limit - 1].key)


def _counts(db: apsw.Connection, namespace: str, batch: str) -> Mapping[State, int]:
    found = rows(db, _SQL["batch_counts"], {"namespace": namespace, "batch": batch})
    return {STATES[state]: count for state, count in found}


def _register(row: Sequence[Any]) -> Register:
    key, value, revision, due_at = row
    return Register(key=key, value=value, revision=revision, due_at=due_at)
