"""Lanes in a store: what is kept of them besides the jobs, and the jobs that wait parked on them.

The claim is the gate: it admits jobs or parks them, as ``core.admission`` decides. What frees a slot or a
turn brings the next ones back in the same op. What is here is for whoever defines limits, closes lanes,
shows them, and for the sweep that heals what a crash or the clock leaves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from headrace.core.limits import LaneState

HOLDERS_NAMED: Final = 10
"""So many of those that hold a lane are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneFigures:
    """A lane in numbers, for people.

    ``holders`` run and hold a slot of it; of an ordering key that is the one that runs, or that has started
    and keeps the others waiting. ``held_by`` are the ids of the first of them in order of insertion.
    ``first_parked`` is the id of the best of the ``parked`` jobs, of an ordering key the one enqueued first.
    """

    holders: int = 0
    parked: int = 0
    held_by: tuple[str, ...] = ()
    first_parked: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BroughtBack:
    """What a look at lanes did: how many jobs are due again, and in which queues, each with its namespace.

    ``next_opening`` is the earliest instant at which one of the lanes that were looked at, and on which jobs
    still wait, opens by the clock; None if none does. ``more``: not all lanes were looked at.
    """

    count: int = 0
    places: frozenset[tuple[str, str]] = frozenset()
    next_opening: int | None = None
    more: bool = False


class LaneStore(Protocol):
    """Lanes of limits, of ordering keys and of breakers.

    Whatever brings jobs back also hints that there is work, after its commit.
    """

    async def lane_states(self, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneState]:
        """What is kept of these lanes; a lane of which nothing is kept is not in the answer."""
        ...

    async def set_lane(self, namespace: str, state: LaneState) -> None:
        """Writes until when a lane is closed and its cap from then on; its ``tat`` stays as it is.

        Takes effect at the next claim. Jobs that wait on the lane come back by ``open_lanes``.
        """
        ...

    async def open_lanes(self, namespace: str, keys: Sequence[str], *, now: int) -> BroughtBack:
        """Brings back, the best first, as many of the jobs parked on these lanes as could start now."""
        ...

    async def unpark_free(self, *, now: int, limit: int) -> BroughtBack:
        """As ``open_lanes`` for all lanes of all namespaces, until at least ``limit`` jobs have come back.

        The lanes of job types that no worker knows and of sequential batches are not looked at.
        """
        ...

    async def lane_figures(self, namespace: str, keys: Sequence[str]) -> Mapping[str, LaneFigures]:
        """Each of these lanes in numbers, in one snapshot."""
        ...

    async def forget_lanes(self, *, now: int, limit: int) -> int:
        """Looks at the next ``limit`` lanes in turn and forgets those of which nothing need be kept.

        Returns how many it forgot. Slots of jobs that do not run are given back by the way.
        """
        ...
