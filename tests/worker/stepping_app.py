"""Job types with steps that child processes of tests import."""

import os
import signal
from pathlib import Path

from headrace.core.backoff import Backoff
from headrace.engine.context import Context
from headrace.engine.operations import Runs
from headrace.engine.registry import JobOptions, Registry, Retry, registered

registry = Registry()
STEPS = ("load", "charge", "ship")
AT_ONCE = Backoff.fixed(0)


def job(**options):
    def register(handler):
        options.setdefault("retry", Retry(attempts=9, backoff=AT_ONCE))
        registry.add(registered(handler, JobOptions(runs=Runs.PROCESS, **options)))
        return handler

    return register


def done(path: str, what: str) -> str:
    """An effect that is there however the process ends."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")
    return f"{what} done"


async def async_done(path: str, what: str) -> str:
    return done(path, what)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@job(name="plain")
def plain(ctx: Context, path: str) -> list[str]:
    values = []
    for number, name in enumerate(STEPS[:2], start=1):
        values.append(ctx.step(name, done, path, name).wait())
        if ctx.attempt == number:
            killed()
    values.append(ctx.step("ship", done, path, "ship").wait())
    return values


@job(name="in_loop")
async def in_loop(ctx: Context, path: str) -> list[str]:
    values = [await ctx.step("load", async_done, path, "load")]
    if ctx.attempt == 1:
        killed()
    values.append(await ctx.step("charge", done, path, "charge"))
    return values


@job(name="dies_before_keeping")
def dies_before_keeping(ctx: Context, path: str) -> str:
    def charge() -> str:
        value = done(path, "charge")
        if ctx.attempt == 1:
            killed()
        return value

    return ctx.step("charge", charge).wait()


@job(name="rests")
def rests(ctx: Context, path: str) -> str:
    ctx.step("before", done, path, "before")
    ctx.sleep(3600)
    answer = ctx.wait_for("approved", timeout=3600).wait()
    return ctx.step("after", done, path, f"after {answer}").wait()


@job(name="asks_too_much")
def asks_too_much(ctx: Context) -> str:
    return ctx.step("large", str.ljust, "x", 300_000).wait()
