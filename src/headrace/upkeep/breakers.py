"""Sees to it that claims go by the breakers as they are."""

from headrace.engine.breakers import Breakers
from headrace.upkeep.chore import ChoreResult


class HealBreakers:
    """Sets lanes right that do not fit their breaker, as a crash between the two leaves them."""

    name = "breakers"

    def __init__(self, breakers: Breakers, *, every_ms: int = 5_000) -> None:
        self.every_ms = every_ms
        self._breakers = breakers

    async def run_once(self) -> ChoreResult:
        return ChoreResult(done=await self._breakers.heal())
