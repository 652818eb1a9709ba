"""What every face can do with dead letters: failed jobs that nobody has dealt with."""

from collections.abc import Mapping
from typing import Protocol

from headrace.core.dead import Bulk, DeadFilter, DeadLetterView, DeadQueue, DeathCount
from headrace.core.filters import Page
from headrace.core.job import Job
from headrace.core.wire import Json
from headrace.stores.protocol import JobPage

AT_ONCE = 500


class DeadLetterOperations(Protocol):
    """Part of ``Operations``."""

    async def dead_letters(self, wanted: DeadFilter, page: Page) -> JobPage:
        """A page of dead letters, the latest death first."""
        ...

    async def dead_letter_counts(self) -> tuple[DeathCount, ...]:
        """How many there are of each type and queue; of more than 100,000 the latest so many."""
        ...

    async def dead_letter(self, job_id: str) -> DeadLetterView:
        """One failed job with what became of it. Raises JobNotFound."""
        ...

    async def redrive(
        self, job_id: str, *, payload: Json = None, priority: int | None = None, delay_ms: int = 0
    ) -> Job:
        """Runs a failed job again, from the first attempt on; returns the job that runs.

        As it is, that is the job itself in a new generation, with its steps kept. With another ``payload``
        it is a new job that carries the tag ``redrive-of:<old id>``, and the old one is dealt with, both in
        one op. Raises JobNotFound, NotADeadLetter, DuplicateJob, InvalidInput (InvalidPayload).
        """
        ...

    async def redrive_many(
        self,
        wanted: DeadFilter,
        *,
        per_second: float | None = None,
        limit: int = AT_ONCE,
        cursor: str | None = None,
    ) -> Bulk:
        """Runs the next ``limit`` dead letters of the filter again, the latest death first.

        Repeated with the cursor of its answer it goes on; what dies again meanwhile is left alone. With
        ``per_second`` they become due one after the other at that rate. Raises InvalidInput.
        """
        ...

    async def discard(self, job_id: str, *, reason: str = "") -> Job:
        """Has a dead letter erased when its type's ``Retention.discarded_age_ms`` is over.

        Until then it can be read, and retried. Raises JobNotFound, NotADeadLetter, InvalidInput.
        """
        ...

    async def discard_many(
        self, wanted: DeadFilter, *, reason: str = "", limit: int = AT_ONCE, cursor: str | None = None
    ) -> Bulk:
        """Discards the next ``limit`` dead letters of the filter; goes on as ``redrive_many`` does."""
        ...

    async def dead_letter_queues(self) -> Mapping[str, DeadQueue]:
        """The queues whose failed jobs go to a dead-letter queue, each with that. Job types have theirs."""
        ...

    async def set_dead_letter_queue(self, queue: str, target: DeadQueue | None) -> None:
        """Has a job put on ``target`` for each that fails on ``queue``; None: no more.

        The dead letters that are there are put there too. What a job's type says comes first.
        """
        ...
