"""Every test here runs once on each store. A new store joins by a line in ``STORES``."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from tests.contract.partitioned import applies
from tests.servers.shared import SHARED
from tests.servers.shared_valkey import SHARED_INSTALLED, SHARED_VALKEY, SharedValkey


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A store to test: its URL for a fresh folder, and what its jobs outlive as the tests run it.

    A divided one spreads queues over partitions and promises less: see ``partitioned.py``.
    """

    name: str
    url: Callable[[Path], str]
    persistent: bool = True
    durable: bool = True
    divided: bool = False


def on_redis(server: SharedValkey, suffix: str = "") -> tuple[Kind, Kind]:
    """An empty database of a server that spares itself the disk, with whole queues and with spread ones."""
    return (
        Kind(name=f"redis{suffix}", url=lambda _: server.fresh_url(), durable=False),
        Kind(
            name=f"partitioned{suffix}",
            url=lambda _: f"{server.fresh_url()}?partitions=3",
            durable=False,
            divided=True,
        ),
    )


REDIS, PARTITIONED = on_redis(SHARED_VALKEY)
INSTALLED = () if SHARED_INSTALLED is None else on_redis(SHARED_INSTALLED, "-installed")

STORES = (
    Kind(name="sqlite-file", url=lambda folder: f"sqlite:///{folder / 'jobs.db'}"),
    Kind(name="sqlite-memory", url=lambda _: "sqlite://", persistent=False, durable=False),
    Kind(name="postgres", url=SHARED.url, durable=False),  # the tests' server spares itself the disk
    REDIS,
)
PERSISTENT = tuple(kind for kind in STORES if kind.persistent)
DURABLE = tuple(kind for kind in STORES if kind.durable)
CONTRACT_ONLY = (PARTITIONED, *INSTALLED)
"""Only the contract's own tests run on these: the first promises less, the others are a store once more."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what partitions do not promise: see ``partitioned.py``."""
    not_asked = [item for item in items if not _applies(item)]
    if not_asked:
        items[:] = [item for item in items if _applies(item)]
        config.hook.pytest_deselected(items=not_asked)


def _applies(item: pytest.Item) -> bool:
    if item.path.parent != Path(__file__).parent or not isinstance(item, pytest.Function):
        return True
    divided = any(one.divided for one in _kinds_of(item))
    return not divided or applies(item.path.name, item.originalname)


def _kinds_of(item: pytest.Function) -> list[Kind]:
    given = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return [one for one in given if isinstance(one, Kind)]


@pytest.fixture(params=(*STORES, *CONTRACT_ONLY), ids=lambda kind: kind.name)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await opened_store(request.param.url(tmp_path))
    yield opened
    await opened.close()


@pytest.fixture(params=(*PERSISTENT, *CONTRACT_ONLY), ids=lambda kind: kind.name)
def persistent_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.param.url(tmp_path)


@pytest.fixture(params=DURABLE, ids=lambda kind: kind.name)
def durable_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.param.url(tmp_path)


async def opened_store(url: str) -> Store:
    opened = await open_store(url)
    await opened.migrate()
    return opened
