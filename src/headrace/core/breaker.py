"""Circuit breakers: whether jobs that need the same thing may start, given how the last ones ended.

A breaker is *closed* while all is well. After enough failures it *opens*: none of its jobs starts until a
cool-down is over. Then it is *half open*: a few jobs run as probes, and the first of them that ends decides.
A good answer closes it, a failure opens it again for longer. The state is a register. What it says to claims
is a lane (``limits.LaneState``): closed until an instant, after which a few jobs run at a time.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self, cast

from headrace.core.breaker_rule import BreakerRule
from headrace.core.limits import LaneState
from headrace.core.outcomes import Failed, Outcome, Succeeded
from headrace.core.wire import MAX_INSTANT_MS

KIND: Final = "breaker"
LANE: Final = "breaker:"
"""The lane of a breaker, and its register, are called ``breaker:<name>``."""


class BreakerStatus(StrEnum):
    """What a breaker does with jobs that want to start."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Answer(StrEnum):
    """What an attempt says of the thing that the breaker guards."""

    GOOD = "good"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How an attempt ended that was claimed at ``claimed_at``; ``error`` names what was raised."""

    answer: Answer
    claimed_at: int
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """What is kept of a breaker. ``failed_at`` are the failures noted while it is closed.

    It is closed while ``opened_at`` is None; else nothing starts before ``until``, the end of a cool-down of
    ``cooldown_ms``, and ``probes`` at a time after it. ``in_a_row`` counts openings without a good answer
    between them, ``openings`` all of them. ``error`` names the latest failure.
    """

    name: str
    failed_at: tuple[int, ...] = ()
    opened_at: int | None = None
    until: int | None = None
    cooldown_ms: int = 0
    probes: int = 1
    in_a_row: int = 0
    openings: int = 0
    error: str | None = None

    def status(self, now: int) -> BreakerStatus:
        """What it does at this instant."""
        if self.until is None:
            return BreakerStatus.CLOSED
        return BreakerStatus.OPEN if now < self.until else BreakerStatus.HALF_OPEN

    @property
    def lane(self) -> LaneState:
        """What claims are told."""
        key = lane_of_breaker(self.name)
        if self.until is None:
            return LaneState(key=key)
        return LaneState(key=key, opens_at=self.until, cap=self.probes)

    @property
    def troubled(self) -> bool:
        """Whether a good answer would change anything."""
        return bool(self.failed_at) or self.until is not None

    def dumps(self) -> str:
        """The state as a JSON text that ``loads`` reads back."""
        return json.dumps({name: getattr(self, name) for name in _FIELDS}, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> Self:
        """Reads what ``dumps`` wrote; what a newer version added is passed over."""
        raw = cast("Mapping[str, Any]", json.loads(text))
        told: dict[str, Any] = {name: raw[name] for name in _FIELDS if name in raw}
        told["failed_at"] = tuple(told.get("failed_at", ()))
        return cls(**told)


_FIELDS: Final = tuple(BreakerState.__slots__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerInfo:
    """A breaker as it is shown: its state, what it does now, and how many jobs wait for it."""

    state: BreakerState
    status: BreakerStatus
    waiting: int


def lane_of_breaker(name: str) -> str:
    """The lane that all jobs of a breaker are on."""
    return LANE + name


def answer_of(rule: BreakerRule, outcome: Outcome) -> Answer | None:
    """What an outcome says of the thing guarded; None if nothing, such as a release or a snooze.

    An error that does not count as a failure is a good answer: what is guarded has answered.
    """
    match outcome:
        case Succeeded():
            return Answer.GOOD
        case Failed(error=error):
            counts = error.error_class.value in rule.on or error.type in rule.on
            return Answer.FAILURE if counts else Answer.GOOD
        case _:
            return None


def after(state: BreakerState, rule: BreakerRule, seen: Sequence[Seen], now: int) -> BreakerState:
    """The state after attempts have ended, one after the other."""
    for one in seen:
        match state.status(now):
            case BreakerStatus.CLOSED:
                state = _while_closed(state, rule, one, now)
            case BreakerStatus.OPEN:
                pass  # of jobs that were started before it opened
            case BreakerStatus.HALF_OPEN:
                state = _while_half_open(state, rule, one, now)
    return state


def opened(state: BreakerState, now: int, *, for_ms: int | None) -> BreakerState:
    """The state after an operator has opened it, for so long or until somebody closes it."""
    until = MAX_INSTANT_MS if for_ms is None else min(now + for_ms, MAX_INSTANT_MS)
    return replace(
        state,
        failed_at=(),
        opened_at=now,
        until=until,
        cooldown_ms=until - now,
        in_a_row=0,
        openings=state.openings + 1,
    )


def closed(state: BreakerState) -> BreakerState:
    """The state after a good answer, or after an operator has closed it."""
    return replace(state, failed_at=(), opened_at=None, until=None, cooldown_ms=0, in_a_row=0)


def _while_closed(state: BreakerState, rule: BreakerRule, one: Seen, now: int) -> BreakerState:
    if one.answer is Answer.GOOD:
        return replace(state, failed_at=()) if state.failed_at else state
    recent = [at for at in state.failed_at if at > now - rule.window_ms]
    noted = replace(state, failed_at=(*recent, now)[-rule.failures :], error=one.error)
    return _opened_by(noted, rule, now) if len(noted.failed_at) == rule.failures else noted


def _while_half_open(state: BreakerState, rule: BreakerRule, one: Seen, now: int) -> BreakerState:
    if state.until is None or one.claimed_at < state.until:
        return state  # no probe: it was started before the cool-down was over
    if one.answer is Answer.GOOD:
        return closed(state)
    return _opened_by(replace(state, error=one.error), rule, now)


def _opened_by(state: BreakerState, rule: BreakerRule, now: int) -> BreakerState:
    cooldown_ms = min(rule.cooldown_ms * 2 ** min(state.in_a_row, 64), rule.max_cooldown_ms)
    return replace(
        state,
        failed_at=(),
        opened_at=now,
        until=now + cooldown_ms,
        cooldown_ms=cooldown_ms,
        probes=rule.probes,
        in_a_row=state.in_a_row + 1,
        openings=state.openings + 1,
    )
