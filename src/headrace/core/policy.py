"""What happens when attempts go wrong, as one value per job type and version.

The policy is kept in the store, so that a process without the application's code (a service, a
rescuer) decides exactly as the worker would.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self, cast

from headrace.core.backoff import Backoff, Jitter, stored_backoff
from headrace.core.breaker_rule import BreakerRule
from headrace.errors import InvalidInput

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
MAX_DURATION_MS: Final = 1_000 * 365 * DAY_MS
MIN_CRASHES: Final = 3
MAX_ATTEMPTS: Final = 10_000
MAX_GROWTH: Final = 1000.0


class ErrorClass(StrEnum):
    """Which treatment an error gets."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    RESOURCE = "resource"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long ended jobs stay. None means: no limit.

    Failed jobs are dead letters and stay until somebody deals with them, unless a limit is set. One that was
    dealt with stays for another ``discarded_age_ms``.
    """

    completed_age_ms: int | None = 7 * DAY_MS
    completed_count: int | None = None
    cancelled_age_ms: int | None = 7 * DAY_MS
    failed_age_ms: int | None = None
    failed_count: int | None = None
    discarded_age_ms: int = 7 * DAY_MS


DEFAULT_BACKOFF: Final = Backoff.exponential(2, cap=3600, jitter=Jitter.EQUAL)
RESOURCE_BACKOFF: Final = Backoff.linear(30, cap=900)
CRASH_BACKOFF: Final = Backoff.exponential(1, cap=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The retry, time-out and retention rules of one job type and version.

    ``timeout_growth`` multiplies the limit after each time-out, up to ``timeout_cap_ms``.
    ``retry_after_cap_ms`` bounds what a remote ``Retry-After`` may ask for. ``max_crashes`` is at
    least 3, because a job runs isolated from its second crash on and only a crash while isolated
    may fail it. ``dead_letter_queue`` gets a job of type ``dead_letter_type`` for each that failed.
    ``breaker`` is what its jobs wait for while it is open.
    """

    max_attempts: int = 3
    max_crashes: int = MIN_CRASHES
    max_snoozes: int = 1000
    backoff: Backoff = DEFAULT_BACKOFF
    resource_backoff: Backoff = RESOURCE_BACKOFF
    crash_backoff: Backoff = CRASH_BACKOFF
    timeout_ms: int | None = None
    timeout_growth: float = 1.0
    timeout_cap_ms: int = DAY_MS
    retry_after_cap_ms: int = DAY_MS
    dead_letter_queue: str | None = None
    dead_letter_type: str | None = None
    breaker: BreakerRule | None = None
    retention: Retention = field(default_factory=Retention)

    def __post_init__(self) -> None:
        if not 1 <= self.max_attempts <= MAX_ATTEMPTS:
            msg = f"max_attempts must lie between 1 and {MAX_ATTEMPTS}"
            raise InvalidInput(msg, field="maxAttempts")
        if self.max_crashes < MIN_CRASHES:
            msg = f"max_crashes must be at least {MIN_CRASHES}"
            raise InvalidInput(msg, field="maxCrashes")
        if self.timeout_ms is not None and self.timeout_ms <= 0:
            msg = "timeout must be positive"
            raise InvalidInput(msg, field="timeout")
        if not 1.0 <= self.timeout_growth <= MAX_GROWTH:
            msg = f"timeout_growth must lie between 1 and {MAX_GROWTH:.0f}"
            raise InvalidInput(msg, field="timeoutGrowth")

    def next_timeout_ms(self, current: int | None) -> int | None:
        """The limit of the attempt after one that timed out at ``current``."""
        if current is None:
            return None
        return max(current, min(round(current * self.timeout_growth), self.timeout_cap_ms))

    def dumps(self) -> str:
        """The policy as a JSON text that ``loads`` reads back."""
        fields: dict[str, object] = {name: getattr(self, name) for name in _PLAIN}
        fields |= {name: getattr(self, name).to_json() for name in _BACKOFFS}
        fields["retention"] = {name: getattr(self.retention, name) for name in Retention.__slots__}
        if self.breaker is not None:
            fields["breaker"] = self.breaker.to_json()
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> Self:
        """Reads what ``dumps`` wrote; fields a newer version added are passed over."""
        raw = cast("Mapping[str, Any]", json.loads(text))
        fields: dict[str, Any] = {name: raw[name] for name in _PLAIN if name in raw}
        fields |= {
            name: stored_backoff(raw[name], default) for name, default in _BACKOFFS.items() if name in raw
        }
        kept: Mapping[str, Any] = raw.get("retention", {})
        fields["retention"] = Retention(**{k: v for k, v in kept.items() if k in Retention.__slots__})
        if "breaker" in raw:
            fields["breaker"] = BreakerRule.from_json(raw["breaker"])
        return cls(**fields)


_PLAIN: Final = (
    "max_attempts",
    "max_crashes",
    "max_snoozes",
    "timeout_ms",
    "timeout_growth",
    "timeout_cap_ms",
    "retry_after_cap_ms",
    "dead_letter_queue",
    "dead_letter_type",
)
_BACKOFFS: Final = {
    "backoff": DEFAULT_BACKOFF,
    "resource_backoff": RESOURCE_BACKOFF,
    "crash_backoff": CRASH_BACKOFF,
}
