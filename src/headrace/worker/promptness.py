"""How many of the jobs that a claim brings could start at once.

A job of a lane with a rate takes its token at the claim and must start within LATE_MS (C42). So it is not
claimed ahead, but only for a slot that is free, or will be in a moment; and it goes before those that wait.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Final

from headrace.core.holding import must_start_at_once
from headrace.core.job import Job
from headrace.engine.operations import Runs
from headrace.worker.buffer import Buffer

REMEMBERED_S: Final = 60.0


class Promptness:
    """Knows what is free, and whether any job that was claimed lately had to start at once."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._met_until = 0.0

    def room(self, kinds: Sequence[Runs], asked: dict[str, int]) -> int:
        """How many jobs could start at once.

        Once such jobs have been met, queues of which none could are left out of ``asked``, unless that is all
        of them: a job that came from there would only be given back, and its token lost.
        """
        free = [self._buffer.free(runs) for runs in kinds]
        if time.monotonic() >= self._met_until:
            return max(free, default=0)
        full = [name for name in asked if self._buffer.free_of(name) <= 0]
        if len(full) < len(asked):
            for name in full:
                del asked[name]
        return max(0, min([*free, *map(self._buffer.free_of, asked)], default=0))

    def met(self, jobs: Iterable[Job]) -> None:
        """Looks at what a claim brought."""
        if any(must_start_at_once(job.placement.slot_key) for job in jobs):
            self._met_until = time.monotonic() + REMEMBERED_S

    def held_back(self, room: int, limit: int, came: int) -> bool:
        """Whether a claim may have left jobs for no other reason than that they could not start at once."""
        return room < limit and came < limit and time.monotonic() < self._met_until
