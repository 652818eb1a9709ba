"""Every pair of stores that a namespace can be moved between. Another kind joins by a line in ``KINDS``."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from headrace.clock import ManualClock
from headrace.moving.sides import MovableStore
from tests.builders import NOW
from tests.moving.scene import opened
from tests.servers.shared import SHARED
from tests.servers.shared_valkey import SHARED_VALKEY

KINDS: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: f"sqlite:///{folder / 'jobs.db'}",
    "postgres": SHARED.url,
    "redis": lambda _: SHARED_VALKEY.fresh_url(),
    "partitioned": lambda _: f"{SHARED_VALKEY.fresh_url()}?partitions=3",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A store that jobs come from, and one that they go to."""

    source: MovableStore
    target: MovableStore
    source_url: str
    target_url: str


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture(params=list(product(KINDS, KINDS)), ids="-to-".join)
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        yield await _a_pair(stack, request.param, tmp_path)


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[Pair]:
    """A pair of the quickest kind, for what does not depend on the store."""
    async with AsyncExitStack() as stack:
        yield await _a_pair(stack, ("sqlite", "sqlite"), tmp_path)


async def _a_pair(stack: AsyncExitStack, kinds: tuple[str, str], folder: Path) -> Pair:
    stores, urls = [], []
    for end, kind in zip(("source", "target"), kinds, strict=True):
        place = folder / end
        await asyncio.to_thread(place.mkdir)
        urls.append(KINDS[kind](place))
        stores.append(await opened(urls[-1]))
        stack.push_async_callback(stores[-1].close)
    return Pair(stores[0], stores[1], urls[0], urls[1])
