"""Alert rules as the text of their registers, as every door shows them, and as they reach people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from headrace.core.alerts import (
    Active,
    AlertRule,
    AlertState,
    Condition,
    Notice,
    Status,
    Stillness,
    Target,
    When,
)
from headrace.core.wire import Json, to_iso

_TYPES: Final = {
    When.DEAD: "job-failure",
    When.PERMANENT: "job-failure",
    When.GROWING: "job-failures",
    When.WAITING: "queue-waiting",
    When.IDLE: "queue-idle",
    When.MISSED: "schedule-missed",
    When.BREAKER: "breaker-open",
}
"""What an alert is called by its receivers."""

_SUBJECT_CHARS: Final = 69
"""A longer subject has to be folded into several lines, and not all of them survive that."""
_RULE: Final = ("name", "again_after_ms", "clear_after_ms", "with_payload")
_STATE: Final = ("created_at", "silenced_until", "looked_at", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One thing that a rule tells of one subject.

    ``status`` is raised, again, resolved or test; ``type`` what kind of trouble it is, such as
    ``job-failure``; instants are epoch milliseconds. ``details`` are more facts, by name.
    """

    rule: str
    type: str
    status: str
    subject: str
    message: str
    count: int
    since: int
    at: int
    details: Mapping[str, Json]


def alert_of(rule: AlertRule, notice: Notice, details: Mapping[str, Json], now: int) -> Alert:
    """What is told of a notice."""
    active = notice.active
    resolved = notice.status is Status.RESOLVED
    return Alert(
        rule=rule.name,
        type=_TYPES[rule.condition.when],
        status=notice.status.value,
        subject=notice.subject,
        message=f"Resolved: {active.message}" if resolved else active.message,
        count=active.count,
        since=active.since,
        at=now,
        details=details,
    )


def alert_to_json(alert: Alert) -> dict[str, Json]:
    """One alert as its receivers get it."""
    told: dict[str, Json] = asdict(alert)
    return told | {"since": to_iso(alert.since), "at": to_iso(alert.at), "details": dict(alert.details)}


def message_to_json(alerts: Sequence[Alert]) -> dict[str, Json]:
    """The alerts of one look at one rule as its receivers get them together."""
    return {
        "rule": alerts[0].rule,
        "at": to_iso(alerts[0].at),
        "alerts": [alert_to_json(one) for one in alerts],
    }


def mail_of(alerts: Sequence[Alert]) -> tuple[str, str]:
    """Subject and body of a mail about the alerts of one look at one rule."""
    first = alerts[0]
    what = first.message if len(alerts) == 1 else f"{len(alerts)} alerts of rule {first.rule}"
    lines: list[str] = []
    for one in alerts:
        lines.append(f"{one.status}: {one.message} (since {to_iso(one.since)})")
        lines += [f"    {name}: {_line(value)}" for name, value in one.details.items()]
    lines += ["", f"Rule {first.rule}, at {to_iso(first.at)}"]
    return _ascii(f"Alert: {what}")[:_SUBJECT_CHARS], "\n".join(lines)


def rule_to_json(state: AlertState) -> dict[str, Json]:
    """A rule with what it tells of now, as every door shows it. Durations in seconds."""
    rule, condition = state.rule, state.rule.condition
    return {
        "name": rule.name,
        "when": condition.when.value,
        "count": condition.count,
        "within": condition.within_ms / 1000,
        "longerThan": condition.longer_than_ms / 1000,
        "types": list(condition.types),
        "queues": list(condition.queues),
        "schedules": list(condition.schedules),
        "to": [one.shown for one in rule.to],
        "againAfter": None if rule.again_after_ms is None else rule.again_after_ms / 1000,
        "clearAfter": rule.clear_after_ms / 1000,
        "createdAt": to_iso(state.created_at),
        "lookedAt": to_iso(state.looked_at),
        "silencedUntil": to_iso(state.silenced_until),
        "error": state.error,
        "active": [
            {
                "subject": subject,
                "message": one.message,
                "count": one.count,
                "since": to_iso(one.since),
                "toldAt": to_iso(one.told_at),
                "jobId": one.job_id,
            }
            for subject, one in state.active.items()
        ],
    }


def dumps(state: AlertState) -> str:
    """The state as a JSON text that ``loads`` reads back."""
    rule = state.rule
    told: dict[str, object] = {name: getattr(state, name) for name in _STATE}
    told["rule"] = {name: getattr(rule, name) for name in _RULE} | {
        "condition": asdict(rule.condition),
        "to": [one.text for one in rule.to],
    }
    told["active"] = {subject: asdict(one) for subject, one in state.active.items()}
    told["still"] = {name: asdict(one) for name, one in state.still.items()}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def loads(text: str) -> AlertState:
    """Reads what ``dumps`` wrote; fields that a newer version added are passed over.

    Raises InvalidInput, KeyError or ValueError for a rule that only a newer version knows.
    """
    raw = cast("Mapping[str, Any]", json.loads(text))
    return AlertState(
        rule=_rule(raw["rule"]),
        active={subject: Active(**_known(Active, one)) for subject, one in raw["active"].items()},
        still={name: Stillness(**_known(Stillness, one)) for name, one in raw["still"].items()},
        **{name: raw[name] for name in _STATE if name in raw},
    )


def _rule(raw: Mapping[str, Any]) -> AlertRule:
    condition = _known(Condition, raw["condition"])
    condition |= {name: tuple(condition[name]) for name in ("types", "queues", "schedules")}
    condition["when"] = When(condition["when"])
    return AlertRule(
        condition=Condition(**condition),
        to=tuple(map(Target.parse, raw["to"])),
        **{name: raw[name] for name in _RULE if name in raw},
    )


def _known(kind: type[Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    return {name: raw[name] for name in kind.__slots__ if name in raw}


def _line(value: Json) -> str:
    return _printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _ascii(text: str) -> str:
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
