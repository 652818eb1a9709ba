"""New jobs that are pending and on which nothing hangs: nearly all. They are written with less ado."""

from collections.abc import Callable, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, Final

from headrace.core.job import Facts, Placement
from headrace.core.states import State
from headrace.stores.redis.database import Database
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.partitions.ticks import Ticked
from headrace.stores.redis.rows import facts_head, given, place_text, placement_text
from headrace.stores.redis.session import answers_of
from headrace.stores.values import NewJob

# All but a job's id, payload and namespace. What mostly differs comes first: a comparison ends there.
_facts: Final[Callable[[Facts], tuple[object, ...]]] = attrgetter(
    "created_at", "type", "queue", "version", "max_attempts", "max_crashes", "timeout_ms", "backoff",
    "unique_key", "lock_after_claim", "lane", "batch_id", "parent_id", "tags",
)  # fmt: skip
_placement: Final[Callable[[Placement], tuple[object, ...]]] = attrgetter(
    "due_at", "rank", "priority", "state", "lease_until", "unique_lock", "slot_key", "parked_on", "erase_at",
    "cancel_asked_at", "timeout_ms", "isolation", "generation", "starts", "failures", "crashes", "releases",
    "snoozes", "worker", "started_at", "ended_at", "outcome", "error", "result",
)  # fmt: skip
_own: Final[Callable[[NewJob], tuple[str, str]]] = attrgetter("facts.id", "facts.payload")


async def insert_plain(database: Database, keys: Keys, jobs: Sequence[NewJob], now: int) -> bool:
    """Inserts all of the jobs or none; False, and nothing is done, if any of them is of another kind."""
    ticked = any(isinstance(new, Ticked) for new in jobs)
    told: list[str | int] = [now, 3 if ticked else 2]
    for _, group in groupby(jobs, key=_alike):
        run = list(group)
        if not _is_plain(run[0]):
            return False
        told += (len(run), *_head(run[0]))
        told += chain.from_iterable(map(_ticked if ticked else _own, run))
    answers_of(await database.run(keys, "insert", *told))
    return True


def _alike(new: NewJob) -> Any:  # noqa: ANN401 - compared, and nothing else
    """What is sent once for jobs that have it in common and follow each other."""
    return _facts(new.facts), _placement(new.placement)


def _head(new: NewJob) -> tuple[str | int, ...]:
    facts, placement = new.facts, new.placement
    return (
        facts.queue,
        facts.type,
        facts_head(facts),
        placement_text(placement),
        place_text(placement.priority, placement.rank),
        given(placement.due_at),
    )


def _ticked(new: NewJob) -> tuple[str, str, str | int]:
    return (*_own(new), new.tick if isinstance(new, Ticked) else "")


def _is_plain(new: NewJob) -> bool:
    facts, placement = new.facts, new.placement
    return (
        placement.state is State.PENDING
        and placement.due_at is not None
        and placement.lease_until is None
        and placement.unique_lock is None
        and placement.slot_key is None
        and placement.parked_on is None
        and placement.cancel_asked_at is None
        and facts.unique_key is None
        and facts.lock_after_claim is None
        and facts.lane is None
        and facts.batch_id is None
        and not facts.tags
    )
