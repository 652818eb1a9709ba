"""Limits and order as running workers keep them, on every store."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace import App, Backoff, Context, OrderBy, Rate, Retry, Settings, Slots
from headrace.worker.settings import WorkerSettings
from tests.contract.conftest import STORES, Kind
from tests.worker.rig import PATIENCE


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings()) as opened:
        yield opened


def settings() -> WorkerSettings:
    return WorkerSettings(poll_ms=50, concurrency=20)


async def test_c41_two_workers_together_run_no_more_of_a_key_than_it_has_slots(app: App) -> None:
    running: Counter[int] = Counter()
    most: Counter[int] = Counter()

    @app.job(concurrency=Slots(2, key="user"))
    async def send(user: int) -> None:
        running[user] += 1
        most[user] = max(most[user], running[user])
        await asyncio.sleep(0)
        running[user] -= 1

    handles = await app.enqueue_many([send.request(user=n % 3) for n in range(90)])
    async with app.running_worker(settings()), app.running_worker(settings()):
        for handle in handles:
            await handle.result(timeout=PATIENCE)

    assert set(most) == {0, 1, 2}
    assert max(most.values()) <= 2


async def test_c40_two_workers_run_the_jobs_of_a_key_in_order_also_over_retries(app: App) -> None:
    seen: defaultdict[int, list[int]] = defaultdict(list)

    @app.job(order_by=OrderBy("account"), retry=Retry(attempts=9, backoff=Backoff.fixed(0)))
    async def book(ctx: Context, account: int, n: int) -> None:
        await asyncio.sleep(0)
        if n % 5 == 0 and ctx.attempt < 3:
            raise ConnectionError
        seen[account].append(n)

    handles = await app.enqueue_many([book.request(account=n % 4, n=n) for n in range(60)])
    async with app.running_worker(settings()), app.running_worker(settings()):
        for handle in handles:
            await handle.result(timeout=PATIENCE)

    assert dict(seen) == {account: list(range(account, 60, 4)) for account in range(4)}


async def test_c42_jobs_of_a_rate_all_run_on_workers_that_are_busy_otherwise(app: App) -> None:
    ran: Counter[str] = Counter()

    @app.job(rate=Rate(600, per=60, burst=20))
    async def rated() -> None:
        ran["rated"] += 1

    @app.job()
    async def plain() -> None:
        ran["plain"] += 1

    requests = [rated.request() for _ in range(40)] + [plain.request() for _ in range(400)]
    handles = await app.enqueue_many(requests)
    async with app.running_worker(settings()), app.running_worker(settings()):
        for handle in handles:
            await handle.result(timeout=PATIENCE)

    assert ran == {"rated": 40, "plain": 400}
