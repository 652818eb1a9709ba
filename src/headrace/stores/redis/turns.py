"""Turns of ops that would only make each other start over."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakValueDictionary

from headrace.stores.redis.database import Again
from headrace.stores.redis.session import Session

_Locks = WeakValueDictionary[str, asyncio.Lock]

_PATIENT: Final = 3
_KEPT_MS: Final = 2_000


class Turns:
    """Has the ops of one event loop that watch the same keys run one after the other.

    Those of other loops and processes are found out when an op commits.
    """

    def __init__(self) -> None:
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, _Locks] = WeakKeyDictionary()

    @asynccontextmanager
    async def taken(self, keys: Iterable[str]) -> AsyncGenerator[None]:
        """A block that no other one with any of these keys runs beside."""
        loop = asyncio.get_running_loop()
        locks = self._locks.get(loop)
        if locks is None:
            locks = self._locks[loop] = WeakValueDictionary()
        async with AsyncExitStack() as held:
            for key in sorted(set(keys)):  # all take them in this order
                await held.enter_async_context(locks.setdefault(key, asyncio.Lock()))
            yield


@dataclass(slots=True)
class Insistence:
    """How often an op has started over. From the third time on it has the others of its kind wait for it.

    Else, where several processes insert for one tenant as fast as they can, one might never be the first.
    """

    _tries: int = 0
    _token: str = field(default_factory=str)

    async def begin(self, session: Session) -> None:
        """At the beginning of a try. Raises Again while another one insists. What is added ends it."""
        self._tries += 1
        if self._tries > _PATIENT:
            self._token = self._token or uuid4().hex
            name = session.keys.insistence
            # it goes by itself: whoever has died with it keeps nobody waiting for long
            given = await session.call("SET", name, self._token, "NX", "PX", _KEPT_MS)
            if not given and await session.call("GET", name) != self._token:
                raise Again
        session.add(("turn", self._token))
