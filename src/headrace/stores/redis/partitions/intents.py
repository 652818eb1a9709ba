"""What an op has decided in one partition and owes to others.

It is written with the decision, in one commit; so it is done whatever happens to who decided: by the op
itself as a rule, else by whoever looks for it first. It is done once: each partition notes what it has done.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast

from headrace.core.filters import dump_cursor
from headrace.errors import InvalidInput, OutcomeUnknown, StoreUnavailable
from headrace.stores.redis.database import Again, Database, Refused
from headrace.stores.redis.partitions.parts import Parts, gathered
from headrace.stores.redis.session import Write, dumps

_DONE: Final = "done"
_ADOPTED: Final = "adopted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """Writes that one partition owes: all of them, or, where keys are taken by then, those that can be."""

    partition: int
    writes: Sequence[Write]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Duties, done in this order."""

    id: str
    now: int
    duties: Sequence[Duty]

    @property
    def write(self) -> Write:
        """What a commit writes beside its decision."""
        return ("intend", self.id, dumps([self.now, [(one.partition, one.writes) for one in self.duties]]))


def intent_of(job_id: str, revision: object, now: int, duties: Sequence[Duty]) -> Intent:
    """The intent of an op that first names this job; there is no other of this name."""
    return Intent(id=dump_cursor(job_id, str(revision)), now=now, duties=duties)


def _read(intent_id: str, text: str) -> Intent:
    now, duties = cast("tuple[int, list[tuple[int, list[list[Any]]]]]", json.loads(text))
    return Intent(
        id=intent_id,
        now=now,
        duties=[Duty(partition=number, writes=[tuple(one) for one in writes]) for number, writes in duties],
    )


class Intents:
    """Does what is owed."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def fulfil(self, namespace: str, decided_in: int, intent: Intent) -> list[list[Any] | None]:
        """Does what was just decided; for each duty the answers, None if it was done before or only in part.

        Raises OutcomeUnknown where a partition cannot be reached: it is decided, and will be done.
        """
        try:
            return await self._fulfilled(namespace, decided_in, intent)
        except StoreUnavailable as error:
            raise OutcomeUnknown(f"it is decided, and done later: {error}") from error

    async def _fulfilled(self, namespace: str, decided_in: int, intent: Intent) -> list[list[Any] | None]:
        answers = [
            await self._done(namespace, f"{intent.id}.{index}", intent.now, duty)
            for index, duty in enumerate(intent.duties)
        ]
        await self._forget(namespace, decided_in, intent)
        return answers

    async def settle(self, namespace: str, decided_in: int) -> int:
        """Does all that a partition has decided and still owes; returns how many intents it were."""
        database = self._parts.database(decided_in)
        said = await database.call("HGETALL", database.keys(namespace).intents)
        for intent_id, text in zip(said[::2], said[1::2], strict=True):
            await self._fulfilled(namespace, decided_in, _read(intent_id, text))
        return len(said) // 2

    async def are_owed(self, namespace: str) -> bool:
        """Whether any partition owes anything, also one that others have begun just now."""
        counts = await self._parts.counts.fresh(namespace)
        numbers = range(max(counts.values(), default=1))
        return any(await gathered(self._owes(namespace, number) for number in numbers))

    async def settle_all(self) -> int:
        """Does what is owed in all namespaces: what a crash has left."""
        count = 0
        for namespace in await self._parts.home_database.namespaces():
            numbers = range(await self._parts.count(namespace))
            if len(numbers) > 1:
                there = await gathered(self._owes(namespace, number) for number in numbers)
                for number in numbers:
                    count += await self.settle(namespace, number) if there[number] else 0
        return count

    async def _owes(self, namespace: str, number: int) -> bool:
        database = self._parts.database(number)
        return bool(await database.call("EXISTS", database.keys(namespace).intents))

    async def _done(self, namespace: str, name: str, now: int, duty: Duty) -> list[Any] | None:
        database = self._parts.database(duty.partition)
        keys, once = database.keys(namespace), ("once", name, now)
        try:
            return (await database.write(keys, [once, *duty.writes]))[1:]
        except Refused as refused:
            if refused.args != (_DONE,):
                raise
            return None
        except (Again, InvalidInput):  # somebody has taken a key meanwhile, or it was half done before
            await self._one_by_one(database, namespace, duty.writes)
            with suppress(Refused):
                await database.write(keys, [once])
            return None

    async def _one_by_one(self, database: Database, namespace: str, writes: Sequence[Write]) -> None:
        """Does those that can be done: a job whose key is taken is as one that was never asked for."""
        keys = database.keys(namespace)
        for some in _singly(writes):
            with suppress(Again, InvalidInput):
                await database.write(keys, some)

    async def _forget(self, namespace: str, decided_in: int, intent: Intent) -> None:
        database = self._parts.database(decided_in)
        await database.write(database.keys(namespace), [("fulfilled", intent.id)])


def _singly(writes: Sequence[Write]) -> Iterable[list[Write]]:
    """Each write by itself; each job with what it owns, else a worker could have it before it is whole."""
    owned = {row[0]: row for write in writes if write[0] == _ADOPTED for row in write[1]}
    for write in writes:
        if write[0] == "insert":
            for row in write[2]:
                with_it: list[Write] = [(_ADOPTED, [owned[row[0]]])] if row[0] in owned else []
                yield [(*write[:2], [row]), *with_it]
        elif write[0] != _ADOPTED:
            yield [write]
