"""One write transaction as its ops see it."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import apsw

from headrace.core.states import State
from headrace.stores.gating import Returned
from headrace.stores.sqlite.statements import queries, write_rows

_SQL = queries("jobs")

Slot = tuple[str, str, str, str]
"""What a tally counts: namespace, queue, type, state."""

Place = tuple[str, str]
"""A queue, with its namespace."""


class Write:
    """The open transaction of one op, the moves of jobs that it made, and where it made jobs due.

    The moves of all ops of a group are added to the tallies by one statement before the commit, and those
    who wait for work are woken after it.
    """

    def __init__(self, db: apsw.Connection, moves: Counter[Slot]) -> None:
        self.db = db
        self.moves = moves
        self.awake: set[Place] | None = None

    def count(self, namespace: str, queue: str, job_type: str, state: State | str, by: int) -> None:
        """Notes that a state of this queue and type has so many jobs more, or fewer."""
        self.moves[namespace, queue, job_type, str(state)] += by

    def brought_back(self, jobs: Iterable[Returned]) -> None:
        """Notes that jobs of these queues are due again."""
        for job in jobs:
            if self.awake is None:
                self.awake = set()
            self.awake.add((job.namespace, job.queue))


Op = Callable[[Write], Any]
"""Something to do in a write transaction. It is called at most once in each attempt to commit."""


def write_moves(db: apsw.Connection, moves: Counter[Slot]) -> None:
    """Brings the tallies up to date."""
    write_rows(db, _SQL["count_moves"], [(*slot, by) for slot, by in sorted(moves.items()) if by])
