"""The operations on whole queues: how many jobs may wait in them, and how fair ones share out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.core.fairness import FairQueue
from headrace.core.queue_rules import Overflow, QueueBound, QueueRules


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundView:
    """A queue's bound as it is shown. ``bound`` is what holds, ``declared`` what the code says.

    ``set`` says that an operator has set what holds; ``dropped`` how many jobs had to give way so far.
    """

    queue: str
    bound: QueueBound | None
    declared: QueueBound | None
    set: bool
    dropped: int


class QueueOperations(Protocol):
    """What a face can do with whole queues."""

    async def queue_bounds(self) -> Sequence[BoundView]:
        """The queues for which the code or an operator has said how many jobs may wait, by name."""
        ...

    async def set_queue_bound(
        self, queue: str, max_length: int | None, *, overflow: Overflow = Overflow.REJECT
    ) -> None:
        """Lets at most so many jobs wait in a queue, or any number; wins over the code until it is reset.

        Here at once, elsewhere within five seconds. Jobs that wait already stay. Raises InvalidInput.
        """
        ...

    async def reset_queue_bound(self, queue: str) -> None:
        """Takes back what an operator has set: what the code says holds again."""
        ...

    async def shares(self, queue: str) -> FairQueue | None:
        """The weights of a fair queue; None for a queue that was never fair."""
        ...

    async def set_weight(self, queue: str, tenant: str, weight: float | None) -> FairQueue:
        """Gives a tenant a weight (1 is usual), or takes it back; for jobs that are enqueued from now on.

        Raises InvalidInput.
        """
        ...

    async def declare_queues(
        self, rules: QueueRules, weights: Mapping[str, Mapping[str, float]], fair: Collection[str]
    ) -> None:
        """Puts what a program declares: its rules, its weights by queue, and which queues are fair."""
        ...
