from collections.abc import AsyncIterator

import pytest

from tests.worker.rig import Rig, a_clock, a_rig


@pytest.fixture
async def rig(anyio_backend: str) -> AsyncIterator[Rig]:
    async with a_rig(clock=a_clock()) as made:
        yield made


@pytest.fixture
async def real(anyio_backend: str) -> AsyncIterator[Rig]:
    async with a_rig() as made:
        yield made
