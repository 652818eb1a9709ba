"""Chance for a run, from a seed that every failure tells."""

import asyncio
import random
from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")


class Nemesis:
    """Decides what goes wrong, and when. The same seed decides the same."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed: Final = random.randrange(10**6) if seed is None else seed
        self.rng: Final = random.Random(self.seed)

    def one_of(self, things: Sequence[T]) -> T:
        """A victim."""
        return self.rng.choice(things)

    async def strike_within(self, low: float, high: float) -> None:
        """The time until the next blow: part of the experiment, not a wait for anything."""
        await asyncio.sleep(self.rng.uniform(low, high))
