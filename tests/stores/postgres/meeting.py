"""Two that meet on the same rows: who waits, and who goes through."""

import asyncio
from typing import Any, TypeVar

import asyncpg
import pytest

from tests.stores.postgres.alongside import HANGS, WAITING

T = TypeVar("T")

SOON = "set local lock_timeout = '100ms'"
"""For a session that must not have to wait: it gives up long before the server looks for deadlocks."""


async def all_wait(url: str, *tasks: asyncio.Task[Any]) -> None:
    """Returns once all of these wait for locks; fails the test if one of them goes through."""
    await _watched(url, lambda waiting: waiting >= len(tasks), tasks)
    for task in tasks:
        if task.done():
            pytest.fail(f"did not wait: {task.exception() or task.result()!r}")


async def goes_through(url: str, task: asyncio.Task[T]) -> T:
    """The result of what must not wait for a lock; fails the test if it does."""
    await _watched(url, lambda waiting: waiting > 0, [task])
    if not task.done():
        pytest.fail("waited for a lock")
    return task.result()


async def _watched(url: str, enough: Any, tasks: Any) -> None:
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(HANGS):
            while not any(task.done() for task in tasks) and not enough(await connection.fetchval(WAITING)):
                await asyncio.sleep(0)
    finally:
        await connection.close()
