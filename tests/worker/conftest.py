from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.conftest import STORES
from tests.worker.rig import Rig, a_clock, a_rig


@pytest.fixture
async def rig(anyio_backend: str) -> AsyncIterator[Rig]:
    async with a_rig(clock=a_clock()) as made:
        yield made


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def stored(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """As ``rig``, on each store."""
    async with a_rig(request.param.url(tmp_path), clock=a_clock()) as made:
        yield made


@pytest.fixture
async def real(anyio_backend: str) -> AsyncIterator[Rig]:
    async with a_rig() as made:
        yield made
