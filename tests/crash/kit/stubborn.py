"""Job types that block, do not stop when told to, or come back from the dead.

With those of ``jobs`` they are all that worker processes know: ``registry``.
"""

import asyncio
import contextlib
import math
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Final

from headrace.core.request import EnqueueRequest
from headrace.engine.context import Context
from headrace.engine.operations import Runs
from headrace.errors import HeadraceError
from tests.crash.kit.clocks import mono_ms
from tests.crash.kit.jobs import job, registry
from tests.crash.kit.ledger import Phase, tell

__all__ = ["registry"]

GATES: Final = "HEADRACE_TEST_GATES"
"""The folder of gates: a handler waits for a file there, so that the experiment decides when it goes on."""

LONG: Final = 600.0
MEASURABLE: Final = 0.05


def gate(name: str) -> Path:
    return Path(os.environ[GATES]) / name


async def _opens(name: str) -> None:
    while not gate(name).exists():
        await asyncio.sleep(0.01)


@job()
async def frozen(ctx: Context, then: str) -> str:
    """First attempt: waits to be told to stop. Later ones: what ``then`` says."""
    tell(ctx, Phase.START)
    if ctx.attempt > 1:
        return await _again(ctx, then)
    try:
        await asyncio.sleep(LONG)
    except asyncio.CancelledError:
        tell(ctx, Phase.STOPPED, "cancelled")
        raise
    return "never"


@job()
def frozen_deaf(ctx: Context, then: str) -> str:
    """As ``frozen``, in a thread that does not care to be stopped, and then writes all it can."""
    tell(ctx, Phase.START)
    if ctx.attempt > 1:
        return asyncio.run(_again(ctx, then))
    while True:
        with contextlib.suppress(BaseException):
            _wait_deaf(ctx)
            break
    tell(ctx, Phase.STOPPED, "told to stop" if ctx.cancelled else "was not told to stop")
    ctx.progress("too late", 99)
    ctx.log("too late")
    for what, write in (
        ("checkpoint", lambda: ctx.checkpoint({"too": "late"})),
        ("enqueue", lambda: ctx.enqueue(EnqueueRequest(type="on_loop", payload={"ms": 1}))),
    ):
        try:
            write().wait(LONG)
            tell(ctx, Phase.LATE, f"{what} was taken")
        except HeadraceError as error:
            tell(ctx, Phase.LATE, f"{what} {type(error).__name__}")
    return "too late"


def _wait_deaf(ctx: Context) -> None:
    while not gate("deaf").exists():
        time.sleep(0.005)


async def _again(ctx: Context, then: str) -> str:
    if then == "fails":
        raise ValueError("the second attempt fails")
    if then == "runs":
        await _opens("second")
    tell(ctx, Phase.EFFECT)
    return then


@job()
async def sleeps_on_loop(ctx: Context, seconds: float) -> str:
    """Blocks the event loop; the interpreter is free."""
    tell(ctx, Phase.START)
    time.sleep(seconds)
    tell(ctx, Phase.EFFECT)
    return "slept"


@job()
async def computes_on_loop(ctx: Context, seconds: float) -> str:
    """Blocks the event loop and competes for the interpreter."""
    tell(ctx, Phase.START)
    number, end = 1, mono_ms() + seconds * 1000
    while mono_ms() < end:
        number = number * 3 % 1_000_003
    tell(ctx, Phase.EFFECT)
    return f"computed {number}"


@job()
async def holds_interpreter(ctx: Context, seconds: float) -> str:
    """One call in C that never lets go of the interpreter: no other thread runs. Only the first attempt."""
    tell(ctx, Phase.START)
    if ctx.attempt == 1:
        _hold_interpreter(seconds)
    tell(ctx, Phase.EFFECT)
    return "held"


@job(runs=Runs.PROCESS)
def holds_interpreter_apart(ctx: Context, seconds: float) -> str:
    """The same in a child process."""
    tell(ctx, Phase.START)
    _hold_interpreter(seconds)
    tell(ctx, Phase.EFFECT)
    return "held apart"


def _yield_cores() -> None:
    """Lets other processes have a core when they want one.

    This is about an interpreter that is taken: a machine with too few cores for all who compute would
    lose leases as well, and prove nothing.
    """
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)


def _hold_interpreter(seconds: float) -> None:
    """A regular expression that backtracks: each letter more takes twice as long, so the last call takes
    between one and two times ``seconds``."""
    _yield_cores()
    length, took = 16, 0.0
    while took < MEASURABLE:
        length += 1
        took = _backtrack(length)
    while took < seconds:
        length += math.ceil(math.log2(seconds / took))
        took = _backtrack(length)


def _backtrack(length: int) -> float:
    began = mono_ms()
    assert re.match(r"(a+)+$", "a" * length + "b") is None
    return (mono_ms() - began) / 1000


@job()
async def obedient(ctx: Context, ms: int) -> str:
    """Stops at once when told to."""
    tell(ctx, Phase.START)
    await asyncio.sleep(ms / 1000)
    tell(ctx, Phase.EFFECT)
    return "done"


@job()
async def ignores_cancel(ctx: Context, ms: int) -> str:
    """Swallows what it is told and goes on to its end."""
    tell(ctx, Phase.START)
    end = mono_ms() + ms
    while (left := end - mono_ms()) > 0:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(left / 1000)
    tell(ctx, Phase.EFFECT)
    return "done all the same"


@job()
def stuck_in_c(ctx: Context, ms: int) -> str:
    """A thread inside one call, where no exception reaches it; short once the experiment lets it be."""
    tell(ctx, Phase.START)
    time.sleep(ms / 1000 if gate("undisturbed").exists() else LONG)
    tell(ctx, Phase.EFFECT)
    return "done at last"


@job()
async def ends_with_signal(ctx: Context) -> str:
    """Ends in the same turn of the loop in which the worker is told to stop."""
    tell(ctx, Phase.START)
    if not gate("signalled").exists() and not gate("undisturbed").exists():
        gate("signalled").touch()
        os.kill(os.getpid(), signal.SIGTERM)
    tell(ctx, Phase.EFFECT)
    return "same turn"


@job()
async def patient(ctx: Context) -> str:
    """Waits until the experiment lets it go on, and notes when it is told to stop."""
    tell(ctx, Phase.START)
    try:
        await _opens("patience ends")
    except asyncio.CancelledError:
        tell(ctx, Phase.STOPPED, "cancelled")
        raise
    tell(ctx, Phase.EFFECT)
    return "patience"
