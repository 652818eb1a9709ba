"""Where a waiting job stands among the others of its queue, for people."""

from typing import Protocol

from headrace.core.limits import Standing


class StandingReader(Protocol):
    """Reads of queues in the order in which a claim takes their jobs."""

    async def ahead(self, namespace: str, queue: str, standing: Standing, *, now: int, limit: int) -> int:
        """How many due jobs of the queue come before this place, counted up to ``limit``."""
        ...
