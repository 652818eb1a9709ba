"""The operations on circuit breakers."""

from collections.abc import Sequence
from typing import Protocol

from headrace.core.breaker import BreakerInfo


class BreakerOperations(Protocol):
    """What a face can do with circuit breakers."""

    async def breakers(self) -> Sequence[BreakerInfo]:
        """All breakers that job types name or that were ever touched, by name."""
        ...

    async def breaker(self, name: str) -> BreakerInfo:
        """One breaker. Raises BreakerNotFound."""
        ...

    async def open_breaker(self, name: str, *, for_ms: int | None = None) -> BreakerInfo:
        """Lets none of its jobs start, for so long and then probes, or until somebody closes it.

        Jobs that run go on. Raises BreakerNotFound, InvalidInput.
        """
        ...

    async def close_breaker(self, name: str) -> BreakerInfo:
        """Lets its jobs start again, all of them. Raises BreakerNotFound."""
        ...
