"""Queues: whether they are paused, how deep they are, since when their head waits; and what is parked."""

from collections.abc import Sequence
from typing import Any, Final

from headrace.core.states import State
from headrace.stores.redis.database import Database
from headrace.stores.redis.keys import SEPARATOR, Keys
from headrace.stores.rows import STATES
from headrace.stores.values import ParkedCount, QueueState, Tally

PAGE: Final = 500
LEVELS: Final = 64
"""As many priorities as a claim looks at one by one."""


async def set_paused(database: Database, keys: Keys, queue: str, *, paused: bool) -> None:
    """Pauses or resumes a queue. A claim is one script, so none is under way when this is acknowledged."""
    await database.write(keys, [("pause", queue, int(paused))])


async def tallies(database: Database, keys: Keys) -> Sequence[Tally]:
    """How many jobs there are by queue, type and state."""
    return _tallies(await database.call("HGETALL", keys.tally))


async def queue_states(database: Database, keys: Keys, now: int) -> Sequence[QueueState]:
    """Every queue that has or had jobs or settings, by name."""
    settings, counted = await database.pipe([("HGETALL", keys.queues), ("HGETALL", keys.tally)])
    paused = {name: flag == "1" for name, flag in _pairs(settings)}
    counts: dict[str, dict[State, int]] = {}
    for tally in _tallies(counted):
        of_queue = counts.setdefault(tally.queue, {})
        of_queue[tally.state] = of_queue.get(tally.state, 0) + tally.count
    names = sorted(paused.keys() | counts.keys())
    pages = [names[start : start + PAGE] for start in range(0, len(names), PAGE)]
    oldest = await database.looks(keys, "oldest_due", [(now, LEVELS, *page) for page in pages])
    since = [instant for page in oldest for instant in page]
    return [
        QueueState(
            name=name,
            paused=paused.get(name, False),
            counts=counts.get(name, {}),
            oldest_due_at=int(instant) if instant else None,
        )
        for name, instant in zip(names, since, strict=True)
    ]


async def parked(database: Database, keys: Keys) -> Sequence[ParkedCount]:
    """Which lanes hold how many jobs back."""
    found: list[ParkedCount] = []
    begin = "-"
    while True:
        page = list(_pairs(await database.look(keys, "parked_counts", begin, PAGE)))
        for place, count in page:
            lane, queue = place.split(SEPARATOR)
            found.append(ParkedCount(queue=queue, lane=lane, count=int(count)))
        if len(page) < PAGE:
            return found
        begin = f"({page[-1][0]}"


def _tallies(said: Sequence[str]) -> Sequence[Tally]:
    found: list[Tally] = []
    for name, count in _pairs(said):
        queue, job_type, state = name.split(SEPARATOR)
        found.append(Tally(queue=queue, type=job_type, state=STATES[state], count=int(count)))
    return found


def _pairs(said: Sequence[Any]) -> Sequence[tuple[str, Any]]:
    return list(zip(said[::2], said[1::2], strict=True))
