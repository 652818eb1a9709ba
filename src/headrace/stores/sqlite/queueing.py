"""Queues: whether they are paused, how deep they are, since when their head waits."""

from collections.abc import Mapping, Sequence

import apsw

from headrace.core.job import MAX_PRIORITY
from headrace.core.states import State
from headrace.stores.sqlite.claiming import LEVELS
from headrace.stores.sqlite.reading import tallies
from headrace.stores.sqlite.statements import first, queries, rows, write
from headrace.stores.sqlite.transaction import Write
from headrace.stores.values import QueueState

_SQL = queries("plumbing")
_CLAIM = queries("claim")
_READS = queries("reads")


def set_paused(at: Write, namespace: str, queue: str, *, paused: bool) -> None:
    """Pauses or resumes a queue."""
    write(at.db, _SQL["write_queue"], {"namespace": namespace, "name": queue, "paused": int(paused)})


def queue_states(db: apsw.Connection, namespace: str, now: int) -> Sequence[QueueState]:
    """Every queue that has or had jobs or settings, by name."""
    paused = {name: bool(flag) for name, flag in rows(db, _SQL["queue_settings"], {"namespace": namespace})}
    counts = _counts(db, namespace)
    return [
        QueueState(
            name=name,
            paused=paused.get(name, False),
            counts=counts.get(name, {}),
            oldest_due_at=_oldest_due(db, namespace, name, now),
        )
        for name in sorted(paused.keys() | counts.keys())
    ]


def _counts(db: apsw.Connection, namespace: str) -> Mapping[str, Mapping[State, int]]:
    counts: dict[str, dict[State, int]] = {}
    for tally in tallies(db, namespace):
        of_queue = counts.setdefault(tally.queue, {})
        of_queue[tally.state] = of_queue.get(tally.state, 0) + tally.count
    return counts


def _oldest_due(db: apsw.Connection, namespace: str, queue: str, now: int) -> int | None:
    """The earliest due time among the heads of the priorities, of at most as many as a claim looks at."""
    here = {"namespace": namespace, "queue": queue}
    above = MAX_PRIORITY + 1
    oldest: int | None = None
    for _ in range(LEVELS):
        level = first(db, _CLAIM["next_level"], here | {"above": above})
        if level is None:
            break
        (above,) = level
        (due,) = first(db, _READS["oldest_in_level"], here | {"priority": above, "now": now}) or (None,)
        if due is not None:
            oldest = due if oldest is None else min(oldest, due)
    return oldest
