"""Ended jobs leave. Whether anybody still needs one may be known in other partitions only: it is asked there.

What others decide between the question and the erasure is not seen: a job that somebody begins to wait for in
that moment is gone for the child, as one is that was erased a moment before.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.core.batch import PREFIX as BATCHES
from headrace.core.states import TERMINAL, State
from headrace.stores.redis.partitions.parts import Parts, gathered

_AT_ONCE: Final = 100
_LOOKED_AT_ONCE: Final = 500


class ErasesJobs:
    """Part of the store."""

    _parts: Parts

    async def erase(self, *, now: int, limit: int) -> int:
        erased = 0
        for namespace in await self._parts.home_database.namespaces():
            for number in range(await self._parts.count(namespace)):
                erased += await self._erased(namespace, number, ("erase", now, 0), limit - erased)
        return erased

    async def erase_beyond(
        self, namespace: str, job_type: str, state: State, *, keep: int, limit: int
    ) -> int:
        """The newest are those of all partitions together."""
        if state not in TERMINAL:
            return 0
        numbers = range(await self._parts.count(namespace))
        counts = await gathered(self._ended(namespace, number, state, job_type) for number in numbers)
        left, erased = sum(counts) - keep, 0
        needed = dict.fromkeys(numbers, 0)
        while left > 0 and erased < limit:
            which = (state.value, job_type, 0)
            found = await self._oldest(namespace, which, needed, min(left, _AT_ONCE, limit - erased))
            for number, some in found.items():
                stay = await self._needed(namespace, some)
                needed[number] += len(stay)
                erased += await self._run(namespace, number, [one[0] for one in some if one[0] not in stay])
                left -= len(some)
            if not found:
                break
        return erased

    async def _ended(self, namespace: str, number: int, state: State, job_type: str) -> int:
        database = self._parts.database(number)
        return await database.call("ZCARD", database.keys(namespace).ended(state.value, job_type))

    async def _oldest(
        self, namespace: str, which: Sequence[object], needed: Mapping[int, int], count: int
    ) -> dict[int, list[Any]]:
        """The oldest so many of all partitions, by partition, but for those that are known to be needed."""
        looks = await gathered(
            self._parts.reader(number, namespace).look("far_erasable", *which, passed, count)
            for number, passed in needed.items()
        )
        rows = [(row[3], number, row) for number, some in zip(needed, looks, strict=True) for row in some]
        found: dict[int, list[Any]] = {}
        for _, number, row in sorted(rows, key=lambda one: one[0])[:count]:
            found.setdefault(number, []).append(row)
        return found

    async def _run(self, namespace: str, number: int, ids: Sequence[str]) -> int:
        database = self._parts.database(number)
        return await database.run(database.keys(namespace), "far_erase", *ids) if ids else 0

    async def _erased(self, namespace: str, number: int, which: Sequence[object], limit: int) -> int:
        erased = needed = 0
        database = self._parts.database(number)
        keys = database.keys(namespace)
        while erased < limit:
            found = await database.look(keys, "far_erasable", *which, needed, _LOOKED_AT_ONCE)
            stay = await self._needed(namespace, found)
            free: list[str] = []
            looked = 0
            for job_id, *_ in found:
                if len(free) == min(_AT_ONCE, limit - erased):
                    break
                looked += 1
                if job_id in stay:
                    needed += 1
                else:
                    free.append(job_id)
            erased += await self._run(namespace, number, free)
            if looked == len(found) < _LOOKED_AT_ONCE:
                break
        return erased

    async def _needed(self, namespace: str, found: Sequence[Any]) -> set[str]:
        """Those that an open batch counts among its members, or another job waits for."""
        batches = sorted({batch for _, batch, *_ in found if batch})
        registers = await self._parts.home.read(namespace, [BATCHES + batch for batch in batches])
        open_ones = {key.removeprefix(BATCHES) for key, one in registers.items() if one.due_at is not None}
        waited_for = [job_id for job_id, _, waited, *_ in found if waited]
        stay = {job_id for job_id, batch, *_ in found if batch in open_ones}
        if waited_for:
            numbers = range(await self._parts.count(namespace))
            parts = await gathered(
                self._parts.reader(number, namespace).look("far_needed", *waited_for) for number in numbers
            )
            stay.update(job_id for some in parts for job_id in some)
        return stay
