"""How the jobs of one store come into another: read with all they own, and taken in as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from headrace.core.flow import Edge
from headrace.core.job import Job
from headrace.core.limits import LaneState
from headrace.core.steps import Signal, Step
from headrace.stores.keyed import Kept
from headrace.stores.values import LogLine, Swap


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """What a job owns besides its own columns.

    ``trail`` is the text of ``core.history``. ``edges`` are those in which the job is the child, by their
    numbers; a parent that has been erased has no id there, but "".
    """

    trail: str | None = None
    steps: tuple[Step, ...] = ()
    signals: tuple[Signal, ...] = ()
    lines: tuple[LogLine, ...] = ()
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True)
class Carried:
    """A job as another store holds it, with all it owns. Its seq means nothing here."""

    job: Job
    belongings: Belongings = Belongings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What one op takes in."""

    jobs: Sequence[Carried] = ()
    receipts: Sequence[Kept] = ()
    lanes: Sequence[LaneState] = ()
    swaps: Sequence[Swap] = ()


@runtime_checkable
class AdoptionStore(Protocol):
    """What moving between stores needs beside all else."""

    async def belongings(self, namespace: str, ids: Sequence[str]) -> Mapping[str, Belongings]:
        """What these jobs own, by id, all of one snapshot; none for a job that is not there."""
        ...

    async def kept_receipts(
        self, namespace: str, *, after: str | None, limit: int
    ) -> tuple[Sequence[Kept], str | None]:
        """Some receipts beyond a cursor, and the cursor to go on with; None at the end."""
        ...

    async def kept_lanes(self, namespace: str, *, after: str, limit: int) -> Sequence[LaneState]:
        """What is kept of the lanes whose keys lie beyond ``after``, in order of their keys."""
        ...

    async def adopt(self, namespace: str, adoption: Adoption) -> frozenset[str]:
        """Takes in all of it and makes all swaps, or nothing; returns the ids of the jobs taken in.

        - A job comes as it is: state, fence, revision, counters, notes, all it owns. Its seq is new; those
          of one call follow each other in their order.
        - A job whose id is there, or whose unique lock another job holds, is left as it is there.
        - So are a receipt and a lane that are there.
        - An edge to a parent that is not there keeps its number, and is to a parent that has been erased.
        - A swap whose revision does not match raises StaleRegister.
        """
        ...
