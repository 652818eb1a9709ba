"""Limits as a program declares them for queues, for all its jobs, or under names: ``app.limit``."""

from typing import Final

from headrace.core.limits import Limit
from headrace.engine.limit_operations import LimitOperations
from headrace.engine.limiting import Rate, refuse_conflicts
from headrace.engine.registry import Registry
from headrace.errors import MisuseError

_HERE: Final = "app.limit"


class DeclaredLimits:
    """The limits that a program declares, here and with its job types.

    They are put whenever one of its workers or services starts. What an operator has set wins over them.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._declared: dict[str, Limit] = {}

    def __call__(self, name: str, *, slots: int | None = None, rate: Rate | None = None) -> None:
        """Declares a limit: for ``all`` jobs of the namespace, for ``queue:<name>`` or ``type:<name>``.

        Under any other name it is for the jobs that bring it a key, or name it, by ``Rate(..., name=...)``
        and ``Slots(..., name=...)``. Raises InvalidInput, MisuseError for a name that is declared otherwise.
        """
        if rate is not None and (rate.key is not None or rate.name is not None):
            msg = f"limit {name!r}: a rate has its key and its name where the job type is declared, not here"
            raise MisuseError(msg)
        limit = Limit(name=name, slots=slots, rate=None if rate is None else rate.value)
        refuse_conflicts(_HERE, (limit,), (*self._declared.values(), *self._registry.limits))
        self._declared[name] = limit

    async def put_into(self, operations: LimitOperations) -> None:
        """Puts all of them, and takes back those that this program declared for its job types before.

        Raises StoreError.
        """
        limits = {one.name: one for one in (*self._registry.limits, *self._declared.values())}
        await operations.declare_limits(tuple(limits.values()), self._registry.names)
