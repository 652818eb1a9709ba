"""When a schedule fires: rules, their limits, their instants. No clock: ``now`` and ``after`` are arguments.

A fire is one nominal instant of a schedule (C32). All instants are epoch milliseconds.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Final, Self, assert_never
from zoneinfo import ZoneInfo

from headrace.core import cron
from headrace.core.ids import checked_name
from headrace.core.policy import DAY_MS, MAX_DURATION_MS
from headrace.core.wire import checked_instant, from_iso, to_iso
from headrace.errors import InvalidInput

MIN_INTERVAL_MS: Final = 1_000
MAX_ID_CHARS: Final = 55
MAX_CAUGHT_UP: Final = 1_000
SCHEDULE_TAG: Final = "schedule:"
FIRE_TAG: Final = "fire:"
UTC_ZONE: Final = "UTC"
_ALL_OF: Final = re.compile(r"all\(([0-9]{1,6})\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """The times that match a cron expression on a wall clock in ``zone``; see ``core.cron``."""

    expression: str
    zone: str = UTC_ZONE

    def __post_init__(self) -> None:
        cron.checked_expression(self.expression)
        cron.checked_zone(self.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """Every so many milliseconds: from the start on, else first one interval after the schedule was made."""

    interval_ms: int

    def __post_init__(self) -> None:
        if not MIN_INTERVAL_MS <= self.interval_ms <= MAX_DURATION_MS:
            msg = "every must lie between 1 second and 1,000 years"
            raise InvalidInput(msg, field="every")


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """One instant."""

    at: int

    def __post_init__(self) -> None:
        checked_instant(self.at, "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A rule that is not known here, and why. It is only shown: nothing fires by it, and it is never kept."""

    why: str


Rule = Cron | Every | Once | Unknown


class Missed(StrEnum):
    """What becomes of fires that came too late: none is made up for, the latest, or the latest n."""

    SKIP = "skip"
    ONE = "one"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """What happens to late fires: within ``window_ms`` each still fires, older ones are missed (C33).

    ``at_most`` bounds how many missed fires ``all`` makes up for, the latest ones.
    """

    missed: Missed = Missed.ONE
    at_most: int = 100
    window_ms: int = 60_000

    def __post_init__(self) -> None:
        if not 1 <= self.at_most <= MAX_CAUGHT_UP:
            msg = f"missed=all makes up for 1 to {MAX_CAUGHT_UP} fires"
            raise InvalidInput(msg, field="missed")
        if not 0 <= self.window_ms <= DAY_MS:
            msg = "the misfire window must lie between 0 and 1 day"
            raise InvalidInput(msg, field="misfireWindow")

    @classmethod
    def of(cls, text: str, *, window_ms: int = 60_000) -> Self:
        """From ``skip``, ``one``, ``all`` or ``all(20)``. Raises InvalidInput."""
        if (number := _ALL_OF.fullmatch(text)) is not None:
            return cls(missed=Missed.ALL, at_most=int(number[1]), window_ms=window_ms)
        try:
            return cls(missed=Missed(text), window_ms=window_ms)
        except ValueError as error:
            msg = f"missed must be skip, one, all or all(n), not {text[:40]!r}"
            raise InvalidInput(msg, field="missed") from error

    @property
    def kept(self) -> int:
        """How many missed fires are made up for at most."""
        match self.missed:
            case Missed.SKIP:
                return 0
            case Missed.ONE:
                return 1
            case Missed.ALL:
                return self.at_most


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """A rule with its limits. No fire is before ``start`` nor after ``end``.

    ``jitter_ms`` delays the job of each fire by up to that much, by the same for every scheduler.
    """

    rule: Rule
    start: int | None = None
    end: int | None = None
    jitter_ms: int = 0
    catch_up: CatchUp = field(default_factory=CatchUp)

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            if (instant := getattr(self, name)) is not None:
                checked_instant(instant, name)
        if self.start is not None and self.end is not None and self.end < self.start:
            msg = "end must not be before start"
            raise InvalidInput(msg, field="end")
        if not 0 <= self.jitter_ms <= DAY_MS:
            msg = "jitter must lie between 0 and 1 day"
            raise InvalidInput(msg, field="jitter")

    @property
    def zone(self) -> str:
        """The zone in which people think of it."""
        match self.rule:
            case Cron(zone=zone):
                return zone
            case Every() | Once() | Unknown():
                return UTC_ZONE

    def same_instants(self, other: "Timing") -> bool:
        """Whether both have the same instants, however late fires and jitter are dealt with."""
        return (self.rule, self.start, self.end) == (other.rule, other.start, other.end)

    def following(self, after: int, *, anchor: int) -> int | None:
        """The first instant after ``after``; None if there is none. Intervals count from ``anchor``."""
        floor = after if self.start is None else max(after, self.start - 1)
        found = self._next(floor, anchor)
        return None if found is None or (self.end is not None and found > self.end) else found

    def instants(self, after: int, *, anchor: int) -> Iterator[int]:
        """All instants after ``after``, in order; they may have no end."""
        found = self.following(after, anchor=anchor)
        while found is not None:
            yield found
            found = self.following(found, anchor=anchor)

    def next_fires(self, count: int, after: int, *, anchor: int) -> tuple[int, ...]:
        """The next instants, ``count`` at most."""
        return tuple(islice(self.instants(after, anchor=anchor), count))

    def _next(self, after: int, anchor: int) -> int | None:
        match self.rule:
            case Cron(expression=expression, zone=zone):
                return cron.following(expression, zone, after)
            case Every(interval_ms=interval):
                first = anchor + interval if self.start is None else self.start
                return first if after < first else first + ((after - first) // interval + 1) * interval
            case Once(at=at):
                return at if at > after else None
            case Unknown():
                return None
            case _:
                assert_never(self.rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """One nominal instant of a schedule. Its job carries it in its tags."""

    schedule: str
    at: int

    @property
    def tags(self) -> tuple[str, str]:
        """The tags by which its job is known: ``schedule:ID`` and ``fire:INSTANT``."""
        return schedule_tag(self.schedule), f"{FIRE_TAG}{to_iso(self.at)}"

    @property
    def receipt_key(self) -> str:
        """The key under which the store remembers that it has fired, also over re-creation."""
        return f"{FIRE_TAG}{self.schedule}@{self.at}"

    def due_at(self, jitter_ms: int) -> int:
        """When its job is due: chance that every scheduler computes alike."""
        digest = hashlib.sha256(self.receipt_key.encode()).digest()
        return self.at + int.from_bytes(digest[:8], "big") % (jitter_ms + 1)


def fired_by(tags: Iterable[str]) -> Fire | None:
    """The fire that made the job with these tags; None if none did, as for a job made by a trigger."""
    schedule = at = None
    for tag in tags:
        if tag.startswith(SCHEDULE_TAG):
            schedule = tag.removeprefix(SCHEDULE_TAG)
        elif tag.startswith(FIRE_TAG):
            at = tag.removeprefix(FIRE_TAG)
    if schedule is None or at is None:
        return None
    return Fire(schedule=schedule, at=from_iso(at, what="tag"))


def schedule_tag(schedule_id: str) -> str:
    """The tag of every job of a schedule."""
    return SCHEDULE_TAG + schedule_id


def checked_id(text: str) -> str:
    """The text if it can name a schedule. Raises InvalidInput."""
    if len(text) > MAX_ID_CHARS:
        msg = f"the id of a schedule has at most {MAX_ID_CHARS} characters"
        raise InvalidInput(msg, field="schedule")
    return checked_name(text, "schedule")


def in_zone(instant: int, zone: str) -> str:
    """The instant as ISO 8601 with the offset that the zone has then."""
    moment = datetime.fromtimestamp(instant / 1000, ZoneInfo(zone))
    return moment.isoformat(timespec="milliseconds" if instant % 1000 else "seconds")
