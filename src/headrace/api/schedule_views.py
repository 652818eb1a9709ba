"""What is shown of a schedule."""

import json
from typing import Final, assert_never

from headrace.core.schedule import Cron, Every, Missed, Once, Timing, Unknown, in_zone
from headrace.core.scheduled import Schedule
from headrace.core.wire import Json, to_iso

FIRES_SHOWN: Final = 5


def schedule_to_json(schedule: Schedule) -> dict[str, Json]:
    """A schedule with its next five fires, in its zone and in UTC; durations in seconds."""
    timing, request = schedule.timing, schedule.request
    fires: list[Json] = [
        {"at": to_iso(at), "local": in_zone(at, timing.zone)} for at in schedule.next_fires(FIRES_SHOWN)
    ]
    return {
        "id": schedule.id,
        "type": request.type,
        "payload": json.loads(str(request.payload)),
        "queue": request.queue,
        **_rule_to_json(timing),
        "start": to_iso(timing.start),
        "end": to_iso(timing.end),
        "jitter": timing.jitter_ms / 1000,
        "missed": _missed_text(timing),
        "misfireWindow": timing.catch_up.window_ms / 1000,
        "nextFires": fires,
        "pausedAt": to_iso(schedule.paused_at),
        "fired": schedule.fired,
        "lastFire": to_iso(schedule.last_at),
        "skipped": schedule.skipped,
        "skippedAt": to_iso(schedule.skipped_at),
        "triggeredAt": to_iso(schedule.triggered_at),
        "error": schedule.error,
        "createdAt": to_iso(schedule.created_at),
        "changedAt": to_iso(schedule.changed_at),
    }


def rule_text(timing: Timing) -> str:
    """When it fires, in a few characters."""
    match timing.rule:
        case Cron(expression=expression):
            return expression
        case Every(interval_ms=interval):
            return f"every {interval / 1000:g} s"
        case Once(at=at):
            return f"at {to_iso(at)}"
        case Unknown():
            return "unknown"
        case _:
            assert_never(timing.rule)


def _rule_to_json(timing: Timing) -> dict[str, Json]:
    match timing.rule:
        case Cron(expression=expression, zone=zone):
            return {"cron": expression, "zone": zone}
        case Every(interval_ms=interval):
            return {"every": interval / 1000}
        case Once(at=at):
            return {"at": to_iso(at)}
        case Unknown(why=why):
            return {"unknown": why}
        case _:
            assert_never(timing.rule)


def _missed_text(timing: Timing) -> str:
    catch_up = timing.catch_up
    return f"all({catch_up.at_most})" if catch_up.missed is Missed.ALL else catch_up.missed.value
