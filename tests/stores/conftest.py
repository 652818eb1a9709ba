import asyncio
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.stores.big import make_big


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
