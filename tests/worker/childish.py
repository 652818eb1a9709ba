"""Job types that child processes of tests import."""

import asyncio
import multiprocessing
import os
import signal
import sys
import time
from typing import Any

from headrace.core.backoff import Backoff
from headrace.core.request import EnqueueRequest
from headrace.engine.context import Context
from headrace.engine.operations import Runs
from headrace.engine.registry import JobOptions, Registry, Retry, registered

registry = Registry()
MIB = 1024 * 1024


def job(**options: Any):
    def register(handler):
        options.setdefault("retry", Retry(attempts=3, backoff=Backoff.fixed(10)))
        registry.add(registered(handler, JobOptions(**options)))
        return handler

    return register


@job(name="where", runs=Runs.PROCESS)
def where() -> int:
    sys.stdout.write("handlers may print\n")
    return os.getpid()


@job(name="where_async", runs=Runs.PROCESS)
async def where_async(ctx: Context) -> int:
    ctx.progress("running", 50)
    ctx.log("half way", share=0.5)
    await ctx.checkpoint({"page": 2})
    return os.getpid()


@job(name="parent", runs=Runs.PROCESS)
def parent(ctx: Context) -> list[str]:
    return list(ctx.enqueue(EnqueueRequest(type="where", payload={})).wait())


@job(name="raises", runs=Runs.PROCESS)
def raises() -> None:
    raise LookupError("not here")


@job(name="sleeps", runs=Runs.PROCESS, timeout=0.3)
def sleeps(ctx: Context) -> None:
    ctx.log("asleep")
    time.sleep(60)


@job(name="sleeps_deaf", runs=Runs.PROCESS, timeout=0.3)
def sleeps_deaf(ctx: Context) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctx.log("asleep and deaf")
    time.sleep(60)


@job(name="until_cancelled", runs=Runs.PROCESS)
def until_cancelled(ctx: Context) -> str:
    ctx.log("waiting")
    while not ctx.cancelled:
        time.sleep(0.005)
    return "saw it"


@job(name="waits", runs=Runs.PROCESS)
async def waits(ctx: Context) -> None:
    ctx.log("waiting")
    await asyncio.Event().wait()


@job(name="hungry", runs=Runs.PROCESS, memory_limit_mb=512)
def hungry() -> int:
    return len(bytearray(2048 * MIB))


@job(name="poison")
async def poison() -> None:
    os._exit(13)


@job(name="bystander")
async def bystander(ctx: Context) -> int:
    return ctx.attempt


@job(name="forks", runs=Runs.PROCESS)
def forks(ctx: Context) -> None:
    grandchild = multiprocessing.get_context("fork").Process(target=signal.pause)
    grandchild.start()
    ctx.progress("forked", pid=grandchild.pid)
    os._exit(13)


@job(name="babbles", runs=Runs.PROCESS)
def babbles() -> None:
    for number in range(3, 10):
        try:
            os.write(number, b"this is no message\n")
        except OSError:
            continue
    signal.pause()
