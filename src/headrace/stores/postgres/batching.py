"""What is asked of batches and their members."""

from collections.abc import Mapping, Sequence
from typing import Final

from headrace.core.filters import Page, dump_cursor, load_cursor
from headrace.core.job import Job
from headrace.core.states import State
from headrace.stores.postgres.reading import jobs_by_seq
from headrace.stores.postgres.session import Row, Session
from headrace.stores.rows import STATES
from headrace.stores.texts import possible
from headrace.stores.values import Register

_AFTER_ALL: Final = "batch;"


async def batch_counts(
    session: Session, namespace: str, batches: Sequence[str]
) -> Mapping[str, Mapping[State, int]]:
    """How many members of each batch there are in each state."""
    wanted = possible(batches)
    counts: dict[str, dict[State, int]] = {batch: {} for batch in wanted}
    for batch, state, count in await session.rows("batch_counts", namespace, list(counts)):
        counts[batch][STATES[state]] = count
    return counts


async def live_batches(session: Session, namespace: str, batches: Sequence[str]) -> frozenset[str]:
    """Those of the batches that have a member that has not ended."""
    found = await session.rows("live_batches", namespace, possible(batches))
    return frozenset(row[0] for row in found)


async def first_in_line(session: Session, namespace: str, batch: str, lane: str) -> Job | None:
    """The first member that is blocked or parked on the lane. Two statements of one snapshot."""
    (seq,) = await session.row("first_in_line", namespace, batch, State.BLOCKED, lane) or (None,)
    return None if seq is None else (await jobs_by_seq(session, [seq])).get(seq)


async def ended_since(session: Session, namespace: str, batch: str, at: int) -> bool:
    """Whether a member ended at an instant or later."""
    return await session.row("has_ended_since", namespace, batch, at) is not None


async def newest_batches(
    session: Session, namespace: str, page: Page
) -> tuple[Sequence[Register], str | None]:
    """A page of the registers of batches, newest first, and the next cursor."""
    (before,) = (_AFTER_ALL,) if page.before is None else load_cursor(page.before, (str,))
    if not possible([str(before)]):
        return [], None
    rows = await session.rows("newest_batches", namespace, before, page.limit + 1)
    found = [_register(row) for row in rows]
    if len(found) <= page.limit:
        return found, None
    return found[: page.limit], dump_cursor(found[page.limit - 1].key)


def _register(row: Row) -> Register:
    key, value, revision, due_at = row
    return Register(key=key, value=value, revision=revision, due_at=due_at)
