"""How a server carries wake-ups between processes: what a store gives to ``Wakeups``."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Ear(Protocol):
    """A connection that hears what is said on the channel. ``lost`` is set when it has ended."""

    lost: asyncio.Event

    async def beat(self, payload: str, within: float) -> None:
        """Says this to itself: when this returns, it was handed on like all that was said before it.

        Raises if that takes longer than so many seconds.
        """
        ...


class Channel(Protocol):
    """What all processes of one store hear. ``logger`` is whom trouble is told."""

    logger: str

    @property
    def speaks(self) -> bool:
        """Whether anything is to be said at all."""
        ...

    @property
    def why_deaf(self) -> str | None:
        """Why nobody listens, if that was settled from the start."""
        ...

    async def say(self, payload: str) -> None:
        """Tells all who listen. May raise anything."""
        ...

    def listen(self, hear: Callable[[str], None]) -> AbstractAsyncContextManager[Ear]:
        """A connection of the running loop that hands on each payload. May raise anything."""
        ...

    def translated(self, error: Exception) -> Exception:
        """The error as the store's callers see it."""
        ...

    def refuse_closed(self) -> None:
        """Raises StoreUnavailable for a store that is closed, UsedAfterFork for one carried over a fork."""
        ...
