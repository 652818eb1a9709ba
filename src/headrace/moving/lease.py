"""Who moves: the register at the target, held for as long as its holder goes on writing it."""

from collections.abc import Mapping
from dataclasses import replace

from headrace.errors import StaleRegister
from headrace.moving.registers import INTO, LEASE_MS, Incoming, Stage
from headrace.moving.sides import MoveRefused, Said, Side, Surroundings
from headrace.stores.adopting import Adoption
from headrace.stores.protocol import Register, Swap


class Lease:
    """The right to write the target. Every write goes through it, and so proves the right again."""

    def __init__(self, target: Side, state: Incoming, revision: int) -> None:
        self.state = state
        self._target = target
        self._revision = revision

    async def adopt(self, adoption: Adoption, *, up_to: int = 0) -> frozenset[str]:
        """Takes something in, and notes in the same op up to where all was moved.

        Raises MoveRefused once another mover has taken over.
        """
        swap = self._swap(replace(self.state, up_to=max(up_to, self.state.up_to)))
        swaps = (*adoption.swaps, swap)
        try:
            taken = await self._target.store.adopt(self._target.namespace, replace(adoption, swaps=swaps))
        except StaleRegister as error:
            if error.key == INTO:
                raise _taken_over() from error
            raise
        await self._written(swap)
        return taken

    async def write(self, state: Incoming) -> None:
        """Writes how far the move is."""
        swap = self._swap(state)
        if not await self._target.store.swap(self._target.namespace, (swap,)):
            raise _taken_over()
        await self._written(swap)

    async def keep(self) -> None:
        """Writes the register again if that is long ago, so that nobody takes over meanwhile."""
        if self.state.until - self._target.clock.now() < LEASE_MS // 2:
            await self.write(self.state)

    async def note_queues(self, paused: Mapping[str, bool]) -> None:
        """Notes queues of the source and whether they were paused, before they are."""
        await self.write(replace(self.state, paused={**self.state.paused, **paused}))

    async def reach(self, stage: Stage, *, up_to: int = 0) -> None:
        """Notes that a stage is reached, and up to where all was moved."""
        done_at = self._target.clock.now() if stage is Stage.DONE else None
        up_to = max(up_to, self.state.up_to)
        await self.write(replace(self.state, stage=stage, done_at=done_at, up_to=up_to))

    async def give_back(self) -> None:
        """Lets another mover go on at once."""
        swap = replace(self._swap(self.state), value=replace(self.state, mover=None, until=0).dumps())
        await self._target.store.swap(self._target.namespace, (swap,))

    def _swap(self, state: Incoming) -> Swap:
        held = replace(state, until=self._target.clock.now() + LEASE_MS)
        return Swap(key=INTO, revision=self._revision, value=held.dumps())

    async def _written(self, swap: Swap) -> None:
        found = await self._target.store.read(self._target.namespace, (INTO,))
        register = found.get(INTO)
        if register is None or register.value != swap.value:
            raise _taken_over()
        self.state = Incoming.loads(register.value)
        self._revision = register.revision


async def take(target: Side, register: Register, around: Surroundings) -> Lease:
    """Takes the lease of a move that has begun. Waits for the end of one that its mover left behind.

    Raises MoveRefused where that mover goes on.
    """
    while True:
        state = Incoming.loads(register.value)
        now = target.clock.now()
        if state.mover is None or state.mover == around.mover or state.until <= now:
            return await _taken(target, state, register.revision, around)
        if around.has_gone(state.mover):
            return await _taken(target, state, register.revision, around)
        around.say(Said(f"waiting until {state.mover} moves these jobs no more"))
        await around.pause(min(1.0, (state.until - now) / 1_000))
        found = (await target.store.read(target.namespace, (INTO,))).get(INTO)
        if found is None or found.revision != register.revision:
            raise MoveRefused(f"{state.mover} is moving these jobs right now; let it end, or end it")


async def begin(target: Side, state: Incoming, around: Surroundings) -> Lease:
    """Makes the register of a move that begins. Raises MoveRefused if somebody was faster."""
    return await _taken(target, state, 0, around)


async def _taken(target: Side, state: Incoming, revision: int, around: Surroundings) -> Lease:
    lease = Lease(target, state, revision)
    await lease.write(replace(state, mover=around.mover))
    return lease


def _taken_over() -> MoveRefused:
    return MoveRefused("another mover has taken over this move; nothing was written after that")
