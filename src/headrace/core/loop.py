"""Loops: one background loop per name over the program's own rows. The values it is told by and kept in.

A loop is at most one job at a time, which holds the unique key of the loop's name. What is kept besides
is the loop's state, a register that is written when the loop starts, rests, stops or fails, and never
while it drains: so a ping after every insert reads it and is done. What becomes of a loop is decided in
``loop_moves.py``.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Generic, Self, TypeVar, cast

from headrace.core.backoff import Backoff
from headrace.core.ids import checked_name
from headrace.core.job import Job
from headrace.core.outcomes import showable
from headrace.core.policy import DAY_MS, HOUR_MS, MAX_ATTEMPTS, MAX_DURATION_MS, Retention
from headrace.core.states import State
from headrace.errors import InvalidInput

B = TypeVar("B")

REGISTERS: Final = "loop/"
TYPES: Final = "loop."
KEYS: Final = "loop:"
SOON_MS: Final = 1_000
"""A run that is due within this time counts as running: nobody has to be woken for it."""

MIN_MONITOR_LAG_MS: Final = 10_000
MIN_LOOK_MS: Final = 10
MAX_ERROR_CHARS: Final = 500
RETRIES: Final = MAX_ATTEMPTS
RETENTION: Final = Retention(
    completed_age_ms=HOUR_MS, cancelled_age_ms=HOUR_MS, failed_age_ms=7 * DAY_MS, completed_count=100
)


class LoopStatus(StrEnum):
    """Whether a loop drains, waits for the next ping or time-out, or was stopped."""

    IDLE = "idle"
    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Work(Generic[B]):
    """What ``fetch`` returns when there is work: ``process`` is called with the batch."""

    batch: B


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What ``fetch`` returns when there is none. All in seconds; None takes the loop's own setting.

    For ``cooldown`` the loop asks again every ``poll_interval``. Then it rests until it is pinged, and
    with ``timeout`` no longer than that, counted from this answer.
    """

    timeout: float | None = None
    cooldown: float | None = None
    poll_interval: float | None = None

    def __post_init__(self) -> None:
        for name in ("timeout", "cooldown", "poll_interval"):
            seconds = getattr(self, name)
            if seconds is not None:
                duration_ms(seconds, name)


@dataclass(frozen=True, slots=True)
class Debounce:
    """What ``process`` returns to be left alone: no run, and pings ignored, for at least so many seconds."""

    seconds: float

    def __post_init__(self) -> None:
        duration_ms(self.seconds, "debounce")


def duration_ms(seconds: float, name: str) -> int:
    """The duration in milliseconds. Raises InvalidInput, which names it, for one that makes no sense."""
    if not (math.isfinite(seconds) and 0 <= seconds * 1000 <= MAX_DURATION_MS):
        msg = f"{name} must be a number of seconds, not negative, and at most 1,000 years"
        raise InvalidInput(msg, field=name)
    return round(seconds * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """The settings of a loop, in milliseconds.

    ``debounce_ms`` is waited before the first batch after a rest, so that a burst becomes one batch.
    A loop whose functions raise, or whose job failed for good, runs again within ``monitor_lag_ms``.
    ``poll_ms`` and ``cooldown_ms`` hold where ``Idle`` says nothing.
    """

    debounce_ms: int = 0
    monitor_lag_ms: int = 60_000
    poll_ms: int = 200
    cooldown_ms: int = 2_000

    def __post_init__(self) -> None:
        if not MIN_MONITOR_LAG_MS <= self.monitor_lag_ms <= DAY_MS:
            msg = f"monitor_lag must lie between {MIN_MONITOR_LAG_MS // 1000} seconds and a day"
            raise InvalidInput(msg, field="monitor_lag")
        if self.poll_ms < MIN_LOOK_MS:
            msg = f"poll_interval must be at least {MIN_LOOK_MS / 1000:g} seconds"
            raise InvalidInput(msg, field="poll_interval")

    @property
    def backoff(self) -> Backoff:
        """How long a loop whose functions raised waits: from 1 s, doubling, up to the monitor's lag."""
        return Backoff.exponential(1, cap=self.monitor_lag_ms / 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopDefinition:
    """What a program says of a loop: the job type that runs it, the queue, the settings."""

    type: str
    queue: str
    config: LoopConfig = field(default_factory=LoopConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopError:
    """What ended a run before its time, and when (epoch milliseconds)."""

    type: str
    message: str
    at: int

    @classmethod
    def of(cls, error: BaseException, at: int) -> Self:
        """The error as it is kept: names and text."""
        try:
            message = str(error)
        except Exception:  # boundary: an error whose text cannot be made is still kept
            message = ""
        return cls(type=type(error).__name__, message=showable(message[:MAX_ERROR_CHARS]), at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopState:
    """A loop as it is kept between its transitions.

    ``generation`` grows with every run and every stop: a run that finds another one is superseded and
    exits. ``job_id`` is the latest job of the loop.
    """

    name: str
    definition: LoopDefinition
    status: LoopStatus = LoopStatus.IDLE
    generation: int = 0
    job_id: str | None = None
    restarts: int = 0
    last_run_at: int | None = None
    last_error: LoopError | None = None

    def dumps(self) -> str:
        """The state as a JSON text that ``loads`` reads back."""
        config, error = self.definition.config, self.last_error
        return json.dumps(
            {
                "name": self.name,
                "type": self.definition.type,
                "queue": self.definition.queue,
                "config": {name: getattr(config, name) for name in LoopConfig.__slots__},
                "status": self.status.value,
                "generation": self.generation,
                "job_id": self.job_id,
                "restarts": self.restarts,
                "last_run_at": self.last_run_at,
                "last_error": None
                if error is None
                else {"type": error.type, "message": error.message, "at": error.at},
            },
            sort_keys=True,
        )

    @classmethod
    def loads(cls, text: str) -> Self:
        """Reads what ``dumps`` wrote; settings that a newer version added are passed over."""
        raw = cast("Mapping[str, Any]", json.loads(text))
        known = {name: value for name, value in raw["config"].items() if name in LoopConfig.__slots__}
        error = raw["last_error"]
        return cls(
            name=raw["name"],
            definition=LoopDefinition(type=raw["type"], queue=raw["queue"], config=LoopConfig(**known)),
            status=LoopStatus(raw["status"]),
            generation=raw["generation"],
            job_id=raw["job_id"],
            restarts=raw["restarts"],
            last_run_at=raw["last_run_at"],
            last_error=None if error is None else LoopError(**error),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopInfo:
    """A loop as people see it. Instants are epoch milliseconds.

    ``next_run_at`` is when a loop that sleeps runs again by itself. ``in_hand`` says that a worker runs it
    at this moment; a loop that is stopped while it processes a batch is in hand until that has ended.
    """

    name: str
    status: LoopStatus
    definition: LoopDefinition
    generation: int
    job_id: str | None
    next_run_at: int | None
    in_hand: bool
    restarts: int
    last_run_at: int | None
    last_error: LoopError | None


def shown(state: LoopState, job: Job | None, now: int) -> LoopInfo:
    """The loop as people see it, by its state and its latest job, read in this order."""
    live = job is not None and job.placement.live
    in_hand = job is not None and job.state is State.PROCESSING
    due_at = job.placement.due_at if job is not None and live else None
    status = state.status
    if status is LoopStatus.IDLE and (in_hand or (due_at is not None and due_at <= now + SOON_MS)):
        status = LoopStatus.RUNNING
    return LoopInfo(
        name=state.name,
        status=status,
        definition=state.definition,
        generation=state.generation,
        job_id=state.job_id,
        next_run_at=due_at,
        in_hand=in_hand,
        restarts=state.restarts,
        last_run_at=state.last_run_at,
        last_error=state.last_error,
    )


def checked_loop(name: str) -> str:
    """The name if a loop may have it. Raises InvalidInput."""
    return checked_name(name, "loop")


def register_key(name: str) -> str:
    """Where a loop's state is kept."""
    return REGISTERS + name


def unique_key(name: str) -> str:
    """What the one live job of a loop holds."""
    return KEYS + name
