"""The operations on alert rules, as ``LocalOperations`` passes them on."""

from collections.abc import Sequence

from headrace.core.alerts import AlertRule, AlertState
from headrace.engine.alerting import Alerts


class LocalAlerts:
    """Passes on to the part; what each call promises stands at ``AlertOperations``."""

    alert_engine: Alerts

    async def put_alert(self, rule: AlertRule) -> AlertState:
        return await self.alert_engine.put(rule)

    async def alerts(self) -> Sequence[AlertState]:
        return await self.alert_engine.all()

    async def alert(self, name: str) -> AlertState:
        return await self.alert_engine.get(name)

    async def remove_alert(self, name: str) -> None:
        await self.alert_engine.remove(name)

    async def silence_alert(self, name: str, duration_ms: int) -> AlertState:
        return await self.alert_engine.silence(name, duration_ms)

    async def test_alert(self, name: str) -> Sequence[str]:
        return await self.alert_engine.test(name)
