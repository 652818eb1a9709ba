"""Lets jobs start that a limit, an order or a breaker refused, once nothing refuses them any more."""

from typing import Final

from headrace.clock import Clock
from headrace.core.limits import OLDEST_CLAIM_MS
from headrace.stores.protocol import Store
from headrace.upkeep.chore import ChoreResult

AT_ONCE: Final = 1_000
SOONEST_MS: Final = 100
"""Lanes with a high rate open all the time; the claims of the workers that met them keep that pace."""

LOOKED_AT: Final = 5_000


class OpenLanes:
    """Opens what the clock opens, and heals what a crash left closed: at most 5 s late.

    A job that ends brings back itself who waits for its slot.
    """

    name = "open_lanes"

    def __init__(self, store: Store, clock: Clock, *, every_ms: int = 5_000) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock

    async def run_once(self) -> ChoreResult:
        now = self._clock.now()
        back = await self._store.unpark_free(now=now, limit=AT_ONCE)
        again = None
        if back.next_opening is not None:
            again = min(max(back.next_opening - now, SOONEST_MS), self.every_ms)
        return ChoreResult(done=back.count, more=back.more, again_in_ms=again)


class ForgetLanes:
    """Forgets lanes that nobody waits on and of which nothing need be kept, a part of them each minute."""

    name = "forget_lanes"

    def __init__(self, store: Store, clock: Clock, *, every_ms: int = 60_000) -> None:
        self.every_ms = every_ms
        self._store = store
        self._clock = clock

    async def run_once(self) -> ChoreResult:
        long_ago = self._clock.now() - OLDEST_CLAIM_MS
        return ChoreResult(done=await self._store.forget_lanes(now=long_ago, limit=LOOKED_AT))
