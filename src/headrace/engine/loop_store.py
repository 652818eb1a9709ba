"""A loop in the store: its state as a register, its job as a row. Both are written by compare-and-set."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from headrace.clock import Clock
from headrace.core import wire
from headrace.core.job import Facts, Job, Placement, Transition
from headrace.core.loop import REGISTERS, RETRIES, LoopState, register_key, unique_key
from headrace.core.states import State
from headrace.core.unique import OnConflict
from headrace.errors import DuplicateJob, StaleRegister, StoreError
from headrace.stores.protocol import ApplyAnswer, Holder, NewJob, Register, Store, Swap

_REMIND_MS: Final = 60_000
_ABSENT: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A loop's state as it was read; None where there is none yet."""

    name: str
    revision: int = _ABSENT
    state: LoopState | None = None


class LoopStore:
    """The loops of one namespace."""

    def __init__(self, store: Store, clock: Clock, *, namespace: str, mint: Callable[[int], str]) -> None:
        self._store = store
        self._clock = clock
        self._namespace = namespace
        self._mint = mint

    def now(self) -> int:
        """Store time."""
        return self._clock.now()

    async def read(self, name: str) -> Kept:
        """The loop's state."""
        key = register_key(name)
        found = await self._store.read(self._namespace, (key,))
        return _kept(found[key]) if key in found else Kept(name=name)

    async def all(self) -> list[Kept]:
        """The states of all loops, by name."""
        return [_kept(one) for one in await self._store.scan(self._namespace, REGISTERS)]

    async def job(self, job_id: str | None) -> Job | None:
        """The job of that id, if there is one."""
        return None if job_id is None else (await self.jobs((job_id,))).get(job_id)

    async def jobs(self, ids: tuple[str, ...]) -> Mapping[str, Job]:
        """The jobs that exist, by id."""
        return await self._store.get(self._namespace, ids)

    async def write(self, kept: Kept, state: LoopState) -> bool:
        """Writes the state, unless it has changed since it was read."""
        return await self._store.swap(self._namespace, (_swap(kept, state),))

    async def write_held(self, kept: Kept, state: LoopState, holder: Holder) -> bool:
        """As ``write``, in the same op as the proof that the holder still has the job. Raises LeaseLost."""
        now = self.now()
        try:
            await self._store.insert(self._namespace, (), now=now, parent=holder, swaps=(_swap(kept, state),))
        except StaleRegister:
            return False
        return True

    async def create(self, kept: Kept, state: LoopState, due_at: int) -> LoopState | None:
        """Makes the loop's job and writes its state in one op; None if anything has changed meanwhile.

        If another job holds the loop's key (an operator ran an earlier one again), the state names that
        one from now on.
        """
        new = self._new_job(state, due_at)
        made = replace(state, job_id=new.facts.id)
        try:
            await self._store.insert(self._namespace, (new,), now=self.now(), swaps=(_swap(kept, made),))
        except StaleRegister:
            return None
        except DuplicateJob as error:
            await self.write(kept, replace(kept.state or state, job_id=error.existing_id))
            return None
        self.remind(state.definition.queue, due_at)
        return made

    async def apply(self, transition: Transition) -> ApplyAnswer:
        """Writes one transition of a loop's job."""
        (answer,) = await self._store.apply((transition,), now=self.now())
        return answer

    def remind(self, queue: str, due_at: int) -> None:
        """Hints that a job is due, now or when it is. A hint may be lost: polling finds the job anyhow."""
        wait_ms = due_at - self.now()
        if wait_ms > 0:
            if wait_ms <= _REMIND_MS:
                asyncio.get_running_loop().call_later(wait_ms / 1000, self._wake, queue)
            return
        self._wake(queue)

    def _wake(self, queue: str) -> None:
        with suppress(StoreError):  # closed meanwhile
            self._store.wake(self._namespace, frozenset({queue}))

    def _new_job(self, state: LoopState, due_at: int) -> NewJob:
        now, key = self.now(), unique_key(state.name)
        facts = Facts(
            id=self._mint(now),
            namespace=self._namespace,
            type=state.definition.type,
            queue=state.definition.queue,
            payload=wire.encode({"name": state.name}),
            created_at=now,
            max_attempts=RETRIES,
            unique_key=key,
            lock_after_claim=key,
        )
        placement = Placement(
            state=State.PENDING, priority=0, rank=due_at, due_at=due_at, unique_lock=facts.unique_key
        )
        return NewJob(facts=facts, placement=placement, on_conflict=OnConflict.REJECT)


def _kept(register: Register) -> Kept:
    state = LoopState.loads(register.value)
    return Kept(name=state.name, revision=register.revision, state=state)


def _swap(kept: Kept, state: LoopState) -> Swap:
    return Swap(key=register_key(kept.name), revision=kept.revision, value=state.dumps())
