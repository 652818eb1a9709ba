"""Ended jobs leave, with all that belongs to them.

Whether somebody still needs a job is asked by the script that erases it. Those that are needed stay at the
head of the index, and are passed over.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from headrace.core.states import TERMINAL, State
from headrace.stores.redis.database import Database
from headrace.stores.redis.keys import Keys

_ERASED_AT_ONCE: Final = 100
_LOOKED_AT_ONCE: Final = 500

_Step = Callable[[int, int, int], Coroutine[Any, Any, list[int]]]
"""Erases: how many of the first are known to be needed, how many to erase and to look at."""


async def erase(database: Database, keys: Keys, now: int, limit: int) -> int:
    """Deletes jobs of a namespace whose ``erase_at`` has come; returns how many."""

    async def step(needed: int, erase: int, look: int) -> list[int]:
        return await database.run(keys, "erase", now, needed, erase, look)

    return await _repeated(step, limit)


async def erase_beyond(  # noqa: PLR0913 - which, and how many
    database: Database, keys: Keys, job_type: str, state: State, *, keep: int, limit: int
) -> int:
    """Deletes the oldest jobs of a type that ended in a state, never the newest; returns how many."""

    async def step(needed: int, erase: int, look: int) -> list[int]:
        return await database.run(keys, "erase_beyond", state.value, job_type, keep, needed, erase, look)

    return await _repeated(step, limit)


async def _repeated(step: _Step, limit: int) -> int:
    """Erases in small steps, none of which stops the server for long."""
    erased = needed = 0
    while erased < limit:
        some = min(_ERASED_AT_ONCE, limit - erased)
        looked, gone, stay = await step(needed, some, _LOOKED_AT_ONCE)
        erased, needed = erased + gone, needed + stay
        if gone < some and looked < _LOOKED_AT_ONCE:
            break
    return erased


class ErasesJobs:
    """The part of the store that erases jobs."""

    _database: Database

    async def erase(self, *, now: int, limit: int) -> int:
        erased = 0
        for namespace in await self._database.namespaces():
            erased += await erase(self._database, self._database.keys(namespace), now, limit - erased)
        return erased

    async def erase_beyond(
        self, namespace: str, job_type: str, state: State, *, keep: int, limit: int
    ) -> int:
        if state not in TERMINAL:
            return 0
        keys = self._database.keys(namespace)
        return await erase_beyond(self._database, keys, job_type, state, keep=keep, limit=limit)
