"""Fair queues that are spread: one line for all partitions, kept in the home."""

from collections.abc import Mapping, Sequence

from headrace.core.fairness import LINE_KEPT_MS, FairQueue, queue_key
from headrace.stores.lining import InLine, Level, LineUp, line_up, put_in_line
from headrace.stores.redis.partitions.parts import Parts
from headrace.stores.values import NewJob, Register, Swap


class PutInLine:
    """Gives fair jobs that are due their tags."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def tagged(
        self, namespace: str, jobs: Sequence[NewJob], now: int
    ) -> tuple[Sequence[NewJob], Sequence[Swap]]:
        """The jobs with their tags, and what is swapped with them so that nobody gets the same."""
        if all(new.facts.lane is None for new in jobs) or (wanted := line_up(jobs, now)) is None:
            return jobs, ()
        names = [*wanted.lines, *map(queue_key, wanted.queues)]
        kept = await self._parts.home.read(namespace, names)
        done = put_in_line(
            jobs,
            wanted,
            queues={
                name: FairQueue.loads(kept[key].value if (key := queue_key(name)) in kept else None)
                for name in wanted.queues
            },
            heads=await heads(self._parts, namespace, wanted.levels, wanted.lanes),
            finished={key: int(kept[key].value) for key in wanted.lines if key in kept},
        )
        await self._mark(namespace, wanted, done, kept, now)
        return done.jobs, [
            Swap(key=key, revision=_revision(kept, key), value=str(finish), due_at=now + LINE_KEPT_MS)
            for key, finish in done.finished.items()
        ]

    async def _mark(self, namespace: str, wanted: LineUp, done: InLine, kept: "Kept", now: int) -> None:
        """Writes the marks of queues that have moved on, unless another insert just did."""
        for name in wanted.queues:
            key = queue_key(name)
            if key not in kept or name in done.queues:
                value = done.queues.get(name, FairQueue()).dumps()
                swap = Swap(key=key, revision=_revision(kept, key), value=value, due_at=now)
                await self._parts.home.swap(namespace, (swap,))


async def heads(
    parts: Parts, namespace: str, levels: Sequence[Level], lanes: Sequence[str]
) -> dict[Level, int]:
    """The lowest tag that waits in each of these, in any partition."""
    found: dict[Level, int] = {}
    for some in await parts.each(namespace, lambda store: store.heads(namespace, levels, lanes)):
        for level, head in some.items():
            found[level] = min(head, found.get(level, head))
    return found


Kept = Mapping[str, Register]


def _revision(kept: "Kept", key: str) -> int:
    return kept[key].revision if key in kept else 0
