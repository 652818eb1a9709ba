"""Every test here runs once on each store. A new store joins by a line in ``STORES``."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.stores.open import open_store
from headrace.stores.protocol import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A store to test: its URL for a fresh folder, and whether its jobs outlive the process."""

    name: str
    url: Callable[[Path], str]
    persistent: bool = True


STORES = (
    Kind(name="sqlite-file", url=lambda folder: f"sqlite:///{folder / 'jobs.db'}"),
    Kind(name="sqlite-memory", url=lambda _: "sqlite://", persistent=False),
)
PERSISTENT = tuple(kind for kind in STORES if kind.persistent)


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await opened_store(request.param.url(tmp_path))
    yield opened
    await opened.close()


@pytest.fixture(params=PERSISTENT, ids=lambda kind: kind.name)
def persistent_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.param.url(tmp_path)


async def opened_store(url: str) -> Store:
    opened = await open_store(url)
    await opened.migrate()
    return opened
