"""From a stored payload to the arguments of today's handler, and from what it returned to a stored result.

decode (codec) → carry forward (upgrades) → validate. A job keeps the version it was enqueued with; what is
carried forward is never written back, so that an older worker could still run it.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from headrace.core import wire
from headrace.core.job import Facts
from headrace.engine.codec import CodedResults, ReadsResults, plain_payload, stored_result
from headrace.engine.registry import Registered
from headrace.errors import FieldError, InvalidPayload, Permanent, Snooze

NEWER_AGAIN_S: Final = 60.0


def arguments_of(kind: Registered, facts: Facts) -> dict[str, Any]:
    """The keyword arguments that a job's payload stands for.

    Raises InvalidPayload, which names each wrong field; Permanent where an upgrade is missing or fails;
    Undecodable; Snooze for a version that is newer than the one known here.
    """
    if kind.codec is None and facts.version == kind.info.version:
        return kind.payload.decode(facts.payload)
    text = plain_payload(kind.codec, facts.type, facts.payload)
    if facts.version != kind.info.version:
        text = _carried_forward(kind, facts.version, text)
    try:
        return kind.payload.decode(text)
    except InvalidPayload as error:
        if kind.codec is None:
            raise
        raise _without_content(error) from None  # its cause quotes the payload


def kept_result(kind: Registered, value: object) -> str | None:
    """What a handler returned, as the JSON text that is stored. Raises InvalidInput if it cannot be kept."""
    text = kind.payload.encode_result(value)
    if kind.codec is None or text is None:
        return text
    return stored_result(kind.codec, kind.info.name, text)


def results_of(kind: Registered) -> ReadsResults:
    """What reads the results of a job type."""
    if kind.codec is None:
        return kind.payload
    return CodedResults(kind.info.name, kind.codec, kind.payload)


def _without_content(error: InvalidPayload) -> InvalidPayload:
    """Names the fields and no more: messages of validators, and keys further inside, may be content."""
    fields = dict.fromkeys("/".join(one.pointer.split("/")[:2]) for one in error.errors)
    told = tuple(FieldError(pointer=field, message="does not fit the schema") for field in fields)
    return InvalidPayload(error.job_type, told)


def _carried_forward(kind: Registered, version: int, text: str) -> str:
    """The payload of an older version as that of today's, one upgrade after the other."""
    name, wanted = kind.info.name, kind.info.version
    if version > wanted:
        msg = f"{name}: the payload is of version {version}, this worker knows up to {wanted}"
        raise Snooze(NEWER_AGAIN_S, msg)
    payload = cast("dict[str, Any]", json.loads(text))
    for number in range(version, wanted):
        payload = _upgraded(kind, number, payload)
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def _upgraded(kind: Registered, version: int, payload: dict[str, Any]) -> dict[str, Any]:
    upgrade = kind.upgrades.get(version)
    if upgrade is None:
        known = ", ".join(map(str, sorted(kind.upgrades))) or "none"
        msg = (
            f"{kind.info.name}: no upgrade carries a payload of version {version} to {version + 1} (upgrades "
            f"from: {known}); add upgrades={{{version}: function}} to the job type and retry the job"
        )
        raise Permanent(msg)
    failed = f"{kind.info.name}: the upgrade from version {version} failed"
    try:
        made = cast("object", upgrade(payload))  # whatever it says it returns
        if not isinstance(made, Mapping):
            msg = f"it returned {type(made).__name__}, not a payload"
            raise TypeError(msg)
        carried = cast("Mapping[str, Any]", made)
        wire.encode(carried)
        return dict(carried)
    except Exception as error:  # boundary: an upgrade is the program's own code
        if kind.codec is not None:  # what it says may hold the content
            raise Permanent(f"{failed}: {type(error).__name__}") from None
        raise Permanent(f"{failed}: {type(error).__name__}: {error}") from error
