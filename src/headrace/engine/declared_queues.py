"""Whole queues as a program declares them: ``app.queue("emails", max_length=10_000, fair_by="tenant")``."""

from collections.abc import Mapping
from typing import Final

from headrace.core.fairness import FairQueue, checked_tenant
from headrace.core.ids import checked_name
from headrace.core.limit_keys import KeyRule
from headrace.core.limit_names import checked_path
from headrace.core.queue_rules import Overflow, QueueBound, QueueRules
from headrace.engine.limiting import alias_of
from headrace.engine.queue_operations import QueueOperations
from headrace.engine.registry import Registry
from headrace.errors import InvalidInput, MisuseError

_NONE: Final[Mapping[str, float]] = {}


class DeclaredQueues:
    """The queues that a program declares. They are put whenever one of its workers or services starts.

    The program itself goes by them from the start. What an operator has set wins over them.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._weights: dict[str, Mapping[str, float]] = {}
        self._declared: set[str] = set()

    def __call__(
        self,
        name: str,
        *,
        max_length: int | None = None,
        overflow: Overflow | str = Overflow.REJECT,
        fair_by: str | None = None,
        weights: Mapping[str, float] = _NONE,
    ) -> None:
        """Declares a queue (docs/guides/queues.md).

        At most ``max_length`` jobs wait in it; one more is refused with QueueFull, or with ``drop-oldest``
        takes the place of the one enqueued first. ``fair_by`` names a part of the payload, such as
        ``tenant``, by which its jobs are shared out, ``weights`` those who get more or less than others.

        Raises InvalidInput, MisuseError for a queue that is declared already.
        """
        checked_name(name, "queue")
        if name in self._declared:
            raise MisuseError(f"queue {name!r} is declared twice")
        bounds = {} if max_length is None else {name: _bound(name, max_length, overflow)}
        rules = {} if fair_by is None else {name: _share(name, fair_by)}
        FairQueue().with_declared({checked_tenant(tenant): weight for tenant, weight in weights.items()})
        self._registry.queue_rules = self._registry.queue_rules.declaring(
            QueueRules(bounds=bounds, fair_by=rules)
        )
        self._declared.add(name)
        if weights:
            self._weights[name] = dict(weights)

    async def put_into(self, operations: QueueOperations) -> None:
        """Puts all of them, and says which queues are fair by the job types of the program.

        Raises InvalidInput, StoreError.
        """
        rules = self._registry.queue_rules
        fair = {*rules.fair_by, *self._weights}
        for one in self._registry.all():
            if one.info.keys is not None and one.info.keys.fair is not None:
                fair.add(one.info.queue)
        if self._declared or fair:
            await operations.declare_queues(rules, self._weights, fair)


def _bound(name: str, max_length: int, overflow: Overflow | str) -> QueueBound:
    if overflow not in set(Overflow):
        words = " or ".join(Overflow)
        raise InvalidInput(f"overflow must be {words}, not {overflow!r}", field="overflow")
    return QueueBound(queue=name, max_length=max_length, overflow=Overflow(overflow))


def _share(name: str, path: str) -> KeyRule:
    return KeyRule(name=name, path=checked_path(path), alias=alias_of(path))
