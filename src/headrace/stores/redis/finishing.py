"""Jobs that end well and on which nothing hangs: nearly all. They are sent and written with less ado."""

from collections.abc import Iterable, Mapping, Sequence

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
) -> Sequence[int]:
    """Writes them; the indexes of those that the store holds otherwise, and that have yet to be moved."""
    parts = [
        (place, part) for place, indexes in _by_place(transitions).items() for part in pages(indexes, at_once)
    ]
    erase_at = transitions[0].placement.erase_at
    asked = [
        (State.COMPLETED, erase_at, *place, *_told(transitions[index] for index in part))
        for place, part in parts
    ]
    replies: list[Sequence[int]] = await database.runs(keys, "finish", asked)
    return [part[number] for (_, part), left in zip(parts, replies, strict=True) for number in left]


def _by_place(transitions: Sequence[Transition]) -> Mapping[tuple[str, str], Sequence[int]]:
    """Indexes by queue and type."""
    found: dict[tuple[str, str], list[int]] = {}
    for index, one in enumerate(transitions):
        facts = one.job.facts
        place = (facts.queue, facts.type)
        indexes = found.get(place)
        if indexes is None:
            indexes = found[place] = []
        indexes.append(index)
    return found


def _told(transitions: Iterable[Transition]) -> list[str | int]:
    """What the script is told of jobs. Those that end together are often placed alike."""
    told: list[str | int] = []
    before = ""
    for one in transitions:
        job, placement = one.job, placement_text(one.placement)
        same = placement == before
        told += (job.facts.id, job.seq, job.fence, job.revision, "" if same else placement)
        before = placement
    return told


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
