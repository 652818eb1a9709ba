"""Limits: how many jobs of a lane run at once, and how often they start. Values and arithmetic, no clock.

A *limit* is a definition with a name: for all jobs of a namespace, for a queue, for a job type, or one that
jobs bring keys to. A *lane* is what it applies to: one per limit, or one per key of a limit. What a claim
does with lanes is decided in ``admission.py``.

The rate follows the generic cell rate algorithm (GCRA) in its virtual scheduling form, as published in
ITU-T Recommendation I.371: a lane keeps the theoretical arrival time of its next start, and a start may
come before it by a tolerance, which is the burst. All instants are epoch milliseconds, but ``tat`` is in
microseconds, since starts may be closer than a millisecond.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from headrace.core.lanes import UNPARK_AT_ONCE
from headrace.core.limit_names import (
    ALL,
    LIMIT_LANE,
    OF_QUEUE,
    OF_TYPE,
    checked_limit,
    lane_of_limit,
    limit_of_lane,
)
from headrace.core.policy import DAY_MS
from headrace.errors import InvalidInput

MAX_SLOTS: Final = 1_000_000
MAX_COUNT: Final = 1_000_000
MAX_PER_MS: Final = 31 * DAY_MS

LATE_MS: Final = 200
"""A job of a lane with a rate starts at most so long after its claim, or is given back.

Tokens are taken at the claim, so this is by how much starts may bunch: the arithmetic spaces tokens as if
each window were longer by it, and so the bound holds for the starts themselves (C42).
"""

CATCH_UP_MS: Final = 50
"""So much of what a lane missed, because nobody looked, it makes up for. The windows are longer by it, too.

Without it every millisecond between an opening and the next claim would be lost for good.
"""

OLDEST_CLAIM_MS: Final = 60_000
"""No claim is decided about so long after the instant it names: what depends on the order of claims, such as
forgetting a lane, waits for this."""

_MICROS: Final = 1_000


class Origin(StrEnum):
    """Who defined a limit. What an operator set wins over the code, until it is reset."""

    CODE = "code"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most ``count + burst`` starts in any ``per_ms``, wherever it begins.

    Without a burst starts are spaced evenly; with one, ``burst + 1`` may start at once after a rest. In the
    long run it is ``count`` in each ``per_ms`` and 250 ms: the shorter the window, the more this takes off.
    Raises InvalidInput for numbers out of bounds.
    """

    count: int
    per_ms: int
    burst: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_COUNT:
            raise InvalidInput(f"a rate's count must lie between 1 and {MAX_COUNT}", field="rate")
        if not 1 <= self.per_ms <= MAX_PER_MS:
            raise InvalidInput("a rate's window must lie between 1 millisecond and 31 days", field="rate")
        if not 0 <= self.burst <= MAX_COUNT:
            raise InvalidInput(f"a rate's burst must lie between 0 and {MAX_COUNT}", field="rate")

    @property
    def spacing(self) -> int:
        """Microseconds between two starts in the long run, rounded up: never too close."""
        return -(-(self.per_ms + LATE_MS + CATCH_UP_MS) * _MICROS // self.count)

    @property
    def tolerance(self) -> int:
        """By how many microseconds a start may come before its theoretical time."""
        return self.burst * self.spacing + CATCH_UP_MS * _MICROS


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A definition: at most ``slots`` of a lane's jobs at once, and at most ``rate`` of them start.

    None of the two: the limit exists and lets everything pass (so an operator lifts one that code declares).
    Raises InvalidInput for a name or numbers out of bounds.
    """

    name: str
    slots: int | None = None
    rate: Rate | None = None
    origin: Origin = Origin.CODE

    def __post_init__(self) -> None:
        checked_limit(self.name)
        if self.slots is not None and not 0 <= self.slots <= MAX_SLOTS:
            raise InvalidInput(f"slots must lie between 0 and {MAX_SLOTS}", field="slots")

    @property
    def limits(self) -> bool:
        """Whether it refuses anything at all."""
        return self.slots is not None or self.rate is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """All definitions of a namespace by name, as of one revision of the register they are kept in."""

    defined: Mapping[str, Limit] = field(default_factory=dict[str, Limit])
    revision: int = 0

    def of_lane(self, lane: str) -> Limit | None:
        """The definition that governs a lane; None for a lane that no limit governs (any more)."""
        if not lane.startswith(LIMIT_LANE):
            return None
        return self.defined.get(limit_of_lane(lane))

    def of_job(self, queue: str, job_type: str, own: tuple[str, ...]) -> tuple[str, ...]:
        """The lanes of a job, in key order: those of all, its queue and its type, and its own ones.

        Lanes under a limit that is not defined, or limits nothing, are left out.
        """
        shared = (ALL, OF_QUEUE + queue, OF_TYPE + job_type)
        found = {lane_of_limit(name) for name in shared if self._limits(name)}
        found.update(
            lane for lane in own if not lane.startswith(LIMIT_LANE) or self._limits(limit_of_lane(lane))
        )
        return tuple(sorted(found))

    def _limits(self, name: str) -> bool:
        limit = self.defined.get(name)
        return limit is not None and limit.limits


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneState:
    """What is kept of a lane besides the jobs: its next theoretical start, and what closes it.

    ``tat`` is in microseconds. Until ``opens_at`` the lane is closed, from then on at most ``cap`` of its
    jobs run at once; both are set by a breaker, None otherwise.
    """

    key: str
    tat: int | None = None
    opens_at: int | None = None
    cap: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a waiting job stands in its queue."""

    priority: int
    rank: int
    seq: int

    @property
    def order(self) -> tuple[int, int, int]:
        """Sorts the first to start first: priority (higher first), rank, enqueue order (C39)."""
        return -self.priority, self.rank, self.seq


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A lane as a claim finds it under its lock.

    ``holders`` are the running jobs that hold a slot of it. ``waiting`` gives per queue where the best of
    the jobs parked on this lane stands.
    """

    state: LaneState
    limit: Limit | None = None
    holders: int = 0
    waiting: Mapping[str, Standing] = field(default_factory=dict[str, Standing])

    @property
    def key(self) -> str:
        """The lane's key, which is also what its parked jobs are parked on."""
        return self.state.key

    @property
    def rate(self) -> Rate | None:
        """The rate of its limit."""
        return None if self.limit is None else self.limit.rate

    @property
    def cap(self) -> int | None:
        """How many of its jobs run at once at most; None for any number."""
        caps = (None if self.limit is None else self.limit.slots, self.state.cap)
        return min((cap for cap in caps if cap is not None), default=None)

    def started(self, now: int) -> "Lane":
        """The lane after one of its jobs has been claimed: a slot and a token less."""
        return replace(self, holders=self.holders + 1, state=self._spent(now))

    def _spent(self, now: int) -> LaneState:
        if self.rate is None:
            return self.state
        return replace(self.state, tat=_due(self.state, self.rate, now) + self.rate.spacing)


def free_now(lane: Lane, now: int) -> int:
    """How many of the lane's jobs may start at this instant, at most UNPARK_AT_ONCE."""
    if lane.state.opens_at is not None and now < lane.state.opens_at:
        return 0
    free = UNPARK_AT_ONCE if lane.cap is None else max(0, min(lane.cap - lane.holders, UNPARK_AT_ONCE))
    return free if lane.rate is None else min(free, _tokens(lane.state, lane.rate, now))


def next_opening(lane: Lane, now: int) -> int | None:
    """From when on, by the clock alone, a job of the lane may start: ``now`` if one may at once.

    None: it opens when a job that holds a slot ends, or when somebody changes it.
    """
    closed_until = max(now, now if lane.state.opens_at is None else lane.state.opens_at)
    if lane.rate is not None:
        earliest = _due(lane.state, lane.rate, now) - lane.rate.tolerance
        closed_until = max(closed_until, -(-earliest // _MICROS))
    if closed_until > now:
        return closed_until
    return now if free_now(lane, now) else None


def _tokens(state: LaneState, rate: Rate, now: int) -> int:
    ahead = now * _MICROS + rate.tolerance - _due(state, rate, now)
    return 0 if ahead < 0 else ahead // rate.spacing + 1


def _due(state: LaneState, rate: Rate, now: int) -> int:
    """The theoretical time of the next start, in microseconds.

    No start under this rate puts it further ahead than a tolerance and a spacing, as seen by any claim; if it
    is, it was written under another, slower definition, and the lane begins afresh.
    """
    present = now * _MICROS
    furthest = present + rate.tolerance + rate.spacing + OLDEST_CLAIM_MS * _MICROS
    return present if state.tat is None or state.tat > furthest else max(present, state.tat)
