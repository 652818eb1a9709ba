"""Handlers of chunks in a program's tests: each message in a chunk of its own."""

import asyncio

import pytest

from headrace import App, Chunk, JobFailed, Retry, State
from headrace.errors import MisuseError
from headrace.testing import drain, inline, run_job


def a_chunk_type(app: App, kind: str, sizes: list[int]):
    def handle(chunk: Chunk[dict[str, int]]) -> None:
        sizes.append(len(chunk))
        for message in chunk:
            if message.payload["n"] < 0:
                message.fail("negative")
            elif message.payload["n"] > 9:
                raise ValueError("too large")
            else:
                message.ack(message.payload["n"] * 2)

    async def deliver(chunk: Chunk[dict[str, int]]) -> None:
        handle(chunk)

    return app.chunk(name="deliver", retry=Retry(attempts=1))(deliver if kind == "async" else handle)


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_drain_calls_the_handler_with_each_message(kind: str):
    sizes: list[int] = []
    async with App("sqlite://") as app:
        deliver = a_chunk_type(app, kind, sizes)
        handles = await app.enqueue_many([deliver.request({"n": n}) for n in (1, -1, 10)])

        ran = await drain(app)

        assert [one.state for one in ran] == [State.COMPLETED, State.FAILED, State.FAILED]
        assert await handles[0].result() == 2
        assert sizes == [1, 1, 1]


async def test_inline_runs_a_message_at_once():
    async with App("sqlite://") as app:
        deliver = a_chunk_type(app, "async", [])
        with inline(app):
            done, failed = await deliver.enqueue({"n": 4}), await deliver.enqueue({"n": -4})

        assert await done.result() == 8
        with pytest.raises(JobFailed, match="negative"):
            await failed.result()


async def test_time_limit_ends_the_call():
    async with App("sqlite://") as app:

        @app.chunk(timeout=0.02, retry=Retry(attempts=1))
        async def deliver(chunk: Chunk[dict[str, int]]) -> None:
            await asyncio.Event().wait()

        await deliver.enqueue({"n": 1})
        (ran,) = await drain(app)

    assert ran.state is State.FAILED
    assert "time limit" in (ran.error or "")


async def test_run_job_says_what_to_use_instead():
    deliver = a_chunk_type(App("sqlite://"), "async", [])

    with pytest.raises(MisuseError, match="drain"):
        await run_job(deliver, {"n": 1})
