"""Limits and order as a program writes them down: ``Rate``, ``Slots`` and ``OrderBy``."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Final

from headrace.core import limits as core
from headrace.core.limit_keys import KeyRule, KeyRules
from headrace.core.limit_names import checked_own, checked_path, name_of_type, type_of_limit
from headrace.core.limits import Limit
from headrace.core.wishes import OnRetry
from headrace.errors import InvalidInput, MisuseError

KeyFunction = Callable[[Mapping[str, Any]], object]
Key = str | KeyFunction
"""A part of the payload, such as ``user_id`` or ``order.customer``; or a function of the handler's arguments
by name that returns a text, a number, or None for a job without a key."""

_FAIR: Final = "fair"
_MAX_SECONDS: Final = core.MAX_PER_MS / 1000


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count + burst`` starts in any ``per`` seconds, on all workers together.

    Without a burst starts are spaced evenly. With ``key`` each key has a rate of its own. ``name`` lets
    several job types share it, and names it for operators. Raises InvalidInput for numbers out of bounds.
    """

    count: int
    _: KW_ONLY
    per: float
    burst: int = 0
    key: Key | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.per) and 0 < self.per <= _MAX_SECONDS):
            raise InvalidInput("per must be a number of seconds, at most 31 days", field="rate")
        _check(self.key, self.name, "rate")
        self.value  # noqa: B018 - checks the numbers

    @property
    def value(self) -> core.Rate:
        """The numbers alone."""
        return core.Rate(count=self.count, per_ms=max(1, round(self.per * 1000)), burst=self.burst)


@dataclass(frozen=True, slots=True)
class Slots:
    """At most ``count`` jobs run at once, on all workers together; with ``key`` that many of each key.

    ``name`` lets several job types share it. Raises InvalidInput for numbers out of bounds.
    """

    count: int
    _: KW_ONLY
    key: Key | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        _check(self.key, self.name, "concurrency")
        Limit(name=self.name or core.ALL, slots=self.count)


@dataclass(frozen=True, slots=True)
class OrderBy:
    """Jobs of one key run one at a time, in the order in which they were enqueued.

    A job that waits for a retry holds its key, unless ``on_retry`` is ``pass``. ``name`` lets several job
    types share the order.
    """

    key: Key
    _: KW_ONLY
    name: str | None = None
    on_retry: OnRetry | str = OnRetry.HOLD

    def __post_init__(self) -> None:
        _check(self.key, self.name, "order_by")
        if self.on_retry not in set(OnRetry):
            raise InvalidInput(f"on_retry must be hold or pass, not {self.on_retry!r}", field="order_by")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limiting:
    """All that a job type says of limits and order."""

    rules: KeyRules | None = None
    limits: tuple[Limit, ...] = ()
    functions: Mapping[KeyRule, KeyFunction] = field(default_factory=dict[KeyRule, KeyFunction])


NOT_LIMITED: Final = Limiting()


class Draft:
    """Gathers what a job type says. ``fields`` are the names of its payload's parts."""

    def __init__(self, job_type: str, fields: Collection[str]) -> None:
        self._type = job_type
        self._fields = fields
        self._limits: dict[str, Limit] = {}
        self._rules: dict[str, KeyRule] = {}
        self.functions: dict[KeyRule, KeyFunction] = {}

    def add(self, one: Rate | Slots) -> None:
        """Adds a limit. Raises MisuseError if it contradicts one that was added."""
        name = one.name or self._default_name(one.key)
        known = self._limits.get(name, Limit(name=name))
        rule = self._rule(name, one.key)
        if self._rules.setdefault(name, rule) != rule:
            raise MisuseError(
                f"{self._type}: the limit {name!r} has two keys; give one of them another name="
            )
        match one:
            case Rate() if known.rate is None:
                self._limits[name] = replace(known, rate=one.value)
            case Slots() if known.slots is None:
                self._limits[name] = replace(known, slots=one.count)
            case _:
                msg = f"{self._type}: the limit {name!r} is given twice; give one of them another name="
                raise MisuseError(msg)

    def done(self, order: OrderBy | None, fair: Key | None, fixed: tuple[str, ...]) -> Limiting:
        """All of it."""
        rules = KeyRules(
            limits=tuple(rule for name, rule in self._rules.items() if _brought(name, rule)),
            order=None if order is None else self.order_rule(order),
            on_retry=OnRetry.HOLD if order is None else OnRetry(order.on_retry),
            fair=None if fair is None else self._rule(_FAIR, fair),
            fixed=fixed,
        )
        keys = None if rules == KeyRules() else rules
        return Limiting(rules=keys, limits=tuple(self._limits.values()), functions=self.functions)

    def order_rule(self, order: OrderBy) -> KeyRule:
        """The rule of an order."""
        return self._rule(order.name or self._default_name(order.key), order.key)

    def _default_name(self, key: Key | None) -> str:
        if callable(key):
            msg = f"{self._type}: a key that a function computes needs a name, such as name='per-tenant'"
            raise MisuseError(msg)
        return name_of_type(self._type, key)

    def _rule(self, name: str, key: Key | None) -> KeyRule:
        if key is None:
            return KeyRule(name=name)
        if not isinstance(key, str):
            rule = KeyRule(name=name, computed=True)
            if self.functions.setdefault(rule, key) is not key:
                msg = f"{self._type}: two functions compute the key of {name!r}; give one another name="
                raise MisuseError(msg)
            return rule
        if key.partition(".")[0] not in self._fields:
            known = ", ".join(sorted(self._fields)) or "none"
            msg = f"{self._type}: the key {key!r} is no part of the payload; its parts: {known}"
            raise MisuseError(msg)
        return KeyRule(name=name, path=key, alias=alias_of(key))


def limiting_of(  # noqa: PLR0913 - all that a job type can say
    job_type: str,
    fields: Collection[str],
    limits: Iterable[Rate | Slots] = (),
    order: OrderBy | None = None,
    *,
    fair: Key | None = None,
    fixed: tuple[str, ...] = (),
) -> Limiting:
    """What a job type says of limits and order, of its share of a fair queue, and of lanes all its jobs have.

    Raises MisuseError for what contradicts itself.
    """
    draft = Draft(job_type, fields)
    for one in limits:
        draft.add(one)
    return draft.done(order, fair, fixed)


def refuse_conflicts(job_type: str, limits: Iterable[Limit], known: Iterable[Limit]) -> None:
    """Raises MisuseError if a limit is known under the same name with other numbers."""
    by_name = {one.name: one for one in known}
    for one in limits:
        if by_name.get(one.name, one) != one:
            msg = f"{job_type}: the limit {one.name!r} is defined elsewhere with other numbers"
            raise MisuseError(msg)


def several(said: Rate | Slots | Iterable[Rate | Slots]) -> tuple[Rate | Slots, ...]:
    """One limit or several, as people write them."""
    return (said,) if isinstance(said, Rate | Slots) else tuple(said)


def order_of(said: Key | OrderBy) -> OrderBy:
    """An order from what people write."""
    return said if isinstance(said, OrderBy) else OrderBy(said)


def _brought(name: str, rule: KeyRule) -> bool:
    """Whether jobs have to name the lane: that of their type without a key is theirs anyway."""
    return rule.path is not None or rule.computed or type_of_limit(name) is None


def alias_of(path: str) -> str:
    """The path as JSON clients spell it."""
    from pydantic.alias_generators import to_camel  # noqa: PLC0415 - pydantic takes 0.15 s to import

    return ".".join(map(to_camel, path.split(".")))


def _check(key: Key | None, name: str | None, field_name: str) -> None:
    try:
        if isinstance(key, str):
            checked_path(key)
        if name is not None:
            checked_own(name)
    except InvalidInput as error:
        error.field = field_name
        raise
