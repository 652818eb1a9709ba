"""Which treatment an exception gets: the table of known errors, extended by each job type."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from headrace.core.backoff import Backoff
from headrace.core.policy import ErrorClass
from headrace.errors import Exhausted, InvalidInput, Permanent, SignalTimeout, Transient

CLASSES: Final[tuple[tuple[type[BaseException], ErrorClass], ...]] = (
    (Permanent, ErrorClass.PERMANENT),
    (Transient, ErrorClass.TRANSIENT),
    (Exhausted, ErrorClass.RESOURCE),
    (InvalidInput, ErrorClass.PERMANENT),
    (SignalTimeout, ErrorClass.PERMANENT),
    (MemoryError, ErrorClass.RESOURCE),
    (PermissionError, ErrorClass.PERMANENT),
    (TimeoutError, ErrorClass.TRANSIENT),
    (ConnectionError, ErrorClass.TRANSIENT),
    (OSError, ErrorClass.TRANSIENT),
)

RETRYABLE_4XX: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY})
THROTTLED: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRules:
    """A job type's own additions: errors that are never retried, errors with a back-off of their own."""

    never: tuple[type[BaseException], ...] = ()
    on: Mapping[type[BaseException], Backoff] = field(default_factory=dict[type[BaseException], Backoff])

    def backoff_for(self, error: BaseException) -> Backoff | None:
        """The back-off for this error, by the most derived class that is listed."""
        for kind in type(error).__mro__:
            if kind in self.on:
                return self.on[kind]
        return None


NO_RULES: Final = ErrorRules()


def classify(error: BaseException, rules: ErrorRules = NO_RULES) -> ErrorClass:
    """The class of an error; an error that no table knows is transient."""
    if isinstance(error, rules.never):
        return ErrorClass.PERMANENT
    if rules.backoff_for(error) is not None:
        return ErrorClass.TRANSIENT
    status = http_status(error)
    if status is not None:
        return classify_status(status)
    for kind, error_class in CLASSES:
        if isinstance(error, kind):
            return error_class
    return ErrorClass.TRANSIENT


def classify_status(status: int) -> ErrorClass:
    """The class of an unsuccessful HTTP answer."""
    if status in THROTTLED:
        return ErrorClass.RESOURCE
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in RETRYABLE_4XX:
        return ErrorClass.PERMANENT
    return ErrorClass.TRANSIENT


def http_status(error: BaseException) -> int | None:
    """The status code that HTTP client errors carry as ``error.response.status_code``."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def retry_after_ms(error: BaseException, now: int) -> int | None:
    """How long the other side asks us to wait: ``Exhausted.retry_after`` or a ``Retry-After`` header."""
    if isinstance(error, Exhausted):
        seconds = error.retry_after
        return None if seconds is None or not math.isfinite(seconds) else max(0, round(seconds * 1000))
    headers = getattr(getattr(error, "response", None), "headers", None)
    value = headers.get("retry-after") if isinstance(headers, Mapping) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return parse_retry_after(value, now) if isinstance(value, str) else None


def parse_retry_after(value: str, now: int) -> int | None:
    """Milliseconds asked for by a ``Retry-After`` value (RFC 9110: seconds or an HTTP date)."""
    text = value.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:  # noqa: PLR2004 - 31 years of seconds
        return int(text) * 1000
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, round(moment.timestamp() * 1000) - now)
