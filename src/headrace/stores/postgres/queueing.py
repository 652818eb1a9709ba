"""Queues: whether they are paused, how deep they are, since when their head waits."""

from collections.abc import Sequence
from typing import Final

from headrace.core.states import State
from headrace.stores.postgres import reading
from headrace.stores.postgres.session import Session
from headrace.stores.rows import STATES
from headrace.stores.values import QueueState

# As many priorities as a claim looks at one by one.
LEVELS: Final = 64


async def set_paused(session: Session, namespace: str, queue: str, *, paused: bool) -> None:
    """Pauses or resumes a queue; waits for the claims of it that are under way.

    Once this transaction is committed no claim succeeds, because claims hold the lock until their own end.
    """
    await session.row("lock_queue", namespace, queue)
    await session.run("write_queue", namespace, queue, paused)


async def queue_states(session: Session, namespace: str) -> tuple[Sequence[QueueState], bool]:
    """Every queue that has or had jobs or settings, by name, and whether it is time to fold moves."""
    rows = await session.rows("queue_states", namespace, LEVELS)
    counts: dict[str, dict[State, int]] = {}
    for name, _, _, state, count, _ in rows:
        of_queue = counts.setdefault(name, {})
        if state is not None:
            of_queue[STATES[state]] = count
    states = {
        name: QueueState(name=name, paused=paused, counts=counts[name], oldest_due_at=due_at)
        for name, paused, due_at, _, _, _ in rows
    }
    return list(states.values()), bool(rows) and (rows[0][5] or 0) > reading.MANY_MOVES
