"""Makes sure that nothing runs at the source: no worker, no job."""

import random
from collections.abc import Awaitable, Callable

from headrace.core.decide import decide
from headrace.core.filters import JobFilter
from headrace.core.job import Job
from headrace.core.outcomes import Rescued
from headrace.core.states import State
from headrace.engine.published import PublishedTypes
from headrace.moving.beginning import living_workers
from headrace.moving.sides import MoveRefused, Said, Side, Surroundings
from headrace.moving.walking import oldest_first

_NAMED = 5


async def what_runs(side: Side) -> list[str]:
    """What still runs, as people know it: workers that are alive, jobs whose lease has not ended."""
    found = [f"worker {name}" for name in await living_workers(side)]
    now = side.clock.now()
    running = [
        job
        async for page in oldest_first(side, JobFilter(states=frozenset({State.PROCESSING})))
        for job in page
        if not _lease_ended(job, now)
    ]
    found += [f"job {job.id} ({job.facts.type}, on {job.placement.worker})" for job in running[:_NAMED]]
    if len(running) > _NAMED:
        found.append(f"{len(running) - _NAMED} other jobs")
    return found


async def refuse_if_anything_runs(side: Side, *, help_text: str) -> None:
    """Raises MoveRefused and says what runs."""
    if found := await what_runs(side):
        raise MoveRefused(f"at {side.name} there still run: {'; '.join(found)}. {help_text}")


async def wait_until_quiet(side: Side, around: Surroundings, keep: Callable[[], Awaitable[None]]) -> None:
    """Waits until workers have gone and jobs have ended; says for what. ``keep`` is called meanwhile."""
    while found := await what_runs(side):
        around.say(Said(f"waiting for {'; '.join(found)}"))
        await around.pause(1.0)
        await keep()


async def rescue(side: Side) -> int:
    """Takes away jobs whose holder is gone for good, as upkeep does; returns how many.

    So no job is moved while somebody may believe that it is his, and a holder that comes back after all is
    refused at the source.
    """
    published = PublishedTypes(side.store, side.namespace, side.clock)
    rng = random.Random()
    done = 0
    async for page in oldest_first(side, JobFilter(states=frozenset({State.PROCESSING}))):
        now = side.clock.now()
        expired = [job for job in page if _lease_ended(job, now)]
        transitions = [
            decide(
                job,
                Rescued(),
                policy=await published.policy(job.facts.type, job.facts.version),
                now=now,
                rng=rng,
            )
            for job in expired
        ]
        if transitions:
            await side.store.apply(transitions, now=now)
            done += len(transitions)
    return done


def _lease_ended(job: Job, now: int) -> bool:
    until = job.placement.lease_until
    return until is not None and until < now
