"""A store that fails at one of its calls."""

import inspect
from dataclasses import dataclass, replace
from typing import Any

from headrace.errors import OutcomeUnknown, StoreUnavailable
from headrace.moving.sides import Side


@dataclass(slots=True)
class Fault:
    """The call that fails, of all stores that share this. ``lost``: it is done, and its reply lost."""

    at: int
    lost: bool
    calls: int = 0
    called: str | None = None

    def comes(self, name: str) -> bool:
        here = self.calls == self.at
        self.calls += 1
        if here:
            self.called = name
        return here


class Faulty:
    """Passes on every call but the one that fails."""

    def __init__(self, store: Any, fault: Fault) -> None:
        self._store = store
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*given: Any, **named: Any) -> Any:
            if not self._fault.comes(name):
                return await found(*given, **named)
            if not self._fault.lost:
                raise StoreUnavailable(f"away at {name}")
            await found(*given, **named)
            raise OutcomeUnknown(f"reply of {name} lost")

        return call


def faulty(side: Side, fault: Fault) -> Side:
    return replace(side, store=Faulty(side.store, fault))  # type: ignore[arg-type]
