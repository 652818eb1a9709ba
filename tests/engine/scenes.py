"""What tests of handlers' transactions share: gates, waiting, and taking a job away from its holder."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from headrace.core.decide import decide
from headrace.core.job import AttemptOutcome
from headrace.core.outcomes import Rescued
from headrace.core.policy import Policy
from headrace.engine.registry import Retry
from headrace.stores.protocol import Applied
from headrace.worker.settings import WorkerSettings
from tests.engine.transacting import Program

PATIENCE = 60
ONCE = Retry(attempts=1)


@dataclass(slots=True)
class Scene:
    """What a handler did, and gates for it."""

    said: list[Any] = field(default_factory=list)
    inside: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)


async def ended(program: Program, handle: Any):
    """The job, once it has ended and its worker has reported."""
    operations = await program.app.operations()
    return await operations.wait(handle.id, timeout_ms=PATIENCE * 1000)


async def arrives(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE):
        await event.wait()


async def outcomes(program: Program, job_id: str) -> list[AttemptOutcome]:
    history = await (await program.app.operations()).history(job_id)
    return [attempt.outcome for attempt in history.attempts]


def settings(**fields: Any) -> WorkerSettings:
    return WorkerSettings(**({"poll_ms": 20, "grace_ms": 20_000, "stop_after_ms": 20_000} | fields))


async def rescue(program: Program, job_id: str) -> None:
    """Takes the job from its holder, as the upkeep of another process would when the lease has run out."""
    store = (await program.app.open()).store
    for _ in range(20):
        job = (await store.get("default", [job_id]))[job_id]
        now = (job.placement.lease_until or 0) + 1
        taken = decide(job, Rescued(), policy=Policy(), now=now, rng=random.Random(1))
        if await store.apply([taken], now=now) == [Applied()]:
            return
    raise AssertionError("the job could not be taken away")
