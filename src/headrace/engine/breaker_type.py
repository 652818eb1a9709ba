"""Circuit breakers as a program writes them down: ``@app.job(breaker=Breaker("stripe", failures=5))``."""

import math
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Final

from headrace.core.breaker_rule import BreakerRule
from headrace.core.policy import ErrorClass
from headrace.errors import InvalidInput, MisuseError

Counted = ErrorClass | str | type[BaseException]
"""An error class, or the very class of an exception, or its name."""

USUALLY: Final[tuple[Counted, ...]] = (ErrorClass.TRANSIENT, ErrorClass.RESOURCE, ErrorClass.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Breaker:
    """Keeps jobs from starting while what they need does not answer. All types that name it share it.

    It opens after ``failures`` within ``window`` seconds without a good answer between them. After
    ``cooldown`` seconds at most ``probes`` of its jobs run at a time, and the first that ends decides: a good
    answer closes it, a failure opens it for twice as long, at most ``max_cooldown``. ``on`` says which errors
    count: those of some classes, or exceptions of exactly these names. Raises InvalidInput.
    """

    name: str
    _: KW_ONLY
    failures: int = 5
    cooldown: float = 30.0
    window: float = 60.0
    max_cooldown: float = 600.0
    probes: int = 1
    on: Counted | Iterable[Counted] = USUALLY

    def __post_init__(self) -> None:
        self.rule  # noqa: B018 - checks the numbers

    @property
    def rule(self) -> BreakerRule:
        """What is kept of it."""
        cooldown_ms = _millis(self.cooldown, "cooldown")
        return BreakerRule(
            name=self.name,
            on=tuple(dict.fromkeys(map(_word, _several(self.on)))),
            failures=self.failures,
            window_ms=_millis(self.window, "window"),
            cooldown_ms=cooldown_ms,
            max_cooldown_ms=max(cooldown_ms, _millis(self.max_cooldown, "max_cooldown")),
            probes=self.probes,
        )


def refuse_unlike(job_type: str, rule: BreakerRule | None, known: Iterable[BreakerRule | None]) -> None:
    """Raises MisuseError if a breaker of this name is known with other numbers."""
    for one in known:
        if rule is not None and one is not None and one.name == rule.name and one != rule:
            msg = f"{job_type}: the breaker {rule.name!r} is defined elsewhere with other numbers"
            raise MisuseError(msg)


def _several(said: Counted | Iterable[Counted]) -> Iterable[Counted]:
    return (said,) if isinstance(said, str | type) else said


def _word(counted: Counted) -> str:
    return counted.__name__ if isinstance(counted, type) else str(counted)


def _millis(seconds: float, what: str) -> int:
    if not math.isfinite(seconds):
        raise InvalidInput(f"of a breaker, {what} must be a number of seconds", field="breaker")
    return round(seconds * 1000)
