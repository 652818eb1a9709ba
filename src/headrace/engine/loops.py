"""Loops as operations: ping, stop, start, status, the list, and the sweep that heals them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from headrace.core.job import Job
from headrace.core.loop import LoopDefinition, LoopInfo, LoopState, checked_loop, shown
from headrace.core.loop_moves import (
    Act,
    Step,
    on_ping,
    on_start,
    on_stop,
    on_sweep,
    redefined,
    touched,
    woken,
)
from headrace.engine.loop_log import said
from headrace.engine.loop_store import Kept, LoopStore
from headrace.errors import IllegalMove, JobNotFound, StoreUnavailable
from headrace.stores.protocol import Applied

Decide = Callable[[LoopState, Job | None, int], Step]
_DECIDE_AGAIN: Final = 20


class Loops:
    """The loops of one namespace. ``cancel`` ends or stops a job by its id."""

    def __init__(self, kept: LoopStore, cancel: Callable[[str], Awaitable[object]]) -> None:
        self.kept = kept
        self._cancel = cancel

    async def ping(self, name: str, definition: LoopDefinition | None = None) -> LoopInfo | None:
        """Has the loop look for rows that were committed before this call.

        With a definition it is made at its first ping, and its settings are refreshed where they have
        changed. None for a loop that nobody has defined yet.
        """
        return await self._change(name, on_ping, definition)

    async def start(self, name: str, definition: LoopDefinition | None = None) -> LoopInfo | None:
        """Lets a stopped loop run again; does nothing to any other. None for one that nobody has pinged."""
        if (await self.kept.read(checked_loop(name))).state is None:
            return None
        return await self._change(name, on_start, definition)

    async def stop(self, name: str) -> LoopInfo | None:
        """Stops the loop: pings do nothing until ``start``. None for one that nobody has pinged.

        A batch that is being processed is told to stop like any job that is cancelled; the answer's
        ``in_hand`` says that there was one.
        """
        return await self._change(name, on_stop)

    async def status(self, name: str) -> LoopInfo | None:
        """The loop; None for one that nobody has pinged."""
        state = (await self.kept.read(checked_loop(name))).state
        return None if state is None else shown(state, await self.kept.job(state.job_id), self.kept.now())

    async def all(self) -> Sequence[LoopInfo]:
        """All loops, by name."""
        states = [state for one in await self.kept.all() if (state := one.state) is not None]
        ids = tuple(state.job_id for state in states if state.job_id is not None)
        jobs, now = await self.kept.jobs(ids), self.kept.now()
        return [shown(state, jobs.get(state.job_id or ""), now) for state in states]

    async def sweep(self) -> int:
        """Starts loops that died, and ends jobs of stopped ones; returns how many there were."""
        states = [state for one in await self.kept.all() if (state := one.state) is not None]
        ids = tuple(state.job_id for state in states if state.job_id is not None)
        jobs, now = await self.kept.jobs(ids), self.kept.now()
        healed = 0
        for state in states:
            if on_sweep(state, jobs.get(state.job_id or ""), now).act is not Act.LEAVE:
                healed += 1
                await self._change(state.name, on_sweep)
        return healed

    async def _change(
        self, name: str, decide: Decide, definition: LoopDefinition | None = None
    ) -> LoopInfo | None:
        """Decides until nothing has changed meanwhile. The state is read before the job, never after it."""
        checked_loop(name)
        for _ in range(_DECIDE_AGAIN):
            kept = await self.kept.read(name)
            before = kept.state
            if before is None:
                if definition is None:
                    return None
                before = LoopState(name=name, definition=definition)
            job = await self.kept.job(before.job_id)
            step = decide(redefined(before, definition), job, self.kept.now())
            state = await self._done(kept, before, step, job)
            if state is not None:
                if step.act is not Act.LEAVE:
                    job = await self.kept.job(state.job_id)
                return shown(state, job, self.kept.now())
        msg = f"loop {name!r} changes too fast to decide on; try again"
        raise StoreUnavailable(msg)

    async def _done(self, kept: Kept, before: LoopState, step: Step, job: Job | None) -> LoopState | None:
        """Does what was decided; None if it has to be decided again."""
        state = step.state
        if step.act is Act.CREATE:
            made = await self.kept.create(
                kept, state, self.kept.now() if step.due_at is None else step.due_at
            )
            if made is not None and made.restarts > before.restarts:
                said("warning", "restart", loop=state.name, restarts=made.restarts, error=_error_of(job))
            return made
        if state != before and not await self.kept.write(kept, state):
            return None
        if job is None or step.act is Act.LEAVE:
            return state
        if step.act is Act.CANCEL:
            await self._end(job)
            return state
        transition = touched(job) if step.due_at is None else woken(job, step.due_at)
        if await self.kept.apply(transition) != Applied():
            return None
        if step.due_at is not None:
            self.kept.remind(job.facts.queue, step.due_at)
        return state

    async def _end(self, job: Job) -> None:
        try:
            await self._cancel(job.id)
        except (IllegalMove, JobNotFound):
            return  # it has ended meanwhile


def _error_of(job: Job | None) -> str | None:
    return None if job is None else job.placement.error
