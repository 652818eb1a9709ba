import asyncio
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.stores.big import make_big
from tests.stores.hearing import HearingServer
from tests.stores.postgres.hearing import ON_POSTGRES
from tests.stores.redis.hearing import ON_REDIS


@pytest.fixture(scope="session")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("big") / "big.db"
    asyncio.run(make_big(path))
    return path


@pytest.fixture
def big(big_file: Path) -> Iterator[apsw.Connection]:
    db = apsw.Connection(str(big_file), flags=apsw.SQLITE_OPEN_READWRITE)
    yield db
    db.close()


@pytest.fixture(params=(ON_POSTGRES, ON_REDIS), ids=lambda kind: kind.name)
def server(request: pytest.FixtureRequest) -> HearingServer:
    """Each kind of server that stores hear each other by."""
    return request.param


@pytest.fixture
def url(server: HearingServer, tmp_path: Path) -> str:
    """A place of its own on that server."""
    return server.url(tmp_path)
