"""Bounded queues that are spread: their waiting jobs are counted over all partitions.

Nothing holds the partitions meanwhile, so inserts at the same moment may each find the same room: a queue can
exceed its bound by what they insert.
"""

from collections.abc import Sequence
from typing import Final

from headrace.core.job import Transition
from headrace.core.queue_rules import QueueBound, counted_drops, drops
from headrace.errors import QueueFull, StoreUnavailable
from headrace.stores.lining import Room, coming, drops_of, excess
from headrace.stores.redis.partitions.applying import Applying
from headrace.stores.redis.partitions.intents import Intents
from headrace.stores.redis.partitions.parts import Parts, gathered
from headrace.stores.values import Applied, NewJob, Swap

_TRIES: Final = 30


async def make_room(parts: Parts, namespace: str, jobs: Sequence[NewJob], room: Room) -> None:
    """Lets waiting jobs of bounded queues give way where need be. Raises QueueFull."""
    wanted: list[tuple[QueueBound, int, int, int]] = []
    for bound, count in coming(jobs, room).items():
        waiting = await _waiting(parts, namespace, bound.queue)
        if needed := excess(bound, room, waiting=waiting, coming=count):
            wanted.append((bound, needed, waiting, count))
    for bound, needed, waiting, count in wanted:
        dropped = await _dropped(parts, drops_of(bound, room), needed)
        if dropped:
            await _count(parts, namespace, bound.key, dropped)
        if dropped < needed:
            raise QueueFull(bound.queue, bound.max_length, waiting=waiting - dropped, coming=count)


async def _waiting(parts: Parts, namespace: str, queue: str) -> int:
    databases = [parts.database(number) for number in range(await parts.count(namespace))]
    return sum(await gathered(one.look(one.keys(namespace), "waiting", queue) for one in databases))


async def _dropped(parts: Parts, given: Sequence[Transition], needed: int) -> int:
    done = start = 0
    while done < needed and start < len(given):
        some = given[start : start + needed - done]
        now = max(one.placement.ended_at or 0 for one in some)
        answers = await Applying(parts, Intents(parts)).apply(some, now=now)
        done += sum(isinstance(answer, Applied) for answer in answers)
        start += len(some)
    return done


async def _count(parts: Parts, namespace: str, key: str, dropped: int) -> None:
    for _ in range(_TRIES):
        kept = (await parts.home.read(namespace, (key,))).get(key)
        value = counted_drops(drops(None if kept is None else kept.value) + dropped)
        swap = Swap(key=key, revision=0 if kept is None else kept.revision, value=value)
        if await parts.home.swap(namespace, (swap,)):
            return
    raise StoreUnavailable("the count of dropped jobs changes too fast; try again")
