"""Writes of a program together with its jobs: in one server's transaction, and so in the home only."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from headrace.core.job import Job, Transition
from headrace.errors import MisuseError
from headrace.stores.lining import Room
from headrace.stores.redis.partitions.parts import Parts
from headrace.stores.redis.partitions.places import HOME, hashed, key_of, partition_of
from headrace.stores.transacting import Caller
from headrace.stores.transactions import Decide, Work
from headrace.stores.values import Inserted, NewJob

_ELSEWHERE: Final = (
    "this job's key belongs to another partition of its queue than the one that transactions of the program"
    " reach: enqueue it outside, or into a queue without partitions"
)


class HomeCaller:
    """Keeps ``headrace.stores.transacting.Caller`` for jobs that go to the home."""

    def __init__(self, parts: Parts, caller: Caller) -> None:
        self._parts = parts
        self._caller = caller

    @property
    def suspends(self) -> bool:
        return self._caller.suspends

    async def insert(
        self, namespace: str, jobs: Sequence[NewJob], *, now: int, room: Room | None = None
    ) -> Sequence[Inserted]:
        if self.suspends:
            await self._parts.counts.keep(namespace, [new.facts.queue for new in jobs])
        for new in jobs:
            count = self._parts.counts.known(namespace, new.facts.queue)
            key = key_of(new) if count > 1 else None
            if key is not None and hashed(key, count) != HOME:
                raise MisuseError(_ELSEWHERE)
        return await self._caller.insert(namespace, jobs, now=now, room=room)

    def after_commit(self, call: Callable[[], None]) -> bool:
        return self._caller.after_commit(call)


class KeepsTransactions:
    """Keeps ``headrace.stores.transacting.Transactions``, as part of the store."""

    _parts: Parts

    def caller(self, connection: object) -> Caller:
        """The transaction that is open on a connection of the program."""
        return HomeCaller(self._parts, self._parts.home.caller(connection))

    def insert_statement(self, jobs: Sequence[NewJob]) -> tuple[str, str]:
        """There is none."""
        return self._parts.home.insert_statement(jobs)

    async def transact(self, work: Work) -> Any:  # noqa: ANN401 - what the program's function returns
        return await self._parts.home.transact(work)

    async def settle_within(self, work: Work, decide: Decide) -> Any:  # noqa: ANN401
        def decided(value: object, job: Job | None) -> Transition:
            transition = decide(value, job)
            if partition_of(transition.job) != HOME:
                raise MisuseError(
                    "a job of a queue with partitions is not settled with writes of the program"
                )
            return transition

        return await self._parts.home.settle_within(work, decided)
