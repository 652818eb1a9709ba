"""A schedule as it is kept: when, what, and how far it has come; what may happen to it; its JSON.

Kept as a register ``schedule:ID`` that is due at the next nominal instant. Every change is a
compare-and-set of that register, so any number of schedulers agree (C32).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, assert_never, cast

from headrace.core.backoff import Backoff
from headrace.core.firing import Firing, firing
from headrace.core.request import MAX_TAGS, EnqueueRequest
from headrace.core.schedule import CatchUp, Cron, Every, Missed, Once, Rule, Timing, Unknown
from headrace.core.unique import OnConflict, Unique, Until
from headrace.core.wishes import Wishes
from headrace.errors import InvalidInput

KIND: Final = "schedule"
_OWN_TAGS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule. ``request`` is its job with the payload encoded, for version ``version`` of the job type.

    ``next_at`` is the next nominal instant, None when all are over; ``anchor`` is where intervals count from.
    ``fired`` and ``skipped`` count fires; ``skipped_at`` is when some were skipped last, ``error`` why the
    last try to fire was put off.
    """

    id: str
    timing: Timing
    request: EnqueueRequest
    version: int
    anchor: int
    next_at: int | None
    created_at: int
    changed_at: int
    paused_at: int | None = None
    fired: int = 0
    last_at: int | None = None
    skipped: int = 0
    skipped_at: int | None = None
    triggered_at: int | None = None
    error: str | None = None

    @property
    def due_at(self) -> int | None:
        """When a scheduler has to look at it; None while it is paused or over."""
        return None if self.paused_at is not None else self.next_at

    def next_fires(self, count: int) -> tuple[int, ...]:
        """The next nominal instants, ``count`` at most; none while it is paused."""
        if self.due_at is None:
            return ()
        return (self.due_at, *self.timing.next_fires(count - 1, self.due_at, anchor=self.anchor))

    def firing(self, now: int) -> Firing:
        """Which fires are to be made now; ``due_at`` must have come."""
        if self.due_at is None:
            return Firing(fires=(), skipped=0, next_at=self.next_at)
        return firing(self.timing, anchor=self.anchor, next_at=self.due_at, now=now)


def key_of(schedule_id: str) -> str:
    """The register that keeps a schedule."""
    return f"{KIND}:{schedule_id}"


def put(  # noqa: PLR0913 - a schedule is made of exactly these
    known: Schedule | None,
    schedule_id: str,
    timing: Timing,
    request: EnqueueRequest,
    *,
    version: int,
    now: int,
) -> Schedule:
    """The schedule after it was put at ``now``.

    Instants that have passed never fire because of an edit (C35): with other instants it goes on with the
    first one to come. With the same instants it goes on where it was, so that a program that declares it
    again at its start loses no fire that was missed meanwhile. A pause stays.
    """
    if known is None:
        return Schedule(
            id=schedule_id,
            timing=timing,
            request=request,
            version=version,
            anchor=now,
            next_at=timing.following(now, anchor=now),
            created_at=now,
            changed_at=now,
        )
    if (known.timing, known.request, known.version) == (timing, request, version):
        return known
    changed = replace(known, timing=timing, request=request, version=version, changed_at=now, error=None)
    if known.timing.same_instants(timing):
        return changed
    floor = max(now, known.last_at or 0)
    return replace(changed, anchor=now, next_at=timing.following(floor, anchor=now))


def fired(schedule: Schedule, done: Firing, *, now: int) -> Schedule:
    """The schedule after these fires."""
    return replace(
        schedule,
        next_at=done.next_at,
        fired=schedule.fired + len(done.fires),
        last_at=done.fires[-1] if done.fires else schedule.last_at,
        skipped=schedule.skipped + done.skipped,
        skipped_at=now if done.skipped else schedule.skipped_at,
        error=None,
    )


def paused(schedule: Schedule, *, now: int) -> Schedule:
    """The schedule while it is paused: nothing fires."""
    return schedule if schedule.paused_at is not None else replace(schedule, paused_at=now)


def resumed(schedule: Schedule, *, now: int) -> Schedule:
    """The schedule after a pause. What fell into the pause is neither fired nor counted as skipped."""
    if schedule.paused_at is None:
        return schedule
    floor = max(now, schedule.last_at or 0)
    return replace(schedule, paused_at=None, next_at=schedule.timing.following(floor, anchor=schedule.anchor))


def checked_request(request: EnqueueRequest) -> EnqueueRequest:
    """The request if a schedule can repeat it. Raises InvalidInput."""
    for name, field in (("delay_ms", "delay"), ("due_at", "scheduledFor")):
        if getattr(request, name) is not None:
            msg = f"a schedule says itself when its jobs are due: leave {field} out"
            raise InvalidInput(msg, field=field)
    if request.idempotency_key is not None:
        msg = "each fire has an idempotency key of its own: leave it out"
        raise InvalidInput(msg, field="idempotencyKey")
    if request.batch_id is not None:
        msg = "the job of a schedule cannot join a batch"
        raise InvalidInput(msg, field="batchId")
    if request.after:
        raise InvalidInput("the job of a schedule waits for its time only: leave after away", field="after")
    unique = request.unique
    if unique is not None and (unique.period_ms is not None or unique.on_conflict is OnConflict.REJECT):
        msg = (
            "the unique key of a schedule's job takes existing (none while one is live) or replace, no period"
        )
        raise InvalidInput(msg, field="uniqueKey")
    if len(request.tags) > MAX_TAGS - _OWN_TAGS:
        msg = f"the job of a schedule has at most {MAX_TAGS - _OWN_TAGS} tags of your own"
        raise InvalidInput(msg, field="tags")
    return request


def dumps(schedule: Schedule) -> str:
    """The schedule as a JSON text that ``loads`` reads back."""
    told: dict[str, object] = {name: getattr(schedule, name) for name in _PLAIN}
    told["timing"] = _timing_to_json(schedule.timing)
    told["request"] = _request_to_json(schedule.request)
    return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def loads(text: str) -> Schedule:
    """Reads what ``dumps`` wrote; fields that a newer version added are passed over.

    Raises InvalidInput, KeyError or ValueError for a rule that only a newer version, or another machine's
    table of time zones, knows.
    """
    raw = cast("Mapping[str, Any]", json.loads(text))
    return Schedule(
        timing=_timing_from_json(raw["timing"]),
        request=_request_from_json(raw["request"]),
        **{name: raw[name] for name in _PLAIN if name in raw},
    )


_PLAIN: Final = tuple(name for name in Schedule.__slots__ if name not in {"timing", "request"})
_REQUEST: Final = ("type", "payload", "queue", "priority", "max_attempts", "timeout_ms")


def _timing_to_json(timing: Timing) -> dict[str, object]:
    told: dict[str, object] = asdict(timing.catch_up)
    told |= {"start": timing.start, "end": timing.end, "jitter_ms": timing.jitter_ms}
    match timing.rule:
        case Cron(expression=expression, zone=zone):
            return told | {"cron": expression, "zone": zone}
        case Every(interval_ms=interval):
            return told | {"every_ms": interval}
        case Once(at=at):
            return told | {"at": at}
        case Unknown(why=why):
            raise InvalidInput(why, field="schedule")
        case _:
            assert_never(timing.rule)


def _timing_from_json(raw: Mapping[str, Any]) -> Timing:
    catch_up = CatchUp(missed=Missed(raw["missed"]), at_most=raw["at_most"], window_ms=raw["window_ms"])
    return Timing(
        rule=_rule_from_json(raw),
        start=raw["start"],
        end=raw["end"],
        jitter_ms=raw["jitter_ms"],
        catch_up=catch_up,
    )


def _rule_from_json(raw: Mapping[str, Any]) -> Rule:
    if "cron" in raw:
        return Cron(expression=raw["cron"], zone=raw["zone"])
    if "every_ms" in raw:
        return Every(interval_ms=raw["every_ms"])
    return Once(at=raw["at"])


def _request_to_json(request: EnqueueRequest) -> dict[str, object]:
    told: dict[str, object] = {name: getattr(request, name) for name in _REQUEST}
    told["tags"] = list(request.tags)
    if request.wishes is not None:
        told["wishes"] = request.wishes.dumps()
    if request.backoff is not None:
        told["backoff"] = request.backoff.to_json()
    if request.unique is not None:
        unique = request.unique
        told["unique"] = {"key": unique.key, "until": unique.until, "on_conflict": unique.on_conflict}
    return told


def _request_from_json(raw: Mapping[str, Any]) -> EnqueueRequest:
    backoff, unique, wishes = raw.get("backoff"), raw.get("unique"), raw.get("wishes")
    return EnqueueRequest(
        **{name: raw[name] for name in _REQUEST},
        encoded=True,
        tags=tuple(raw["tags"]),
        backoff=None if backoff is None else Backoff.from_json(backoff),
        wishes=None if wishes is None else Wishes.loads(wishes),
        unique=None
        if unique is None
        else Unique(
            key=unique["key"],
            until=Until(unique["until"]),
            on_conflict=OnConflict(unique["on_conflict"]),
        ),
    )
