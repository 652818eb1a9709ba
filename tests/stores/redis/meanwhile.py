"""Has something done between a look at the store and the commit of what was decided by it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headrace.stores.redis.session import Session

Step = Callable[[], Awaitable[object]]


class Meanwhile:
    """The steps that are still to be done, one before each commit; ``commits`` counts all that were tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commits = 0
        self._steps: list[Step] = []
        original = Session.commit

        async def commit(session: Session) -> list[Any]:
            self.commits += 1
            if self._steps:
                await self._steps.pop(0)()
            return await original(session)

        monkeypatch.setattr(Session, "commit", commit)

    def __call__(self, *steps: Step) -> None:
        """Has these done, each before one of the next commits."""
        self._steps += steps

    @property
    def done(self) -> bool:
        """Whether all of it has been done."""
        return not self._steps
