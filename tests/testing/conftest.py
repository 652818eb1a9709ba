from collections.abc import AsyncIterator

import pytest

from headrace import App, Settings
from headrace.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def app(clock: ManualClock, anyio_backend: str) -> AsyncIterator[App]:
    async with App("sqlite://", settings=Settings(), clock=clock) as opened:
        yield opened
