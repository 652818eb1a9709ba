"""What a rule reads out of what it is shown: deaths, queues, schedules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.core.alerts import Condition, Reading, Stillness, When
from headrace.core.breaker import BreakerState, BreakerStatus
from headrace.core.dead import COUNTED_AT_MOST, DeathCount
from headrace.core.scheduled import Schedule

ALL: Final = "all"
"""The subject of a rule that looks at all types together."""

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_LOOKS_TWICE: Final = 2
"""Of a longer unit than the second a span must last so many, to be told in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSight:
    """A queue as a rule sees it. ``oldest_due_at``: since when its oldest due job waits."""

    name: str
    paused: bool
    oldest_due_at: int | None
    ended: int
    running: int


def of_deaths(condition: Condition, deaths: Sequence[DeathCount]) -> list[Reading]:
    """The readings of deaths that fell into the condition's window."""
    wanted = [
        one
        for one in deaths
        if (not condition.types or one.type in condition.types)
        and (not condition.queues or one.queue in condition.queues)
    ]
    if condition.when is When.GROWING:
        groups: Mapping[str, list[DeathCount]] = {ALL: wanted}
    else:
        groups = _by_type(wanted)
    readings = [_of_group(condition, subject, group) for subject, group in groups.items()]
    return [one for one in readings if one is not None]


def of_waiting(condition: Condition, queues: Sequence[QueueSight], now: int) -> list[Reading]:
    """The readings of queues whose oldest due job waits for too long. On a paused queue jobs are meant to."""
    readings: list[Reading] = []
    for one in _named(condition, queues):
        waited = 0 if one.oldest_due_at is None else now - one.oldest_due_at
        if not one.paused and waited >= condition.longer_than_ms:
            message = f"a job on queue {one.name} has waited for {span(waited)}"
            readings.append(Reading(subject=one.name, message=message))
    return readings


def of_idle(
    condition: Condition, queues: Sequence[QueueSight], still: Mapping[str, Stillness], now: int
) -> tuple[list[Reading], Mapping[str, Stillness]]:
    """The readings of queues with due jobs of which none is claimed, and what is to be remembered.

    A claim shows by another oldest job, another number of running ones, or more that have ended.
    """
    readings: list[Reading] = []
    after: dict[str, Stillness] = {}
    for one in _named(condition, queues):
        if one.oldest_due_at is None or one.paused:
            continue
        known = still.get(one.name)
        moved = (
            known is None
            or known.oldest_due_at != one.oldest_due_at
            or known.running != one.running
            or one.ended > known.ended
        )
        since = now if known is None or moved else known.since
        after[one.name] = Stillness(
            since=since, oldest_due_at=one.oldest_due_at, ended=one.ended, running=one.running
        )
        if min(now - since, now - one.oldest_due_at) >= condition.longer_than_ms:
            message = f"no job of queue {one.name} was claimed for {span(now - since)} though some are due"
            readings.append(Reading(subject=one.name, message=message))
    return readings, after


def of_schedules(condition: Condition, schedules: Sequence[Schedule], now: int) -> list[Reading]:
    """The readings of schedules that skipped fires within the window, cannot fire, or are late."""
    readings: list[Reading] = []
    for one in schedules:
        if condition.schedules and one.id not in condition.schedules:
            continue
        late = 0 if one.due_at is None else now - one.due_at
        message = None
        if one.error is not None:
            message = f"schedule {one.id} cannot fire: {one.error}"
        elif late >= condition.longer_than_ms:
            message = f"schedule {one.id} is late by {span(late)}"
        elif one.skipped_at is not None and now - one.skipped_at <= condition.within_ms:
            message = f"schedule {one.id} skipped fires, {one.skipped} in all"
        if message is not None:
            readings.append(Reading(subject=one.id, message=message))
    return readings


def of_breakers(breakers: Sequence[BreakerState], now: int) -> list[Reading]:
    """The readings of breakers that are open or half open."""
    readings: list[Reading] = []
    for one in breakers:
        status = one.status(now)
        if status is not BreakerStatus.CLOSED:
            why = "" if one.error is None else f": {one.error}"
            message = f"breaker {one.name} is {status}{why}"
            readings.append(Reading(subject=one.name, message=message, count=one.in_a_row or 1))
    return readings


def span(milliseconds: int) -> str:
    """A length of time in words, such as ``12 min``."""
    seconds = max(0, milliseconds) // 1000
    for unit, length in (("d", _DAY_S), ("h", _HOUR_S), ("min", _MINUTE_S)):
        if seconds >= _LOOKS_TWICE * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _by_type(deaths: Sequence[DeathCount]) -> Mapping[str, list[DeathCount]]:
    groups: dict[str, list[DeathCount]] = {}
    for one in deaths:
        groups.setdefault(one.type, []).append(one)
    return groups


def _of_group(condition: Condition, subject: str, group: Sequence[DeathCount]) -> Reading | None:
    permanent = condition.when is When.PERMANENT
    count = sum(one.permanent if permanent else one.count for one in group)
    if count < condition.count or not group:
        return None
    latest = max(group, key=lambda one: one.last_at)
    # of a type with both kinds of error the latest death need not be the one that the rule is about
    job_id = latest.last_id if not permanent or latest.permanent == latest.count else None
    return Reading(
        subject=subject, message=_told(condition, subject, count, job_id), count=count, job_id=job_id
    )


def _told(condition: Condition, subject: str, count: int, job_id: str | None) -> str:
    if count == 1 and job_id is not None:
        return f"Job {job_id} permanently failed"
    number = f"{count} jobs" if count < COUNTED_AT_MOST else f"{COUNTED_AT_MOST} jobs or more"
    number = "a job" if count == 1 else number
    of_type = "" if subject == ALL else f" of type {subject}"
    how = " by a permanent error" if condition.when is When.PERMANENT else ""
    return f"{number}{of_type} failed for good{how} within {span(condition.within_ms)}"


def _named(condition: Condition, queues: Sequence[QueueSight]) -> list[QueueSight]:
    return [one for one in queues if not condition.queues or one.name in condition.queues]
