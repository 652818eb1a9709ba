"""The job types of the experiments. Each tells the ledger what it does."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from headrace.core.backoff import Backoff
from headrace.engine.context import Context
from headrace.engine.operations import Runs
from headrace.engine.registry import JobOptions, Registry, Retry, registered
from tests.crash.kit.ledger import Phase, tell

registry = Registry()

SOON = Retry(attempts=3, backoff=Backoff.fixed(0.1))


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
