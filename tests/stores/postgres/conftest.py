"""Databases for the tests of this store alone."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from headrace.stores.open import open_store
from headrace.stores.protocol import Store
from tests.servers.shared import SHARED


def database_of(url: str) -> str:
    """The name of a URL's database."""
    return urlsplit(url).path.removeprefix("/")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with the store's tables."""
    return SHARED.url(tmp_path)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """The store on that database."""
    opened = await open_store(url)
    yield opened
    await opened.close()


@pytest.fixture
async def rival(url: str) -> AsyncIterator[Store]:
    """The same store again, as another process would open it."""
    opened = await open_store(url)
    yield opened
    await opened.close()


@pytest.fixture
def empty_url() -> Iterator[str]:
    """A database with nothing in it."""
    name = f"headrace_test_{uuid4().hex}"
    SHARED.databases.create(name)
    yield SHARED.databases.url(name)
    SHARED.databases.drop(name)


@pytest.fixture
def run_sql() -> Callable[..., list]:
    """The rows of one statement in the database of a URL."""
    return lambda url, sql, *values: SHARED.databases.run_sql(database_of(url), sql, *values)


@pytest.fixture
def run_script() -> Callable[[str, str], None]:
    """Runs any number of statements in the database of a URL."""
    return lambda url, sql: SHARED.databases.run_script(database_of(url), sql)
