"""The operations on limits."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.core.limit_register import Keep
from headrace.core.limits import Limit, Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneView:
    """A lane of a limit in numbers: how many hold a slot of it, how many wait parked on it.

    ``opens_at`` is from when on, by the clock alone, one of its jobs may start; None: when a holder ends.
    """

    key: str
    holders: int
    parked: int
    opens_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitView:
    """A limit as people see it: what counts, what the code declares, how many jobs wait for it."""

    limit: Limit
    declared: Limit | None
    parked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitDetails:
    """A limit with its busiest lanes, those with most jobs parked first.

    ``lanes_parked`` is how many lanes have jobs parked.
    """

    view: LimitView
    lanes: tuple[LaneView, ...]
    lanes_parked: int


class LimitOperations(Protocol):
    """What can be asked of limits."""

    async def limits(self) -> Sequence[LimitView]:
        """All limits that code or operators have defined, by name."""
        ...

    async def limit(self, name: str) -> LimitDetails:
        """One limit with its lanes as they are now. Raises LimitNotFound."""
        ...

    async def set_limit(
        self, name: str, *, slots: int | Keep | None = Keep.AS_IS, rate: Rate | Keep | None = Keep.AS_IS
    ) -> Limit:
        """Sets a limit, or a part of it; None lifts that part. Holds from the next claim of every worker on.

        It wins over what the code declares, also at later starts, until ``reset_limit``. Jobs that run are
        not touched. Raises InvalidInput for a name to which no job type brings anything.
        """
        ...

    async def reset_limit(self, name: str) -> Limit | None:
        """Takes back what an operator set; returns what counts now, None if no code declares it.

        Raises LimitNotFound.
        """
        ...

    async def declare_limits(self, limits: Collection[Limit], types: Collection[str]) -> None:
        """Puts what a program declares that knows these job types.

        A limit of one of them that it does not declare is taken back. What an operator has set stays. Raises
        InvalidInput, StoreError.
        """
        ...
