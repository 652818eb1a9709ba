"""Schedules as a program writes them down: ``app.schedule("nightly", cron="0 2 * * *", job=clean_up)``."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from headrace.core.request import EnqueueRequest
from headrace.core.schedule import UTC_ZONE, CatchUp, Cron, Every, Once, Rule, Timing, Unknown, checked_id
from headrace.core.scheduled import checked_request
from headrace.engine.operations import Operations
from headrace.errors import InvalidInput, MisuseError

Instant = int | datetime
"""Epoch milliseconds, or a datetime that knows its zone."""

MAX_SECONDS: Final = 3_155_760_000


class Requestable(Protocol):
    """A job type whose handler needs no arguments."""

    def request(self) -> EnqueueRequest:
        """The request for a call without arguments."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One schedule that a program declares."""

    id: str
    timing: Timing
    request: EnqueueRequest


class Declarations:
    """The schedules that a program declares. They are put whenever one of its workers or services starts.

    A schedule that is declared no longer is not removed by that: another version of the program may still
    run. Remove it with ``headrace schedules remove`` or ``operations.remove_schedule``.
    """

    def __init__(self) -> None:
        self._declared: dict[str, Declared] = {}

    def __call__(  # noqa: PLR0913 - one argument per option
        self,
        schedule_id: str,
        *,
        job: EnqueueRequest | Requestable,
        cron: str | None = None,
        zone: str = UTC_ZONE,
        every: float | None = None,
        at: Instant | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
        jitter: float = 0.0,
        missed: str = "one",
        misfire_window: float = 60.0,
    ) -> None:
        """Declares a schedule: one of ``cron`` (in ``zone``), ``every`` (seconds) or ``at``.

        No fire is before ``start`` or after ``end``. ``jitter`` delays each job by up to so many seconds. A
        fire that is late by more than ``misfire_window`` seconds is missed: ``missed`` says what becomes of
        those, ``skip``, ``one`` (the latest), ``all`` or ``all(20)`` (the latest 20).

        Raises InvalidInput, MisuseError if another schedule has this id.
        """
        timing = timing_of(
            cron=cron,
            zone=zone,
            every=every,
            at=at,
            start=start,
            end=end,
            jitter=jitter,
            missed=missed,
            misfire_window=misfire_window,
        )
        request = job if isinstance(job, EnqueueRequest) else job.request()
        declared = Declared(id=checked_id(schedule_id), timing=timing, request=checked_request(request))
        if self._declared.setdefault(declared.id, declared) != declared:
            msg = f"two schedules are named {schedule_id!r}; give one of them another id"
            raise MisuseError(msg)

    async def put_into(self, operations: Operations) -> None:
        """Puts all of them. What has passed before it was ever put is left out.

        One that a newer program has put so that this one cannot read it is left as it is.

        Raises InvalidInput (UnknownJobType, InvalidPayload), StoreError.
        """
        if not self._declared:
            return
        there = await operations.schedules()
        known = {one.id for one in there}
        newer = {one.id for one in there if isinstance(one.timing.rule, Unknown)}
        now = operations.now()
        for one in self._declared.values():
            if one.id in newer:
                continue
            if one.id in known or one.timing.following(now, anchor=now) is not None:
                await operations.put_schedule(one.id, one.timing, one.request)


def timing_of(  # noqa: PLR0913 - one argument per option
    *,
    cron: str | None = None,
    zone: str = UTC_ZONE,
    every: float | None = None,
    at: Instant | None = None,
    start: Instant | None = None,
    end: Instant | None = None,
    jitter: float = 0.0,
    missed: str = "one",
    misfire_window: float = 60.0,
) -> Timing:
    """A timing from what people write; durations in seconds. Raises InvalidInput."""
    return Timing(
        rule=_rule(cron, zone, every, at),
        start=None if start is None else _instant(start, "start"),
        end=None if end is None else _instant(end, "end"),
        jitter_ms=_millis(jitter, "jitter"),
        catch_up=CatchUp.of(missed, window_ms=_millis(misfire_window, "misfireWindow")),
    )


def _rule(cron: str | None, zone: str, every: float | None, at: Instant | None) -> Rule:
    given = [name for name, value in (("cron", cron), ("every", every), ("at", at)) if value is not None]
    if len(given) > 1:
        msg = f"give one of cron, every and at, not {' and '.join(given)}"
        raise InvalidInput(msg, field="cron")
    if cron is not None:
        return Cron(expression=cron, zone=zone)
    if zone != UTC_ZONE:
        msg = "only cron takes a zone: every counts seconds, and at is an instant"
        raise InvalidInput(msg, field="zone")
    if every is not None:
        return Every(interval_ms=_millis(every, "every"))
    if at is not None:
        return Once(at=_instant(at, "at"))
    msg = "give one of cron, every and at"
    raise InvalidInput(msg, field="cron")


def _instant(value: Instant, what: str) -> int:
    if isinstance(value, int):
        return value
    if value.tzinfo is None:
        msg = f"{what} must be a datetime that knows its zone, or epoch milliseconds"
        raise InvalidInput(msg, field=what)
    return round(value.timestamp() * 1000)


def _millis(seconds: float, what: str) -> int:
    if not (math.isfinite(seconds) and abs(seconds) <= MAX_SECONDS):
        msg = f"{what} must be a number of seconds, a hundred years at most"
        raise InvalidInput(msg, field=what)
    return round(seconds * 1000)
