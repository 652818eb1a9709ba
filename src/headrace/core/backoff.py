"""How long to wait before the next attempt, as values that survive JSON.

All durations are integer milliseconds. Attempts are counted from 1: the first failure asks for
the delay of attempt 1.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self, cast

from headrace.errors import InvalidInput

MAX_DELAY_MS: Final = 366 * 24 * 3600 * 1000
_MAX_TABLE: Final = 100


class Shape(StrEnum):
    """How the delay grows with the attempt number."""

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    TABLE = "table"


class Jitter(StrEnum):
    """How chance changes a delay ``d``.

    ``full``: uniform in [0, d]. ``equal``: uniform in [d/2, d]. ``additive``: up to ``spread`` more,
    added before the cap.
    """

    NONE = "none"
    FULL = "full"
    EQUAL = "equal"
    ADDITIVE = "additive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """A back-off formula.

    fixed: ``base`` · linear: ``base * n`` · exponential: ``base * factor ** (n - 1)`` ·
    table: the n-th entry, the last one for ever after. Each is capped at ``cap_ms``; additive
    jitter is added before the cap, the other kinds apply after it, so no delay passes the cap.
    """

    shape: Shape
    base_ms: int = 0
    factor: float = 2.0
    cap_ms: int = MAX_DELAY_MS
    table_ms: tuple[int, ...] = ()
    jitter: Jitter = Jitter.NONE
    spread_ms: int = 0

    def __post_init__(self) -> None:
        delays = (self.base_ms, self.cap_ms, self.spread_ms, *self.table_ms)
        if not all(0 <= delay <= MAX_DELAY_MS for delay in delays):
            msg = f"back-off delays must lie between 0 and {MAX_DELAY_MS} ms"
            raise InvalidInput(msg, field="backoff")
        if not 1.0 <= self.factor <= 1000.0:  # noqa: PLR2004 - bounds of a sane growth factor
            msg = "back-off factor must lie between 1 and 1000"
            raise InvalidInput(msg, field="backoff")
        if (self.shape is Shape.TABLE) != bool(self.table_ms) or len(self.table_ms) > _MAX_TABLE:
            msg = f"a back-off table needs 1 to {_MAX_TABLE} entries, other shapes none"
            raise InvalidInput(msg, field="backoff")

    @classmethod
    def fixed(cls, seconds: float) -> Self:
        """The same delay each time."""
        return cls(shape=Shape.FIXED, base_ms=_millis(seconds))

    @classmethod
    def linear(cls, seconds: float, *, cap: float | None = None) -> Self:
        """``seconds * n``."""
        return cls(shape=Shape.LINEAR, base_ms=_millis(seconds), cap_ms=_cap(cap))

    @classmethod
    def exponential(
        cls,
        seconds: float,
        *,
        factor: float = 2.0,
        cap: float | None = None,
        jitter: Jitter = Jitter.NONE,
        spread: float = 0.0,
    ) -> Self:
        """``seconds * factor ** (n - 1)``, never above ``cap`` seconds."""
        return cls(
            shape=Shape.EXPONENTIAL,
            base_ms=_millis(seconds),
            factor=factor,
            cap_ms=_cap(cap),
            jitter=jitter,
            spread_ms=_millis(spread),
        )

    @classmethod
    def table(cls, *seconds: float) -> Self:
        """The delays given, in order; the last one repeats."""
        return cls(shape=Shape.TABLE, table_ms=tuple(_millis(second) for second in seconds))

    def delay_ms(self, attempt: int, rng: random.Random) -> int:
        """The delay after the ``attempt``-th failure (from 1), in milliseconds."""
        plain = self._plain(max(1, attempt))
        if self.jitter is Jitter.ADDITIVE:
            plain += rng.uniform(0, self.spread_ms)
        capped = min(plain, self.cap_ms)
        match self.jitter:
            case Jitter.NONE | Jitter.ADDITIVE:
                return round(capped)
            case Jitter.FULL:
                return round(rng.uniform(0, capped))
            case Jitter.EQUAL:
                return round(capped / 2 + rng.uniform(0, capped / 2))

    def _plain(self, attempt: int) -> float:
        match self.shape:
            case Shape.FIXED:
                return self.base_ms
            case Shape.LINEAR:
                return self.base_ms * attempt
            case Shape.EXPONENTIAL:
                # beyond 64 doublings every cap is passed; the bound keeps the power finite
                return min(self.base_ms * self.factor ** min(attempt - 1, 64), float(MAX_DELAY_MS))
            case Shape.TABLE:
                return self.table_ms[min(attempt, len(self.table_ms)) - 1]

    def to_json(self) -> dict[str, object]:
        """A JSON object that ``from_json`` reads back; fields with their default are left out."""
        fields: dict[str, object] = {"shape": self.shape.value}
        for name in ("base_ms", "factor", "cap_ms", "spread_ms"):
            value: object = getattr(self, name)
            if value != _DEFAULTS[name]:
                fields[name] = value
        if self.table_ms:
            fields["table_ms"] = list(self.table_ms)
        if self.jitter is not Jitter.NONE:
            fields["jitter"] = self.jitter.value
        return fields

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Self:
        """Reads what ``to_json`` wrote; fields that a newer version added are passed over.

        Raises InvalidInput for what is no back-off.
        """
        try:
            table = cast("list[int]", value.get("table_ms", []))
            return cls(
                shape=Shape(str(value["shape"])),
                base_ms=_whole(value.get("base_ms", 0)),
                factor=float(cast("float", value.get("factor", 2.0))),
                cap_ms=_whole(value.get("cap_ms", MAX_DELAY_MS)),
                table_ms=tuple(_whole(entry) for entry in table),
                jitter=Jitter(str(value.get("jitter", Jitter.NONE.value))),
                spread_ms=_whole(value.get("spread_ms", 0)),
            )
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            msg = f"not a back-off: {error}"
            raise InvalidInput(msg, field="backoff") from error


def stored_backoff(value: Mapping[str, object], default: Backoff) -> Backoff:
    """A back-off from the store; ``default`` for a kind that only a newer version knows (C50)."""
    try:
        return Backoff.from_json(value)
    except InvalidInput:
        return default


_DEFAULTS: Final[Mapping[str, object]] = {
    "base_ms": 0,
    "factor": 2.0,
    "cap_ms": MAX_DELAY_MS,
    "spread_ms": 0,
}


def _millis(seconds: float) -> int:
    if not math.isfinite(seconds):
        msg = f"a back-off delay must be a number of seconds, not {seconds}"
        raise InvalidInput(msg, field="backoff")
    return round(seconds * 1000)


def _cap(seconds: float | None) -> int:
    return MAX_DELAY_MS if seconds is None else _millis(seconds)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"{value!r} is not a whole number of milliseconds"
        raise TypeError(msg)
    return value
