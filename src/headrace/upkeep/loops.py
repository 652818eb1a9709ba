"""Starts loops that died, and ends what a stop in the middle of things left of others."""

from headrace.engine.loops import Loops
from headrace.upkeep.chore import ChoreResult


class SweepLoops:
    """Heals what a crash can leave between a loop's state and its job."""

    name = "loops"

    def __init__(self, loops: Loops, *, every_ms: int = 5_000) -> None:
        self.every_ms = every_ms
        self._loops = loops

    async def run_once(self) -> ChoreResult:
        return ChoreResult(done=await self._loops.sweep())
