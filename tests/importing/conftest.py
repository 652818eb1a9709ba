"""A BullMQ queue in a database of its own, and stores of every kind to import it into."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from headrace.app import App
from headrace.clock import ManualClock
from headrace.core.filters import JobFilter
from headrace.core.job import Job
from headrace.engine.registry import Retry
from headrace.importing.bull import BullQueue
from headrace.importing.importer import Importer, Target, Wishes
from headrace.importing.reading import bull_reader
from headrace.importing.report import Report
from headrace.importing.translating import Translation
from headrace.opening import OpenedApp
from tests.builders import NAMESPACE, NOW
from tests.contract.reads import everything
from tests.importing.bullmq import Bull
from tests.servers.shared import SHARED
from tests.servers.shared_valkey import SHARED_VALKEY
from tests.servers.valkey import client_of

KINDS: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: f"sqlite:///{folder / 'jobs.db'}",
    "postgres": SHARED.url,
    "redis": lambda _: SHARED_VALKEY.fresh_url(),
}


@dataclass
class Here:
    """A program of ours, and what imports into it."""

    app: App
    opened: OpenedApp
    bull_url: str
    done: list[dict[str, Any]] = field(default_factory=list)

    @asynccontextmanager
    async def importer(
        self,
        *,
        types: dict[str, str] | None = None,
        queue: str | None = None,
        prefix: str = "bull",
        url: str | None = None,
        **wishes: Any,
    ) -> AsyncIterator[Importer]:
        there = BullQueue(name="mail", prefix=prefix)
        checks = frozenset(one.info.name for one in self.app.registry.all())
        target = Target(store=self.opened.store, operations=self.opened.operations, checks=checks)
        translation = Translation(source=there, types=types or {}, queue=queue)
        async with bull_reader(url or self.bull_url, there) as reader:
            yield Importer(reader, target, translation, Wishes(**wishes), lambda *_: None)

    async def imported(self, **options: Any) -> Report:
        async with self.importer(**options) as importer:
            return await importer.run()

    async def planned(self, **options: Any) -> Report:
        async with self.importer(**options) as importer:
            return await importer.plan()

    async def jobs(self) -> list[Job]:
        """In the order in which workers take them."""
        found = await everything(self.opened.store, JobFilter())
        return sorted(found, key=lambda job: (-job.placement.priority, job.placement.rank, job.seq))


@asynccontextmanager
async def here_at(url: str, bull_url: str) -> AsyncIterator[Here]:
    app = App(url, clock=ManualClock(NOW), namespace=NAMESPACE)
    done: list[dict[str, Any]] = []

    @app.job(name="send", queue="letters", retry=Retry(attempts=7))
    async def send(to: str, n: int = 0) -> None:
        done.append({"to": to, "n": n})

    async with app:
        yield Here(app, await app.open(), bull_url, done)


@pytest.fixture
def bull_url() -> str:
    return SHARED_VALKEY.fresh_url()


@pytest.fixture
def bull(bull_url: str) -> Iterator[Bull]:
    with closing(client_of(bull_url)) as client:
        yield Bull(client)


@pytest.fixture(params=list(KINDS))
async def here(request: pytest.FixtureRequest, tmp_path: Path, bull_url: str) -> AsyncIterator[Here]:
    async with here_at(KINDS[request.param](tmp_path), bull_url) as opened:
        yield opened


@pytest.fixture
async def file(tmp_path: Path, bull_url: str) -> AsyncIterator[Here]:
    """The quickest kind, for what does not depend on the store."""
    async with here_at(KINDS["sqlite"](tmp_path), bull_url) as opened:
        yield opened
