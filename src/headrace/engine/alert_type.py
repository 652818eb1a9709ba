"""Alert rules as a program writes them down: ``app.alert("dead-jobs", "dead", to=["log"])``."""

import math
from collections.abc import Collection, Sequence
from typing import Final, TypeVar

from headrace.core.alerts import AlertRule, Condition, Target, To, When
from headrace.core.policy import HOUR_MS
from headrace.engine.alert_delivery import AlertFunction
from headrace.engine.operations import Operations
from headrace.errors import InvalidInput, MisuseError

F = TypeVar("F", bound=AlertFunction)

MAX_SECONDS: Final = 3_155_760_000.0
_AGAIN_S: Final = HOUR_MS / 1000


class AlertRules:
    """The alert rules that a program declares. They are put whenever one of its workers or services starts.

    A rule that is declared no longer is not removed by that: use ``headrace alerts remove``.
    """

    def __init__(self) -> None:
        self._declared: dict[str, AlertRule] = {}
        self._functions: list[AlertFunction] = []

    def __call__(  # noqa: PLR0913 - one argument per option
        self,
        name: str,
        when: When | str,
        *,
        to: Collection[str] | str = (To.LOG,),
        count: int | None = None,
        within: float = 600.0,
        longer_than: float = 300.0,
        types: Collection[str] = (),
        queues: Collection[str] = (),
        schedules: Collection[str] = (),
        again_after: float | None = _AGAIN_S,
        clear_after: float = 60.0,
        with_payload: bool = False,
    ) -> None:
        """Declares a rule (docs/guides/alerts.md). Durations are in seconds.

        ``when`` is dead, permanent, growing, waiting, idle, missed or breaker; ``to`` names ``log``,
        ``function``, ``webhook:URL``, ``mail:ADDRESS`` and ``job:TYPE``. Raises InvalidInput, MisuseError for
        a name that two rules have.
        """
        rule = rule_of(
            name,
            when,
            to=to,
            count=count,
            within=within,
            longer_than=longer_than,
            types=types,
            queues=queues,
            schedules=schedules,
            again_after=again_after,
            clear_after=clear_after,
            with_payload=with_payload,
        )
        if self._declared.setdefault(name, rule) != rule:
            msg = f"two alert rules are named {name!r}; give one of them another name"
            raise MisuseError(msg)

    @property
    def functions(self) -> Sequence[AlertFunction]:
        """The functions that are called with each alert of a rule with the target ``function``."""
        return self._functions

    def add_function(self, function: F) -> F:
        """Has a function called with each such alert; returns it."""
        self._functions.append(function)
        return function

    async def put_into(self, operations: Operations) -> None:
        """Puts all rules. Raises InvalidInput, StoreError."""
        for rule in self._declared.values():
            await operations.put_alert(rule)


class DefinesAlerts:
    """The part of an app that defines alert rules."""

    alert: AlertRules

    def on_alert(self, function: F) -> F:
        """Has the decorated function called with each ``Alert`` of the rules whose target is ``function``.

        It is async, or plain and then called in a thread; it has ten seconds. It is called by the upkeep of
        one of the processes that run this program, at most once for each alert.
        """
        return self.alert.add_function(function)


def rule_of(  # noqa: PLR0913 - one argument per option
    name: str,
    when: When | str,
    *,
    to: Collection[str] | str = (To.LOG,),
    count: int | None = None,
    within: float = 600.0,
    longer_than: float = 300.0,
    types: Collection[str] = (),
    queues: Collection[str] = (),
    schedules: Collection[str] = (),
    again_after: float | None = _AGAIN_S,
    clear_after: float = 60.0,
    with_payload: bool = False,
) -> AlertRule:
    """A rule from what people write; durations in seconds. Raises InvalidInput."""
    condition = Condition(
        when=_when(when),
        count=_count(_when(when), count),
        within_ms=_millis(within, "within"),
        longer_than_ms=_millis(longer_than, "longerThan"),
        types=tuple(sorted(set(types))),
        queues=tuple(sorted(set(queues))),
        schedules=tuple(sorted(set(schedules))),
    )
    targets = (to,) if isinstance(to, str) else tuple(to)
    return AlertRule(
        name=name,
        condition=condition,
        to=tuple(Target.parse(one) for one in targets),
        again_after_ms=None if again_after is None else _millis(again_after, "againAfter"),
        clear_after_ms=_millis(clear_after, "clearAfter"),
        with_payload=with_payload,
    )


GROWING_COUNT: Final = 10
"""So many deaths of all types together are growing, unless the rule says otherwise."""


def _count(when: When, count: int | None) -> int:
    if count is not None:
        return count
    return GROWING_COUNT if when is When.GROWING else 1


def _when(word: When | str) -> When:
    try:
        return When(word)
    except ValueError as error:
        msg = f"an alert watches for one of {', '.join(When)}, not {word[:40]!r}"
        raise InvalidInput(msg, field="when") from error


def _millis(seconds: float, what: str) -> int:
    if not (math.isfinite(seconds) and 0 <= seconds <= MAX_SECONDS):
        msg = f"{what} must be a number of seconds, a hundred years at most"
        raise InvalidInput(msg, field=what)
    return round(seconds * 1000)
