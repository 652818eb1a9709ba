"""Databases for the tests of this store alone."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest
import redis

from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from tests.servers.shared_valkey import SHARED_VALKEY
from tests.servers.valkey import ValkeyServer, client_of


def connected_by(server: ValkeyServer, client_name: str) -> list[dict[str, str]]:
    """What a server knows of the connections of this name."""
    with closing(server.client()) as client:
        return [seen for seen in client.client_list() if seen["name"] == client_name]


@pytest.fixture
def url() -> str:
    """An empty database."""
    return SHARED_VALKEY.fresh_url()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """The store on that database."""
    opened = await open_store(url)
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.fixture
async def rival(url: str, store: Store) -> AsyncIterator[Store]:
    """The same store again, as another process would open it."""
    del store
    opened = await open_store(url)
    yield opened
    await opened.close()


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    """A client of that database, for what the store does not tell."""
    with closing(client_of(url, decode_responses=True)) as opened:
        yield opened
