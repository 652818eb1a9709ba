"""An app whose one job type works or fails, and what tests of events need of it."""

import asyncio
from collections.abc import AsyncIterator

from headrace import App, Context, EnqueueRequest, ManualClock, Permanent, Retry
from headrace.core.events import Event
from headrace.engine.work import Claim

PATIENCE = 60
ONCE = Retry(attempts=1)


def an_app(url: str = "sqlite://", clock: ManualClock | None = None) -> App:
    app = App(url, clock=clock)

    @app.job(name="work", retry=ONCE)
    async def work(ctx: Context, fails: bool = False) -> str:
        ctx.progress("half", 50)
        if fails:
            raise Permanent("broken")
        return "done"

    return app


def work(fails: bool = False) -> EnqueueRequest:
    return EnqueueRequest(type="work", payload={"fails": fails})


async def ended(app: App, *job_ids: str) -> None:
    operations = await app.operations()
    for job_id in job_ids:
        await operations.wait(job_id, timeout_ms=PATIENCE * 1000)


async def first(following: AsyncIterator[Event], count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        async for event in following:
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError


def a_claim(lease_ms: int, *, limit: int = 10) -> Claim:
    return Claim(
        worker="w", queues={"default": 10}, types=frozenset({"work"}), limit=limit, lease_ms=lease_ms
    )


async def nothing() -> None: ...
