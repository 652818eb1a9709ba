"""When a circuit breaker opens, as one value that is kept with the policy of a job type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from headrace.core.ids import checked_name
from headrace.errors import InvalidInput

MAX_FAILURES: Final = 1_000
MAX_PROBES: Final = 1_000
MAX_MS: Final = 31 * 24 * 3_600_000
MAX_ERRORS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRule:
    """A breaker opens after ``failures`` within ``window_ms`` without a good answer between them.

    It stays open for ``cooldown_ms``, twice as long each time that it opens again at once, up to
    ``max_cooldown_ms``; then at most ``probes`` of its jobs run at a time. ``on`` holds the error classes and
    names of exceptions that count as failures. Raises InvalidInput for numbers out of bounds.
    """

    name: str
    on: tuple[str, ...]
    failures: int = 5
    window_ms: int = 60_000
    cooldown_ms: int = 30_000
    max_cooldown_ms: int = 600_000
    probes: int = 1

    def __post_init__(self) -> None:
        checked_name(self.name, "breaker")
        _check(1 <= self.failures <= MAX_FAILURES, f"failures must lie between 1 and {MAX_FAILURES}")
        _check(1 <= self.probes <= MAX_PROBES, f"probes must lie between 1 and {MAX_PROBES}")
        _check(1 <= self.window_ms <= MAX_MS, "window must be positive, and at most 31 days")
        _check(
            1 <= self.cooldown_ms <= self.max_cooldown_ms <= MAX_MS,
            "cooldown must be positive and at most max_cooldown, which is at most 31 days",
        )
        _check(1 <= len(self.on) <= MAX_ERRORS, f"on must name 1 to {MAX_ERRORS} error classes or exceptions")

    def to_json(self) -> dict[str, object]:
        """A JSON object that ``from_json`` reads back."""
        told: dict[str, object] = {name: getattr(self, name) for name in _NUMBERS}
        return told | {"name": self.name, "on": list(self.on)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Reads what ``to_json`` wrote; what a newer version added is passed over."""
        numbers = {name: raw[name] for name in _NUMBERS if name in raw}
        return cls(name=raw["name"], on=tuple(raw["on"]), **numbers)


_NUMBERS: Final = ("failures", "window_ms", "cooldown_ms", "max_cooldown_ms", "probes")


def _check(good: bool, message: str) -> None:  # noqa: FBT001 - the condition itself
    if not good:
        raise InvalidInput(f"of a breaker, {message}", field="breaker")
