"""What a chore is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoreResult:
    """What one run did: how many things, and whether more of them wait already.

    ``again_in_ms`` says when exactly to run next, instead of about every ``every_ms``.
    """

    done: int = 0
    more: bool = False
    again_in_ms: int | None = None
    details: Mapping[str, int | str] = field(default_factory=dict[str, int | str])


class Chore(Protocol):
    """A small piece of upkeep, safe when two processes do it at the same time."""

    @property
    def name(self) -> str:
        """What it is called in the log."""
        ...

    @property
    def every_ms(self) -> int:
        """How often it is worth running."""
        ...

    async def run_once(self) -> ChoreResult:
        """Does a bounded amount of work. Raises StoreError."""
        ...
