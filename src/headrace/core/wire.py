"""JSON in and out, times in and out: what the engine accepts, and what every face shows of a job.

Payloads, results and notes are JSON texts. What cannot be kept identically by every store (NaN,
infinities, lone surrogates, too deep or too large values) is refused before anything is written.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias, cast

from headrace.core.job import Job
from headrace.core.states import State, four_words
from headrace.errors import InvalidInput, TooLarge

MAX_DEPTH: Final = 64
MAX_DIGITS: Final = 4300
MAX_PAYLOAD_BYTES: Final = 1024 * 1024
MAX_INSTANT_MS: Final = 253_402_300_799_999

_LONG_NUMBER: Final = re.compile(rf"(?<![0-9])[0-9]{{{MAX_DIGITS + 1}}}")

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None


def encode(value: object, *, limit: int = MAX_PAYLOAD_BYTES, what: str = "payload") -> str:
    """The value as a compact JSON text. Raises InvalidInput or TooLarge naming ``what``."""
    try:
        _refuse_other_keys(value)
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"{what} cannot be kept as JSON: {error}"
        raise InvalidInput(msg, field=what) from error
    return checked(text, limit=limit, what=what)


def checked(text: str, *, limit: int = MAX_PAYLOAD_BYTES, what: str = "payload") -> str:
    """A JSON text that is already well formed, once its size, depth and characters are accepted."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        msg = f"{what} holds a lone surrogate, which is not text"
        raise InvalidInput(msg, field=what) from error
    if size > limit:
        msg = f"{what} is {size} bytes, the limit is {limit}; store large data as a file and pass its id"
        raise TooLarge(msg, field=what)
    if "\\u" in text and _has_lone_escape(text):
        msg = f"{what} holds a lone surrogate, which is not text"
        raise InvalidInput(msg, field=what)
    if len(text) > MAX_DIGITS and _has_long_number(text):
        msg = f"{what} holds a number of more than {MAX_DIGITS} digits"
        raise InvalidInput(msg, field=what)
    if depth_of(text) > MAX_DEPTH:
        msg = f"{what} is nested more than {MAX_DEPTH} levels deep"
        raise InvalidInput(msg, field=what)
    return text


def depth_of(text: str) -> int:
    """How deep the brackets of a JSON text nest, brackets in strings not counted."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    in_string = escaped = False
    for char in text:
        if in_string:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def decode(text: str | bytes, *, what: str = "body") -> Json:
    """Parses JSON strictly: no NaN or infinity, no duplicate keys, bounded depth. Raises InvalidInput."""
    try:
        value: Json = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique_object
        )
    except (ValueError, RecursionError) as error:
        msg = f"{what} is not valid JSON: {error}"
        raise InvalidInput(msg, field=what) from error
    return value


def to_iso(instant: int | None) -> str | None:
    """Milliseconds since the epoch as ISO 8601 in UTC with a Z; whole seconds without a fraction."""
    if instant is None:
        return None
    seconds, millis = divmod(instant, 1000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{millis:03d}Z" if millis else f"{text}Z"


def from_iso(text: str, *, what: str = "scheduledFor") -> int:
    """Parses an ISO 8601 instant that names its offset. Raises InvalidInput."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{what} {text!r} is not an ISO 8601 time such as 2026-01-31T09:30:00Z"
        raise InvalidInput(msg, field=what) from error
    if moment.tzinfo is None:
        msg = f"{what} {text!r} names no offset; end it with Z or +hh:mm"
        raise InvalidInput(msg, field=what)
    return checked_instant(round(moment.timestamp() * 1000), what)


def checked_instant(instant: int, what: str) -> int:
    """The instant if it lies between 1970 and 9999. Raises InvalidInput."""
    if not 0 <= instant <= MAX_INSTANT_MS:
        msg = f"{what} must lie between the years 1970 and 9999"
        raise InvalidInput(msg, field=what)
    return instant


def job_to_json(job: Job) -> dict[str, Json]:
    """A job as every door shows it (camelCase; ``status`` has four words, ``state`` all six)."""
    facts, placement = job.facts, job.placement
    return {
        "id": facts.id,
        "type": facts.type,
        "status": four_words(placement.state).value,
        "state": placement.state.value,
        "queue": facts.queue,
        "priority": placement.priority,
        "attempts": job.attempts,
        "maxAttempts": facts.max_attempts,
        "payload": json.loads(facts.payload),
        "result": None if placement.result is None else json.loads(placement.result),
        "resultUrl": None,
        "error": error_text(job),
        "progress": None if job.progress is None else json.loads(job.progress),
        "uniqueKey": facts.unique_key,
        "batchId": facts.batch_id,
        "tags": list(facts.tags),
        "scheduledFor": to_iso(placement.due_at),
        "createdAt": to_iso(facts.created_at),
        "startedAt": to_iso(placement.started_at),
        "completedAt": to_iso(placement.ended_at),
        "parkedOn": placement.parked_on,
        "cancelRequested": placement.cancel_asked_at is not None and placement.live,
    }


def error_text(job: Job) -> str | None:
    """The job's error in one line: its last error's message, or the word for a cancelled job."""
    if job.state is State.CANCELLED:
        return State.CANCELLED.value
    if job.placement.error is None:
        return None
    error: Mapping[str, object] = json.loads(job.placement.error)
    return str(error.get("message") or error.get("type"))


def _refuse_other_keys(value: object) -> None:
    """JSON's keys are texts: ``json.dumps`` would turn 1 into "1", and {1: …, "1": …} into a double key."""
    if isinstance(value, dict):
        for key, inner in cast("dict[object, object]", value).items():
            if not isinstance(key, str):
                msg = f"the key {key!r} is not a text"
                raise TypeError(msg)
            _refuse_other_keys(inner)
    elif isinstance(value, (list, tuple)):
        for inner in cast("list[object]", value):
            _refuse_other_keys(inner)


def _refuse_constant(name: str) -> Json:
    msg = f"{name} is not a JSON number"
    raise ValueError(msg)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        msg = f"{text[:40]} is too large a number"
        raise ValueError(msg)
    return number


def _unique_object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        msg = f"the key {twice!r} stands twice in one object"
        raise ValueError(msg)
    return value


def _has_long_number(text: str) -> bool:
    """Whether Python would refuse to read a number back (``sys.set_int_max_str_digits``)."""
    if _LONG_NUMBER.search(text) is None:
        return False
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


def _has_lone_escape(text: str) -> bool:
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
