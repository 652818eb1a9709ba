"""From a job as JSON to an EnqueueRequest, field by field.

Written by hand because ``POST /jobs`` is the hot path; the command line uses it too. Every key must
be known, every value of its type; null stands for absent. What the values may be is the business of
``EnqueueRequest`` (C8).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from headrace.core.request import EnqueueRequest, priority_named
from headrace.core.unique import OnConflict, Unique, Until
from headrace.core.wire import Json, from_iso
from headrace.errors import InvalidInput

MAX_SECONDS: Final = 3_155_760_000
"""A hundred years: the longest duration that is taken."""

_Reader = Callable[[str, Json], Any]


def enqueue_request(body: Json, key: str | None = None) -> EnqueueRequest:
    """The request that a body asks for; ``key`` is the Idempotency-Key header's.

    Raises InvalidInput naming the field.
    """
    if not isinstance(body, Mapping):
        raise InvalidInput("a job must be a JSON object")
    if unknown := [name for name in body if name not in _READERS and name not in _UNIQUE]:
        shown = ", ".join(repr(name[:80]) for name in unknown[:10])
        msg = f"unknown field {shown}; known are {', '.join(FIELDS)}"
        raise InvalidInput(msg, field=unknown[0][:80])
    fields: dict[str, Any] = {"payload": {}}
    for name, value in body.items():
        if name in _READERS and (value is not None or name in _REQUIRED):
            target, read = _READERS[name]
            fields[target] = read(name, value)
    if "type" not in fields:
        raise InvalidInput("type is missing: the name of a job type", field="type")
    if not _UNIQUE.keys().isdisjoint(body):
        fields["unique"] = _unique(body)
    if key is not None and fields.setdefault("idempotency_key", key) != key:
        msg = "the header and the body name different idempotency keys"
        raise InvalidInput(msg, field="idempotencyKey")
    return EnqueueRequest(**fields)


def _unique(body: Mapping[str, Json]) -> Unique | None:
    given = {
        target: read(name, value)
        for name, (target, read) in _UNIQUE.items()
        if (value := body.get(name)) is not None
    }
    if given and "key" not in given:
        name = next(name for name, (target, _) in _UNIQUE.items() if target in given)
        raise InvalidInput(f"{name} needs a uniqueKey", field=name)
    return Unique(**given) if given else None


def _text(name: str, value: Json) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "a string", value)
    return value


def _whole(name: str, value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(name, "a whole number", value)
    return value


def _object(name: str, value: Json) -> Json:
    if not isinstance(value, Mapping):
        raise _wrong(name, "a JSON object", value)
    return value


def _priority(name: str, value: Json) -> int:
    if isinstance(value, str):
        return priority_named(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(name, "a whole number or the name of a tier", value)
    return value


def _millis(name: str, value: Json) -> int:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong(name, "a number of seconds", value)
    if not -MAX_SECONDS <= value <= MAX_SECONDS:
        raise InvalidInput(f"{name} must be less than a hundred years, in seconds", field=name)
    return round(value * 1000)


def _instant(name: str, value: Json) -> int:
    return from_iso(_text(name, value), what=name)


def _tags(name: str, value: Json) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _wrong(name, "a list of strings", value)
    return tuple(_text(name, one) for one in value)


def _on_conflict(name: str, value: Json) -> OnConflict:
    try:
        return OnConflict(_text(name, value))
    except ValueError as error:
        raise _wrong(name, f"one of {', '.join(OnConflict)}", value) from error


def _until(name: str, value: Json) -> Until:
    try:
        return Until(_text(name, value))
    except ValueError as error:
        raise _wrong(name, f"one of {', '.join(Until)}", value) from error


_REQUIRED: Final = frozenset({"type", "payload"})

_READERS: Final[Mapping[str, tuple[str, _Reader]]] = {
    "type": ("type", _text),
    "payload": ("payload", _object),
    "queue": ("queue", _text),
    "priority": ("priority", _priority),
    "maxAttempts": ("max_attempts", _whole),
    "scheduledFor": ("due_at", _instant),
    "delay": ("delay_ms", _millis),
    "timeout": ("timeout_ms", _millis),
    "idempotencyKey": ("idempotency_key", _text),
    "batchId": ("batch_id", _text),
    "tags": ("tags", _tags),
}

_UNIQUE: Final[Mapping[str, tuple[str, _Reader]]] = {
    "uniqueKey": ("key", _text),
    "onConflict": ("on_conflict", _on_conflict),
    "until": ("until", _until),
    "period": ("period_ms", _millis),
}

FIELDS: Final = (*_READERS, *_UNIQUE)
"""Every key a job's body may hold."""


def _wrong(name: str, wanted: str, value: Json) -> InvalidInput:
    return InvalidInput(f"{name} must be {wanted}, not {_kind(value)}", field=name)


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return f"the string {value[:40]!r}"
        case int() | float():
            return f"the number {value!r}"[:60]
        case Mapping():
            return "an object"
        case _:
            return "a list"
