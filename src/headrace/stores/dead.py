"""What a store tells of failed jobs, and how another job takes the place of one."""

from collections.abc import Sequence
from typing import Any, Final, Protocol, cast

from headrace.core.dead import DeadFilter, DeathCount
from headrace.core.filters import Page, load_cursor
from headrace.core.job import Transition
from headrace.stores.values import ApplyAnswer, JobPage, NewJob

LOOK_FACTOR: Final = 8
MAX_LOOK: Final = 20_000
_LEAST_LOOK: Final = 200


class DeadLetterStore(Protocol):
    """Reads of dead letters, each one snapshot, and the one write that is theirs alone."""

    async def dead(self, namespace: str, wanted: DeadFilter, page: Page) -> JobPage:
        """A page of dead letters, the latest death first.

        What the filter asks of errors is left to the caller. A page may hold fewer than asked for, or none,
        and still have a cursor.
        """
        ...

    async def dead_counts(self, namespace: str) -> Sequence[DeathCount]:
        """How many dead letters there are of each type and queue, of the latest ``COUNTED_AT_MOST``."""
        ...

    async def deaths_since(self, namespace: str, at: int) -> Sequence[DeathCount]:
        """How many jobs failed for good at this instant or later, dealt with by now or not.

        Of the latest ``COUNTED_AT_MOST``.
        """
        ...

    async def stand_in(self, namespace: str, job: NewJob, transition: Transition, *, now: int) -> ApplyAnswer:
        """Writes the transition of a dead letter and inserts the job that takes its place, both or neither.

        The answer is that of ``JobStore.apply`` for the transition; anything but Applied inserted nothing.
        Raises what ``JobStore.insert`` raises.
        """
        ...


def place_of(wanted: DeadFilter, page: Page) -> tuple[int, int]:
    """The instant and the seq that all of a page must be below."""
    end = (wanted.died_before, 0)
    if page.before is None:
        return end
    return min(cast("tuple[int, int]", load_cursor(page.before, (int, int))), end)


def first_look(page: Page) -> int:
    """How many to look at first: a filter that hardly anything fits makes it more."""
    return max(_LEAST_LOOK, 2 * page.limit)


def count_of(row: Sequence[Any]) -> DeathCount:
    """The count of a row."""
    job_type, queue, count, permanent, first_at, last_at, last_id = row
    return DeathCount(
        type=job_type,
        queue=queue,
        count=count,
        permanent=permanent,
        first_at=first_at,
        last_at=last_at,
        last_id=last_id,
    )
