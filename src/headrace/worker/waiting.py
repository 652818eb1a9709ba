"""Waiting that can be woken, and back-off for a store that does not answer."""

import asyncio
import random
from typing import Final

from headrace.core.backoff import Backoff, Jitter
from headrace.errors import StoreFull

_QUICK: Final = Backoff.exponential(0.1, cap=5, jitter=Jitter.EQUAL)
_FULL: Final = Backoff.exponential(30, cap=120, jitter=Jitter.EQUAL)


async def rings(bell: asyncio.Event, seconds: float) -> bool:
    """Whether the bell rings within that time."""
    if bell.is_set():
        return True
    if seconds <= 0:
        return False
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        return False
    return True


class Patience:
    """How long to wait before asking the store again: longer each time, with jitter, until it answers.

    A store without space is asked every half minute at most: nothing frees it in between.
    """

    def __init__(self) -> None:
        self._rng = random.Random()
        self._failures = 0

    def answered(self) -> None:
        """The store did what it was asked."""
        self._failures = 0

    def failed(self, error: Exception) -> float:
        """The store did not; how many seconds to wait."""
        self._failures += 1
        backoff = _FULL if isinstance(error, StoreFull) else _QUICK
        return backoff.delay_ms(self._failures, self._rng) / 1000
