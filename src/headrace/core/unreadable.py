"""Schedules that only another version can read, or a machine with other time zones.

Programs are exchanged one by one (C50): a newer one may have put a schedule with a rule that this one does
not know. It is left as it is, and must not hide the others.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from headrace.core.ids import checked_name
from headrace.core.request import EnqueueRequest
from headrace.core.schedule import Timing, Unknown
from headrace.core.scheduled import Schedule, loads
from headrace.errors import InvalidInput

UNREADABLE: Final = (InvalidInput, KeyError, TypeError, ValueError)
"""What ``loads`` raises for what only others can read."""
_NO_TYPE: Final = "unknown"


def shown(schedule_id: str, text: str) -> Schedule:
    """The schedule as it can be shown: of one that cannot be read the rule is ``Unknown``."""
    try:
        return loads(text)
    except UNREADABLE as error:
        return _unknown(schedule_id, text, why_unreadable(error))


def why_unreadable(error: Exception) -> str:
    """What of a schedule is not known here."""
    told = f"no {error}" if isinstance(error, KeyError) else str(error)
    return f"only another version or machine can read it: {told}"


def _unknown(schedule_id: str, text: str, why: str) -> Schedule:
    raw = _object_of(text)
    return Schedule(
        id=schedule_id,
        timing=Timing(rule=Unknown(why=why)),
        request=EnqueueRequest(type=_type_of(raw.get("request")), payload="null", encoded=True),
        error=why,
        version=_number(raw, "version") or 0,
        anchor=_number(raw, "anchor") or 0,
        next_at=_number(raw, "next_at"),
        created_at=_number(raw, "created_at") or 0,
        changed_at=_number(raw, "changed_at") or 0,
        paused_at=_number(raw, "paused_at"),
        fired=_number(raw, "fired") or 0,
        last_at=_number(raw, "last_at"),
        skipped=_number(raw, "skipped") or 0,
        skipped_at=_number(raw, "skipped_at"),
        triggered_at=_number(raw, "triggered_at"),
    )


def _number(raw: Mapping[str, Any], name: str) -> int | None:
    found = raw.get(name)
    return found if isinstance(found, int) else None


def _object_of(text: str) -> Mapping[str, Any]:
    try:
        raw = json.loads(text)
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", raw) if isinstance(raw, dict) else {}


def _type_of(request: object) -> str:
    found = cast("Mapping[str, object]", request).get("type") if isinstance(request, dict) else None
    try:
        return checked_name(found, "type") if isinstance(found, str) else _NO_TYPE
    except InvalidInput:
        return _NO_TYPE
