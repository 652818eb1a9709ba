"""Looks at the alert rules, and tells what they have to tell."""

from collections.abc import Sequence
from typing import Final

from headrace.clock import Clock
from headrace.core.alert_wire import loads
from headrace.core.alerts import KIND
from headrace.engine.alert_delivery import AlertFunction, call, log
from headrace.engine.alerting import Alerts, logs, needs_function
from headrace.engine.local import LocalOperations
from headrace.errors import StoreError
from headrace.stores.protocol import Register, Store
from headrace.upkeep.chore import ChoreResult

AT_ONCE: Final = 100
PATIENCE_MS: Final = 30_000
"""For so long a rule that calls functions is left to a process that has some."""


class WatchAlerts:
    """Looks at the rules that are due; several processes may. ``functions`` are those of this program."""

    name = "alerts"

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        namespace: str,
        functions: Sequence[AlertFunction] = (),
        every_ms: int = 5_000,
    ) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock
        self._namespace = namespace
        self._functions = functions
        self._engines: dict[str, Alerts] = {}

    async def run_once(self) -> ChoreResult:
        now = self._clock.now()
        due = await self._store.due(KIND, now=now, limit=AT_ONCE)
        told = 0
        for namespace, register in due:
            told += await self._look(namespace, register, now)
        return ChoreResult(done=told, more=len(due) == AT_ONCE)

    async def _look(self, namespace: str, register: Register, now: int) -> int:
        """Looks at one rule; returns how many alerts were told."""
        engine = self._engine(namespace)
        try:
            if self._leaves_it(namespace, register, now):
                return 0
            looked = await engine.look(register)
        except StoreError:
            raise
        except Exception as error:  # boundary: one rule that cannot be looked at must not hold up the others
            await engine.put_off(register, error)
            return 0
        if looked is None:
            return 0
        rule, alerts = looked
        if alerts and logs(rule):
            log(alerts)
        if alerts and needs_function(rule) and namespace == self._namespace:
            await call(self._functions, alerts)
        return len(alerts)

    def _leaves_it(self, namespace: str, register: Register, now: int) -> bool:
        """Whether the rule calls functions that another process may have, and is not overdue."""
        if self._functions and namespace == self._namespace:
            return False
        overdue = register.due_at is not None and now - register.due_at >= PATIENCE_MS
        return not overdue and needs_function(loads(register.value).rule)

    def _engine(self, namespace: str) -> Alerts:
        known = self._engines.get(namespace)
        if known is None:
            operations = LocalOperations(self._store, self._clock, namespace=namespace)
            known = self._engines[namespace] = operations.alert_engine
        return known
