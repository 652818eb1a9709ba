"""What the parts of the engine that make jobs of their own, such as schedules and alerts, ask of it."""

from collections.abc import Sequence
from typing import Protocol

from headrace.core.request import EnqueueRequest
from headrace.stores.protocol import NewJob


class Preparing(Protocol):
    """What a part that makes jobs needs of the operations it is part of."""

    @property
    def namespace(self) -> str:
        """The namespace they are in."""
        ...

    def now(self) -> int:
        """Store time."""
        ...

    async def prepared(self, requests: Sequence[EnqueueRequest], now: int) -> Sequence[NewJob]:
        """The jobs that are asked for, checked."""
        ...
