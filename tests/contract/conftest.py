"""Every test here runs once on each store. A new store joins by a line in ``STORES``."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from tests.servers.shared import SHARED


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A store to test: its URL for a fresh folder, and what its jobs outlive as the tests run it."""

    name: str
    url: Callable[[Path], str]
    persistent: bool = True
    durable: bool = True


STORES = (
    Kind(name="sqlite-file", url=lambda folder: f"sqlite:///{folder / 'jobs.db'}"),
    Kind(name="sqlite-memory", url=lambda _: "sqlite://", persistent=False, durable=False),
    Kind(name="postgres", url=SHARED.url, durable=False),  # the tests' server spares itself the disk
)
PERSISTENT = tuple(kind for kind in STORES if kind.persistent)
DURABLE = tuple(kind for kind in STORES if kind.durable)


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await opened_store(request.param.url(tmp_path))
    yield opened
    await opened.close()


@pytest.fixture(params=PERSISTENT, ids=lambda kind: kind.name)
def persistent_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.param.url(tmp_path)


@pytest.fixture(params=DURABLE, ids=lambda kind: kind.name)
def durable_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.param.url(tmp_path)


async def opened_store(url: str) -> Store:
    opened = await open_store(url)
    await opened.migrate()
    return opened
