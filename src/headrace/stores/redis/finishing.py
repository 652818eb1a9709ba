"""Jobs that end well and on which nothing hangs: nearly all. They are sent and written with less ado."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from headrace.core.job import Transition
from headrace.core.states import State
from headrace.stores.redis.database import Database
from headrace.stores.redis.keys import Keys
from headrace.stores.redis.reading import pages
from headrace.stores.redis.rows import placement_text


def is_plain(transitions: Sequence[Transition]) -> bool:
    """Whether all of these complete running jobs of this kind, which are to be erased at the same time."""
    erase_at = transitions[0].placement.erase_at
    return all(_is_plain(one) and one.placement.erase_at == erase_at for one in transitions)


async def finish(
    database: Database, keys: Keys, transitions: Sequence[Transition], *, at_once: int
) -> list[int]:
    """1 for each that is written; 0 for one that the store holds otherwise, and has yet to be moved."""
    erase_at = transitions[0].placement.erase_at
    asked: list[tuple[Any, ...]] = [
        (State.COMPLETED, erase_at, *chain.from_iterable(map(_told, page)))
        for page in pages(transitions, at_once)
    ]
    return [answer for reply in await database.runs(keys, "finish", asked) for answer in reply]


def _told(one: Transition) -> tuple[str, int, int, str]:
    return one.job.facts.id, one.job.fence, one.job.revision, placement_text(one.placement)


def _is_plain(one: Transition) -> bool:
    job, after = one.job, one.placement
    facts, before = job.facts, job.placement
    return (
        after.state is State.COMPLETED
        and before.state is State.PROCESSING
        and one.attempt is None
        and one.expired_before is None
        and facts.lane is None
        and facts.batch_id is None
        and before.unique_lock is None
        and before.slot_key is None
        and before.cancel_asked_at is None
        and after.priority == before.priority
        and after.rank == before.rank
    )
