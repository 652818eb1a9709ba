"""Which keys the jobs of a type bring to limits and to their order: the rules, and what they find.

The rules are published with the job type, so that a producer without its code gives jobs the same lanes. Only
a key that a function of the program computes is out of its reach.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, cast

from headrace.core.limit_names import lane_of_limit, lane_of_order
from headrace.core.wishes import OnRetry, Wishes
from headrace.errors import InvalidInput

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRule:
    """How jobs of a type find their key under a name.

    ``path`` leads through the payload; ``alias`` is the same path as JSON clients spell it. A ``computed``
    key comes from a function of the program. With neither there is no key: all jobs share the one lane.
    """

    name: str
    path: str | None = None
    alias: str | None = None
    computed: bool = False

    def to_json(self) -> dict[str, object]:
        """The rule as a JSON value that ``of_json`` reads back."""
        return {"name": self.name, "path": self.path, "alias": self.alias, "computed": self.computed}

    @classmethod
    def of_json(cls, raw: Mapping[str, Any]) -> Self:
        """Reads what ``to_json`` gave; fields that a newer version added are passed over."""
        return cls(name=raw["name"], path=raw["path"], alias=raw["alias"], computed=raw["computed"])


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRules:
    """The rules of a job type: for the limits it names, its order, its share of a fair queue.

    ``fixed`` are lanes that all its jobs have besides, by their whole key.
    """

    limits: tuple[KeyRule, ...] = ()
    order: KeyRule | None = None
    on_retry: OnRetry = OnRetry.HOLD
    fair: KeyRule | None = None
    fixed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The rules as a JSON value that ``of_json`` reads back."""
        return {
            "limits": [one.to_json() for one in self.limits],
            "order": None if self.order is None else self.order.to_json(),
            "on_retry": self.on_retry.value,
            "fair": None if self.fair is None else self.fair.to_json(),
            "fixed": list(self.fixed),
        }

    @classmethod
    def of_json(cls, raw: Mapping[str, Any]) -> Self:
        """Reads what ``to_json`` gave."""
        order, fair = raw["order"], raw.get("fair")
        return cls(
            limits=tuple(KeyRule.of_json(one) for one in raw["limits"]),
            order=None if order is None else KeyRule.of_json(order),
            on_retry=OnRetry(raw["on_retry"]),
            fair=None if fair is None else KeyRule.of_json(fair),
            fixed=tuple(raw.get("fixed", ())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the keys of one job are looked for.

    ``payload`` is the JSON text before any codec; ``properties`` are those of its JSON Schema, whose defaults
    stand for what it leaves out; ``computed`` are the values that functions gave, by rule.
    """

    job_type: str
    payload: str
    properties: Mapping[str, Mapping[str, Any]]
    computed: Mapping[KeyRule, object]


def wishes_of(rules: KeyRules, source: Source) -> Wishes:
    """What a job wishes by the rules of its type.

    Where the payload has nothing, or null, there is no key: that limit, or the order, is not for this job.
    Raises InvalidInput for a key that is no text, number or boolean, and for one that only code can compute.
    """
    found = _Finder(source)
    lanes = [
        lane_of_limit(rule.name, key)
        for rule in rules.limits
        if (key := found.key(rule)) is not None or not (rule.path or rule.computed)
    ]
    order = None if rules.order is None else found.key(rules.order)
    return Wishes(
        lanes=tuple(sorted({*lanes, *rules.fixed})),
        order=None if rules.order is None or order is None else lane_of_order(rules.order.name, order),
        on_retry=rules.on_retry,
        fair=None if rules.fair is None else found.key(rules.fair),
    )


class _Finder:
    """Looks up keys in one payload, which is read once, and only if a rule needs it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._payload: Mapping[str, Any] | None = None

    def key(self, rule: KeyRule) -> str | None:
        """The key under a rule; None where there is none."""
        value = self._value(rule)
        match value:
            case None:
                return None
            case bool():
                return "true" if value else "false"
            case int():
                return str(value)
            case float():
                return str(int(value)) if value.is_integer() else repr(value)
            case str():
                return value
            case _:
                msg = (
                    f"{self._source.job_type}: the key of {rule.name!r} must be a text, a number or a boolean"
                )
                raise InvalidInput(msg, field="payload")

    def _value(self, rule: KeyRule) -> object:
        if rule.computed:
            if rule not in self._source.computed:
                msg = (
                    f"{self._source.job_type}: the key of {rule.name!r} is computed by the program's code; "
                    "enqueue it where that code is, or give the job type a key that is a part of the payload"
                )
                raise InvalidInput(msg, field="type")
            return self._source.computed[rule]
        return None if rule.path is None else self._at(rule.path, rule.alias or rule.path)

    def _at(self, path: str, alias: str) -> object:
        if self._payload is None:
            self._payload = cast("Mapping[str, Any]", json.loads(self._source.payload))
        inside: object = self._payload
        steps = list(zip(path.split("."), alias.split("."), strict=True))
        for depth, (name, other) in enumerate(steps):
            inside = _part(inside, name, other)
            if inside is _ABSENT and depth == 0:
                inside = self._source.properties.get(other, {}).get("default", _ABSENT)
            if inside is _ABSENT:
                return None
        return inside


def _part(inside: object, name: str, other: str) -> object:
    if not isinstance(inside, Mapping):
        return _ABSENT
    parts = cast("Mapping[str, object]", inside)
    return parts.get(name, parts.get(other, _ABSENT))
