"""The job types of the experiments. Each tells the ledger what it does."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from headrace.core.backoff import Backoff
from headrace.core.policy import Retention
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.engine.context import Context
from headrace.engine.operations import Runs
from headrace.engine.registry import JobOptions, Registry, Retry, registered
from headrace.errors import Permanent
from tests.crash.kit.ledger import Phase, tell

registry = Registry()

SOON = Retry(attempts=3, backoff=Backoff.fixed(0.1))

BRIEF = Retention(completed_age_ms=1_000, cancelled_age_ms=1_000)
COUNTED = Retention(completed_count=20)

YOUNG_TAG = "young-of:"
"""With the id of the member behind it, a tag of a member that this one has added to their batch."""


def job(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a handler under its own name."""

    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        name = getattr(handler, "__name__", "")
        registry.add(registered(handler, JobOptions(name=name, retry=SOON, **options)))
        return handler

    return register


@job()
async def on_loop(ctx: Context, ms: int) -> str:
    tell(ctx, Phase.START)
    await asyncio.sleep(ms / 1000)
    tell(ctx, Phase.EFFECT)
    tell(ctx, Phase.END)
    return ctx.job.id


@job()
def in_thread(ctx: Context, ms: int) -> str:
    tell(ctx, Phase.START)
    time.sleep(ms / 1000)
    tell(ctx, Phase.EFFECT)
    tell(ctx, Phase.END)
    return ctx.job.id


@job(runs=Runs.PROCESS)
def apart(ctx: Context, ms: int) -> str:
    tell(ctx, Phase.START)
    time.sleep(ms / 1000)
    tell(ctx, Phase.EFFECT)
    tell(ctx, Phase.END)
    return ctx.job.id


@job()
async def flaky(ctx: Context, failures: int) -> str:
    """Fails so many times, then succeeds."""
    tell(ctx, Phase.START)
    if ctx.attempt <= failures:
        raise ValueError("flaky")
    tell(ctx, Phase.EFFECT)
    return ctx.job.id


@job()
async def poison(ctx: Context) -> None:
    """Takes its process down, whichever that is."""
    tell(ctx, Phase.START)
    os.kill(os.getpid(), signal.SIGKILL)


@job()
async def fat(ctx: Context, text: str) -> int:
    """A job with much to keep."""
    tell(ctx, Phase.START)
    tell(ctx, Phase.EFFECT)
    return len(text)


@job()
async def member(ctx: Context, ms: int, failures: int = 0, brood: int = 0) -> str:
    """Adds so many members to its batch, works so long, and fails at so many of its claims."""
    tell(ctx, Phase.START)
    if brood:
        await ctx.batch.add(*(_young(ctx, number, ms) for number in range(brood)))
    await asyncio.sleep(ms / 1000)
    return _ended(ctx, failures)


def _young(ctx: Context, number: int, ms: int) -> EnqueueRequest:
    return EnqueueRequest(
        type="member",
        payload={"ms": ms},
        idempotency_key=f"{ctx.idempotency_key}-{number}",
        tags=(f"{YOUNG_TAG}{ctx.job.id}",),
    )


@job(retention=BRIEF)
async def fleeting(ctx: Context, ms: int = 0, failures: int = 0, key: str = "", body: str = "") -> str:
    """Is erased a second after it has ended. Works so long, and fails at so many of its claims."""
    tell(ctx, Phase.START, key)
    await asyncio.sleep(ms / 1000)
    return _ended(ctx, failures) + body


@job(retention=COUNTED)
async def counted(ctx: Context) -> str:
    """Of those that have completed only the newest few are kept."""
    tell(ctx, Phase.START)
    return _ended(ctx, 0)


@job()
async def kin(ctx: Context, ms: int, fails: bool = False) -> int:
    """One more than its parents returned together; or fails for good."""
    tell(ctx, Phase.START)
    parents = await ctx.parents()
    await asyncio.sleep(ms / 1000)
    if fails:
        raise Permanent("as it was told to")
    tell(ctx, Phase.EFFECT)
    return 1 + sum(int(str(one.result)) for one in parents if one.state is State.COMPLETED)


def _ended(ctx: Context, failures: int) -> str:
    if ctx.job.fence <= failures:
        msg = f"fails at its first {failures} claims"
        raise ValueError(msg)
    tell(ctx, Phase.EFFECT)
    return ctx.job.id
