"""Payloads that are kept elsewhere than in a job are encrypted there too."""

from collections.abc import AsyncIterator

import pytest

from headrace import App, ManualClock, Settings, State
from headrace.encryption import Encrypted, new_key
from headrace.testing import advance, drain

SECRET = "4111-1111-1111-1111"


@pytest.fixture
async def app(anyio_backend: str) -> AsyncIterator[App]:
    codec = Encrypted([new_key()])
    async with App("sqlite://", settings=Settings(), clock=ManualClock(), codec=codec) as opened:
        yield opened


async def registers(app: App) -> str:
    found = await (await app.open()).store.scan("default", "")
    return "".join(register.value for register in found)


async def test_payload_of_a_schedule_is_kept_encrypted_and_its_jobs_run(app: App) -> None:
    seen: list[str] = []

    @app.job()
    async def pay(card: str) -> None:
        seen.append(card)

    app.schedule("monthly", every=60, job=pay.request(SECRET))
    await drain(app)
    ran = await advance(app, 120)

    assert [one.state for one in ran] == [State.COMPLETED] * 2
    assert seen == [SECRET, SECRET]
    assert "$encrypted" in await registers(app)
    assert SECRET not in await registers(app)


async def test_payload_of_a_batch_s_callback_is_kept_encrypted_and_its_job_runs(app: App) -> None:
    seen: list[str] = []

    @app.job()
    async def member() -> None: ...

    @app.job()
    async def done(card: str) -> None:
        seen.append(card)

    async with app.batch(on_complete=done.request(SECRET)) as batch:
        await batch.add(member.request())
    assert "$encrypted" in await registers(app)
    assert SECRET not in await registers(app)

    await drain(app)

    assert seen == [SECRET]


async def test_job_that_is_done_again_by_a_replay_is_decrypted_too(app: App) -> None:
    seen: list[str] = []

    @app.job()
    async def pay(card: str) -> None:
        seen.append(card)

    handle = await pay.enqueue(SECRET)
    await drain(app)
    await (await app.operations()).replay(handle.id)
    await drain(app)

    assert seen == [SECRET, SECRET]
