"""Removes what interrupted writes of files left behind."""

from typing import Protocol

from headrace.upkeep.chore import ChoreResult


class Sweepable(Protocol):
    """A file store that can look for files nobody knows of."""

    async def sweep(self) -> int:
        """Removes orphans; returns how many there were."""
        ...


class SweepFiles:
    """Looks for orphans once an hour."""

    name = "sweep_files"

    def __init__(self, files: Sweepable, *, every_ms: int = 3_600_000) -> None:
        self.every_ms = every_ms
        self._files = files

    async def run_once(self) -> ChoreResult:
        return ChoreResult(done=await self._files.sweep())
