"""One run of a loop: from the claim of its job until it rests, is superseded, or one of its functions raises.

The run ends its own attempt, guarded by the revision of the job that it read before it asked for the last
time. So a ping that comes while it is about to rest makes that write stale, and the loop looks again. What
the worker reports afterwards finds the attempt ended.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast

from headrace.core.job import Isolation, Job, Transition
from headrace.core.loop import (
    SOON_MS,
    Debounce,
    Idle,
    LoopConfig,
    LoopDefinition,
    LoopError,
    LoopState,
    Work,
    duration_ms,
)
from headrace.core.loop_moves import (
    asleep,
    begun,
    broken,
    finished,
    forgiven,
    relieved,
    resting,
    resumed,
    troubled,
    wait_ms,
)
from headrace.core.states import State
from headrace.engine.loop_calls import Call
from headrace.engine.loop_log import LoopLog
from headrace.engine.loop_store import LoopStore
from headrace.errors import HeadraceError, LeaseLost, MisuseError, StoreUnavailable
from headrace.stores.protocol import Applied, Holder, Stale

Found = Work[Any] | Idle
Sleep = Callable[[float], Awaitable[None]]

_DECIDE_AGAIN: Final = 20


class Superseded(Exception):
    """The loop was stopped, or another run has taken it over: this one exits and changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFunctions:
    """What the program brings, and how it is defined today."""

    definition: LoopDefinition
    fetch: Call
    process: Call
    log_level: str
    sleep: Sleep = asyncio.sleep


class LoopRun:
    """One run. ``context`` is handed to functions that ask for it."""

    def __init__(
        self, kept: LoopStore, functions: LoopFunctions, name: str, holder: Holder, context: object
    ) -> None:
        self._kept = kept
        self._functions = functions
        self._name = name
        self._holder = holder
        self._context = context
        self._log = LoopLog(name, functions.log_level)
        self._config: LoopConfig = functions.definition.config
        self._generation: int | None = None
        self._troubled = False

    async def run(self) -> None:
        """Drains until there is nothing left. Raises what ``fetch`` and ``process`` raise."""
        try:
            if await self._begin():
                await self._drain()
        except (Superseded, LeaseLost):
            self._log.info("loop_superseded", generation=self._generation)
        except Exception as error:
            self._log.warning("loop_failed", generation=self._generation, error=repr(error))
            told = LoopError.of(error, self._kept.now())
            with suppress(HeadraceError, Superseded):  # the fault itself is what has to be heard of
                await self._swap(lambda state: broken(state, told))
            raise

    async def _begin(self) -> bool:
        """Opens a generation; False if the loop must not run."""
        job = await self._own_job()
        self._troubled = troubled(job)
        for _ in range(_DECIDE_AGAIN):
            kept = await self._kept.read(self._name)
            state = kept.state or LoopState(name=self._name, definition=self._functions.definition)
            begins = begun(state, job)
            if begins is None:
                return False
            if await self._kept.write_held(kept, begins, self._holder):
                self._generation, self._config = begins.generation, begins.definition.config
                if job.attempt > 1:
                    error = job.placement.error
                    self._log.warning("restart", generation=begins.generation, error=error)
                self._log.info("loop_started", generation=begins.generation)
                return True
        raise self._too_fast()

    async def _drain(self) -> None:
        """Fetches and processes until the loop rests or its job is given back."""
        idle_since: int | None = None
        answer = await self._fetch()
        while True:
            pause: int | None
            match answer:
                case Work(batch=batch):
                    idle_since = None
                    pause = await self._process(batch)
                    if await self._recovered():
                        return
                    if pause >= SOON_MS:
                        await self._give_back(pause)
                        return
                case Idle():
                    if await self._recovered():
                        return
                    now = self._kept.now()
                    idle_since = now if idle_since is None else idle_since
                    pause = wait_ms(answer, self._config, idle_since, now)
            if pause is None:
                found = await self._rest()
                if found is None:
                    return
                answer, idle_since = found, None
            else:
                await self._functions.sleep(pause / 1000)
                answer = await self._fetch()

    async def _fetch(self) -> Found:
        answer: object = await self._functions.fetch(self._context, self._held, self._name)
        if not isinstance(answer, Work | Idle):
            raise MisuseError(
                f"fetch of loop {self._name!r} returned {_kind(answer)}: return Work(batch) or Idle()"
            )
        return cast("Found", answer)

    async def _process(self, batch: object) -> int:
        """Processes one batch; how long to wait before the next, in milliseconds."""
        said = await self._functions.process(self._context, self._held, batch, self._name)
        self._log.debug("batch_processed", generation=self._generation)
        match said:
            case None:
                return 0
            case Debounce(seconds=seconds):
                return duration_ms(seconds, "debounce")
            case _:
                raise MisuseError(
                    f"process of loop {self._name!r} returned {_kind(said)}: "
                    "return nothing or Debounce(seconds)"
                )

    async def _rest(self) -> Found | None:
        """Goes idle and asks once more; None if there is nothing and the job is given back or ended."""
        await self._swap(lambda state: resting(state, self._kept.now()))
        job = await self._own_job()
        answer = await self._fetch()
        match answer:
            case Idle() if await self._ended(job, self._rested(answer, job)):
                self._log.info("loop_idle", generation=self._generation)
                return None
            case Idle():
                await self._swap(resumed)  # pinged meanwhile
                return await self._fetch()
            case Work():
                await self._swap(resumed)
                return answer

    def _rested(self, answer: Idle, job: Job) -> Transition:
        now = self._kept.now()
        if answer.timeout is None:
            return finished(job, now)
        return asleep(job, now + duration_ms(answer.timeout, "timeout"), now)

    async def _give_back(self, pause: int) -> None:
        """Gives the job back until it may run again. The loop counts as running, so pings are ignored."""
        due_at = self._kept.now() + pause
        await self._change(lambda job: asleep(job, due_at, self._kept.now()))

    async def _recovered(self) -> bool:
        """The first thing that went well after trouble: forgets it. Whether that gave the job back."""
        if not self._troubled:
            return False
        self._troubled = False
        job = await self._own_job()
        if job.placement.isolation is Isolation.NONE:
            await self._change(forgiven)
            return False
        await self._change(lambda fresh: relieved(fresh, self._kept.now()))
        self._kept.remind(job.facts.queue, self._kept.now())
        return True

    async def _change(self, decide: Callable[[Job], Transition]) -> None:
        for _ in range(_DECIDE_AGAIN):
            job = await self._own_job()
            if await self._ended(job, decide(job)):
                return
        raise self._too_fast()

    async def _ended(self, job: Job, transition: Transition) -> bool:
        """Writes a transition of the own job; False if the job was touched since it was read."""
        if job.placement.cancel_asked_at is not None:
            raise Superseded
        match await self._kept.apply(transition):
            case Applied():
                return True
            case Stale():
                return False
            case _:
                raise Superseded

    async def _held(self) -> bool:
        """Whether the job is still this run's."""
        try:
            await self._own_job()
        except Superseded:
            return False
        return True

    async def _own_job(self) -> Job:
        """The job, as long as this run holds it."""
        job = await self._kept.job(self._holder.job_id)
        if job is None or job.fence != self._holder.fence or job.state is not State.PROCESSING:
            raise Superseded
        return job

    async def _swap(self, change: Callable[[LoopState], LoopState]) -> None:
        """Writes the loop's state as its present run. Raises Superseded, LeaseLost."""
        for _ in range(_DECIDE_AGAIN):
            kept = await self._kept.read(self._name)
            if kept.state is None or kept.state.generation != self._generation:
                raise Superseded
            after = change(kept.state)
            if await self._kept.write_held(kept, after, self._holder):
                self._config = after.definition.config
                return
        raise self._too_fast()

    def _too_fast(self) -> StoreUnavailable:
        return StoreUnavailable(f"loop {self._name!r} changes too fast to go on")


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
