"""What every face can do with alert rules."""

from collections.abc import Sequence
from typing import Protocol

from headrace.core.alerts import AlertRule, AlertState


class AlertOperations(Protocol):
    """Part of ``Operations``."""

    async def put_alert(self, rule: AlertRule) -> AlertState:
        """Makes an alert rule or changes it. With the condition it had, what was told stays told.

        Raises InvalidInput, also where a target needs a job type that nobody has published, such as
        ``webhook-delivery``, and for an address that this one refuses.
        """
        ...

    async def alerts(self) -> Sequence[AlertState]:
        """All alert rules with what they tell of now, by name."""
        ...

    async def alert(self, name: str) -> AlertState:
        """One rule. Raises AlertNotFound."""
        ...

    async def remove_alert(self, name: str) -> None:
        """Removes a rule; nothing is told of what it told of. Raises AlertNotFound."""
        ...

    async def silence_alert(self, name: str, duration_ms: int) -> AlertState:
        """Has a rule tell nothing for so long; 0 ends a silence. Raises AlertNotFound, InvalidInput.

        What is still so afterwards is told then, and so is what was told before and has cleared meanwhile.
        """
        ...

    async def test_alert(self, name: str) -> Sequence[str]:
        """Sends a test alert to the targets of a rule, but for ``function``; returns the targets told.

        Raises AlertNotFound.
        """
        ...
