"""The two clocks that ledger and history note, and waiting for what another process does."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 120.0
_POLL: Final = 0.01


def store_ms() -> int:
    """The host's clock: store time of every store that runs on this machine."""
    return time.time_ns() // 1_000_000


def mono_ms() -> float:
    """Comes from one clock for all processes of this machine, and never jumps."""
    return time.monotonic() * 1000


async def until(what: str, happens: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    """Returns once it happens. Raises TimeoutError, which says what did not, far beyond any honest wait."""
    try:
        async with asyncio.timeout(patience):
            while not happens():
                await asyncio.sleep(_POLL)
    except TimeoutError as error:
        msg = f"{what}: not within {patience:g} s"
        raise TimeoutError(msg) from error
