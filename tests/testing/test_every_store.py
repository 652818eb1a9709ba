"""The testing kit on every store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace import App, Backoff, Context, ManualClock, Retry, Settings, State
from headrace.encryption import Encrypted, new_key
from headrace.testing import NotIdempotent, advance, assert_enqueued, check_idempotent, drain, inline
from tests.contract.conftest import STORES


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock, anyio_backend: str
) -> AsyncIterator[App]:
    url = request.param.url(tmp_path)
    codec = Encrypted([new_key()])
    async with App(url, settings=Settings(), clock=clock, codec=codec) as opened:
        yield opened


async def test_jobs_are_retried_as_time_passes(app: App) -> None:
    @app.job(retry=Retry(attempts=3, backoff=Backoff.fixed(10)))
    async def shaky(ctx: Context, n: int) -> int:
        if ctx.attempt < 3:
            raise ConnectionError
        return n

    handle = await shaky.enqueue(5)

    assert [one.state for one in await drain(app)] == [State.PENDING]
    assert [one.attempt for one in await advance(app, 20)] == [2, 3]
    assert await handle.result(timeout=5) == 5
    await assert_enqueued(app, shaky, {"n": 5}, count=1)


async def test_enqueue_runs_its_job_inline(app: App) -> None:
    @app.job()
    def double(n: int) -> int:
        return n + n

    with inline(app):
        assert await (await double.enqueue(21)).result(timeout=5) == 42


async def test_job_that_repeats_its_effect_is_found(app: App) -> None:
    sent: list[str] = []

    @app.job()
    async def send(ctx: Context) -> None:
        await ctx.step("look", str, 1)
        sent.append(ctx.idempotency_key)
        await ctx.checkpoint(1)

    with pytest.raises(NotIdempotent, match="lost before checkpoint 1"):
        await check_idempotent(app, send, effects=lambda: sent, reset=sent.clear)
