"""What any test of the engine may ask for."""

import asyncio
from typing import NoReturn

import pytest

from headrace.engine.work import LocalWork


@pytest.fixture
def no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers hear of nothing: a hint would make them renew, and learn by that what has become of the job."""

    async def never(*_: object, **__: object) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(LocalWork, "woken", never)
