"""Alert rules: what they watch, whom they tell, and when. Their rules, without any I/O.

A rule looks at something now and then. What it sees is a reading for each subject (a job type, a queue, a
schedule) for which its condition holds. A subject is told of once, again only after ``again_after_ms``, and
once more when its condition has not held for ``clear_after_ms``, however often it is looked at and by whom.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from headrace.core.ids import checked_name
from headrace.core.policy import DAY_MS, HOUR_MS, MAX_DURATION_MS
from headrace.errors import InvalidInput

KIND: Final = "alert"
"""Of the register ``alert:<name>`` that keeps a rule."""

MAX_SUBJECTS: Final = 100
OTHERS: Final = "(others)"
"""The subject that stands for all beyond ``MAX_SUBJECTS``."""

MAX_NAMED: Final = 100
MAX_TARGETS: Final = 20
EVERY_MS: Final = 10_000
"""So often a rule is looked at."""


class When(StrEnum):
    """What a rule watches.

    ``dead``: jobs of a type fail for good. ``permanent``: they do so by a permanent error. ``growing``: so
    many jobs of all types fail for good. ``waiting``: the oldest due job of a queue waits. ``idle``: jobs of
    a queue are due and none is claimed. ``missed``: a schedule skipped fires, cannot fire or is late.
    ``breaker``: a circuit breaker lets no job start, or only probes.
    """

    DEAD = "dead"
    PERMANENT = "permanent"
    GROWING = "growing"
    WAITING = "waiting"
    IDLE = "idle"
    MISSED = "missed"
    BREAKER = "breaker"


_DEATHS: Final = frozenset({When.DEAD, When.PERMANENT, When.GROWING})
_QUEUES: Final = frozenset({When.WAITING, When.IDLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """When a rule has something to tell.

    At least ``count`` deaths, or a missed fire, ``within_ms``; a wait of ``longer_than_ms``. Only of these
    ``types``, ``queues`` and ``schedules``; all, where none is named.
    """

    when: When
    count: int = 1
    within_ms: int = 600_000
    longer_than_ms: int = 300_000
    types: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 1_000_000:  # noqa: PLR2004 - more than a store counts
            raise InvalidInput("count must lie between 1 and 1,000,000", field="count")
        if not EVERY_MS <= self.within_ms <= 7 * DAY_MS:
            raise InvalidInput("within must lie between 10 seconds and 7 days", field="within")
        if not EVERY_MS <= self.longer_than_ms <= MAX_DURATION_MS:
            raise InvalidInput("longerThan must be at least 10 seconds", field="longerThan")
        self._check_names()

    def _check_names(self) -> None:
        for names, what, fitting in (
            (self.types, "type", _DEATHS),
            (self.queues, "queue", _DEATHS | _QUEUES),
            (self.schedules, "schedule", frozenset({When.MISSED})),
        ):
            if names and self.when not in fitting:
                raise InvalidInput(f"{self.when} looks at no {what}: leave it out", field=what)
            if len(names) > MAX_NAMED:
                raise InvalidInput(f"a rule names at most {MAX_NAMED} of each", field=what)
            for name in names:
                checked_name(name, what)


class To(StrEnum):
    """The ways in which a rule tells."""

    LOG = "log"
    FUNCTION = "function"
    WEBHOOK = "webhook"
    MAIL = "mail"
    JOB = "job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom a rule tells: ``log``, ``function``, ``webhook:URL``, ``mail:ADDRESS`` or ``job:TYPE``."""

    to: To
    address: str = ""

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Reads a target. Raises InvalidInput."""
        word, colon, address = text.partition(":")
        if word in {To.LOG, To.FUNCTION} and not colon:
            return cls(to=To(word))
        if word in {To.WEBHOOK, To.MAIL, To.JOB} and address:
            return cls(to=To(word), address=address)
        msg = f"{word[:40]!r} is no target: use log, function, webhook:URL, mail:ADDRESS or job:TYPE"
        raise InvalidInput(msg, field="to")

    @property
    def text(self) -> str:
        """The target as it is written."""
        return f"{self.to}:{self.address}" if self.address else self.to.value

    @property
    def shown(self) -> str:
        """The target as it may be shown: of a URL only where it leads, since the rest may be a secret."""
        if self.to is not To.WEBHOOK:
            return self.text
        url = urlsplit(self.address)
        return f"{self.to}:{url.scheme}://{url.hostname or ''}/…"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """A rule: what it watches, whom it tells. ``again_after_ms`` None: once, until it clears.

    With ``with_payload`` an alert of a failed job carries the job's payload, else only its id.
    """

    name: str
    condition: Condition
    to: tuple[Target, ...] = (Target(to=To.LOG),)
    again_after_ms: int | None = HOUR_MS
    clear_after_ms: int = 60_000
    with_payload: bool = False

    def __str__(self) -> str:
        """The name: what it tells of and whom is not for logs, an address may be a secret."""
        return self.name

    def __post_init__(self) -> None:
        checked_name(self.name, "alert")
        if not 1 <= len(self.to) <= MAX_TARGETS:
            raise InvalidInput(f"a rule tells 1 to {MAX_TARGETS} targets", field="to")
        if self.again_after_ms is not None and not EVERY_MS <= self.again_after_ms <= MAX_DURATION_MS:
            raise InvalidInput("againAfter must be at least 10 seconds", field="againAfter")
        if not 0 <= self.clear_after_ms <= DAY_MS:
            raise InvalidInput("clearAfter must lie between 0 and 1 day", field="clearAfter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A subject for which the condition holds. ``job_id`` is an example of what it is about."""

    subject: str
    message: str
    count: int = 1
    job_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """A subject that a rule has seen and that has not cleared; ``told_at`` is when it was told of last."""

    since: int
    seen_at: int
    told_at: int | None
    count: int
    message: str
    job_id: str | None = None


class Status(StrEnum):
    """What an alert says of its subject."""

    RAISED = "raised"
    AGAIN = "again"
    RESOLVED = "resolved"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell about one subject."""

    status: Status
    subject: str
    active: Active


@dataclass(frozen=True, slots=True, kw_only=True)
class Stillness:
    """How a queue looked when it last moved, and since when it has not."""

    since: int
    oldest_due_at: int | None
    ended: int
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertState:
    """A rule as its register keeps it, with all that it remembers.

    ``error`` is why it could not be looked at last. ``silenced_until``: nothing is told before.
    """

    rule: AlertRule
    created_at: int
    active: Mapping[str, Active] = field(default_factory=dict[str, Active])
    still: Mapping[str, Stillness] = field(default_factory=dict[str, Stillness])
    silenced_until: int | None = None
    looked_at: int | None = None
    error: str | None = None

    def is_silent(self, now: int) -> bool:
        """Whether nothing may be told now."""
        return self.silenced_until is not None and now < self.silenced_until


def looked(state: AlertState, readings: Sequence[Reading], now: int) -> tuple[AlertState, tuple[Notice, ...]]:
    """The state after a look that saw these readings, and what is to be told of it."""
    seen = {one.subject: one for one in _bounded(readings, state.active)}
    active: dict[str, Active] = {}
    notices: list[Notice] = []
    for subject, reading in seen.items():
        one = _seen(state.active.get(subject), reading, now)
        if not state.is_silent(now) and _is_due(state.rule, one, now):
            status = Status.RAISED if one.told_at is None else Status.AGAIN
            one = replace(one, told_at=now)
            notices.append(Notice(status=status, subject=subject, active=one))
        active[subject] = one
    for subject, one in state.active.items():
        if subject in seen:
            continue
        if now - one.seen_at < state.rule.clear_after_ms or (
            one.told_at is not None and state.is_silent(now)
        ):
            active[subject] = one  # too early to say, or nobody may be told that it has cleared
        elif one.told_at is not None:
            notices.append(Notice(status=Status.RESOLVED, subject=subject, active=one))
    return replace(state, active=active, looked_at=now, error=None), tuple(notices)


def put(known: AlertState | None, rule: AlertRule, now: int) -> AlertState:
    """The state after a rule was put. With the condition it had it goes on where it was."""
    if known is None:
        return AlertState(rule=rule, created_at=now)
    if known.rule.condition == rule.condition:
        return replace(known, rule=rule)
    return replace(known, rule=rule, active={}, still={}, error=None)


def silenced(state: AlertState, until: int | None) -> AlertState:
    """The state of a rule that tells nothing until then; None: it tells again."""
    return replace(state, silenced_until=until)


def _seen(known: Active | None, reading: Reading, now: int) -> Active:
    if known is None:
        return Active(
            since=now,
            seen_at=now,
            told_at=None,
            count=reading.count,
            message=reading.message,
            job_id=reading.job_id,
        )
    return replace(known, seen_at=now, count=reading.count, message=reading.message, job_id=reading.job_id)


def _is_due(rule: AlertRule, one: Active, now: int) -> bool:
    if one.told_at is None:
        return True
    return rule.again_after_ms is not None and now - one.told_at >= rule.again_after_ms


def _bounded(readings: Sequence[Reading], active: Mapping[str, Active]) -> Sequence[Reading]:
    """At most ``MAX_SUBJECTS``, those first that are known already; one more stands for all others."""
    if len(readings) <= MAX_SUBJECTS:
        return readings
    ordered = sorted(readings, key=lambda one: (one.subject not in active, -one.count, one.subject))
    rest = ordered[MAX_SUBJECTS:]
    others = Reading(
        subject=OTHERS,
        message=f"{len(rest)} more, such as {rest[0].subject}: {rest[0].message}",
        count=sum(one.count for one in rest),
        job_id=rest[0].job_id,
    )
    return [*ordered[:MAX_SUBJECTS], others]
