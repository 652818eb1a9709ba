"""What a store tells of batches. Each is a register ``batch:<id>``; what its members are, their rows tell."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from headrace.core.filters import Page
from headrace.core.job import Job
from headrace.core.states import State
from headrace.stores.values import Register


class BatchReader(Protocol):
    """Reads of batches and of their members. Every read is one snapshot."""

    async def batch_counts(self, namespace: str, batches: Sequence[str]) -> Mapping[str, Mapping[State, int]]:
        """How many members of each batch there are in each state (C36). Costs O(members)."""
        ...

    async def live_batches(self, namespace: str, batches: Sequence[str]) -> frozenset[str]:
        """Those that have a member that has not ended. One look at an index each."""
        ...

    async def first_in_line(self, namespace: str, batch: str, lane: str) -> Job | None:
        """The member, first in order of insertion, that is blocked or parked on the lane."""
        ...

    async def ended_since(self, namespace: str, batch: str, at: int) -> bool:
        """Whether a member ended at this instant or later. Costs O(members)."""
        ...

    async def newest_batches(self, namespace: str, page: Page) -> tuple[Sequence[Register], str | None]:
        """A page of the registers of batches, newest first, and the next cursor."""
        ...
