"""Lanes of jobs that come in by other doors than a typed call: JSON, schedules, batches, children, codecs."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace import App, InvalidInput, ManualClock, OrderBy, Settings, Slots
from headrace.core.request import EnqueueRequest
from headrace.core.wishes import OnRetry, Wishes
from headrace.engine.local import LocalOperations
from headrace.stores.protocol import Holder
from headrace.upkeep.fire import FireSchedules
from tests.builders import NOW
from tests.contract.conftest import STORES, Kind
from tests.engine.limiting import Program

USER_7 = Wishes(lanes=("limit:type:send@user_id/7",))


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


async def wishes(app: App, job_id: str) -> Wishes:
    return Wishes.loads((await (await app.operations()).job(job_id)).facts.lane)


async def without_code(app: App) -> LocalOperations:
    """The engine of a process that has none of the program's code, such as the HTTP service alone."""
    opened = await app.open()
    return LocalOperations(opened.store, opened.clock)


async def test_producer_without_the_code_gives_jobs_the_same_lanes(app: App) -> None:
    @app.job(concurrency=Slots(1, key="user_id"), order_by=OrderBy("order.customer", on_retry="pass"))
    async def send(order: dict[str, int], user_id: int = 7) -> None: ...

    await Program.of(app)
    here = await send.enqueue(order={"customer": 3})
    elsewhere = await without_code(app)

    answers = await elsewhere.enqueue(
        [
            EnqueueRequest(type="send", payload={"order": {"customer": 3}}),
            EnqueueRequest(type="send", payload={"order": {"customer": 3}, "userId": 7}),
        ]
    )

    expected = Wishes(
        lanes=("limit:type:send@user_id/7",),
        order="order:type:send@order.customer/3",
        on_retry=OnRetry.PASS,
    )
    assert [await wishes(app, job_id) for job_id in (here.id, *(one.job_id for one in answers))] == [
        expected
    ] * 3


async def test_key_that_code_computes_is_refused_where_the_code_is_not_and_nothing_is_written(
    app: App,
) -> None:
    def shard(payload: Any) -> int:
        return payload["user_id"] % 4

    @app.job(concurrency=Slots(1, key=shard, name="shard"))
    async def send(user_id: int) -> None: ...

    await Program.of(app)
    elsewhere = await without_code(app)
    plain = EnqueueRequest(type="send", payload={"user_id": 6})

    with pytest.raises(
        InvalidInput, match="send: the key of 'shard' is computed by the program's code"
    ) as caught:
        await elsewhere.enqueue([plain])
    (here,) = await app.enqueue_many([plain])

    assert caught.value.index == 0
    assert await wishes(app, here.id) == Wishes(lanes=("limit:shard/2",))
    assert (await elsewhere.stats()).count() == 1


async def test_value_that_is_no_key_is_refused_before_anything_is_written(app: App) -> None:
    @app.job(concurrency=Slots(1, key="user"))
    async def send(user: Any) -> None: ...

    await Program.of(app)

    with pytest.raises(InvalidInput, match="must be a text, a number or a boolean") as caught:
        await app.enqueue_many([send.request(user=1), send.request(user={"id": 1})])

    assert caught.value.index == 1
    assert (await (await app.operations()).stats()).count() == 0


async def test_jobs_of_a_schedule_have_the_lanes_of_its_payload_also_where_the_code_is_not(app: App) -> None:
    def shard(payload: Any) -> int:
        return payload["user_id"] % 4

    @app.job(concurrency=Slots(1, key=shard, name="shard"))
    async def send(user_id: int) -> None: ...

    program = await Program.of(app)
    app.schedule("s", every=60, job=send.request(user_id=6))
    await app.schedule.put_into(await app.operations())
    program.clock.advance(60)
    opened = await app.open()
    fired = await FireSchedules(opened.store, opened.clock).run_once()
    triggered = await (await without_code(app)).trigger_schedule("s")

    (job, other) = await _claimed_one_by_one(program)

    assert fired.done == 1
    assert triggered.job_id in {job.id, other.id}
    assert {job.facts.lane, other.facts.lane} == {Wishes(lanes=("limit:shard/2",)).dumps()}


async def _claimed_one_by_one(program: Program):
    found = []
    while jobs := await program.claim():
        found += jobs
        await program.end(*jobs)
    return found


async def test_members_callbacks_and_children_have_lanes(app: App) -> None:
    @app.job(concurrency=Slots(5, key="user_id"))
    async def send(user_id: int) -> None: ...

    program = await Program.of(app)
    operations = await app.operations()
    async with app.batch(on_complete=send.request(user_id=7)) as batch:
        (member,) = await batch.add(send.request(user_id=7))
    (job,) = await program.claim()
    holder = Holder(job_id=job.id, fence=job.fence)
    (child,) = await program.work.enqueue(holder, [EnqueueRequest(type="send", payload={"user_id": 7})])
    await program.end(job)
    await operations.batch_engine.checks.drained()
    jobs = await program.claim()

    assert await wishes(app, member.id) == USER_7
    assert await wishes(app, child) == USER_7
    assert [Wishes.loads(one.facts.lane) for one in jobs] == [USER_7] * 2
    assert {one.facts.batch_id for one in jobs} == {None}


class Reversed:
    """A codec that turns the payload's text around, inside an object."""

    def admit(self, job_type: str, fields: frozenset[str]) -> None:
        del job_type, fields

    def encode(self, job_type: str, text: str) -> str:
        return json.dumps({"r": text[::-1]})

    def decode(self, job_type: str, text: str) -> str:
        return json.loads(text)["r"][::-1]

    encode_result = encode
    decode_result = decode


async def test_key_is_taken_from_the_payload_as_it_was_before_the_codec(tmp_path: Path) -> None:
    async with App("sqlite://", settings=Settings(), clock=ManualClock(NOW), codec=Reversed()) as app:

        @app.job(concurrency=Slots(1, key="user_id"))
        async def send(user_id: int) -> None: ...

        program = await Program.of(app)
        direct = await send.enqueue(user_id=7)
        app.schedule("s", every=60, job=send.request(user_id=7))
        await app.schedule.put_into(await app.operations())
        fired = await (await app.operations()).trigger_schedule("s")

        assert "user_id" not in (await (await app.operations()).job(direct.id)).facts.payload
        assert await wishes(app, direct.id) == await wishes(app, fired.job_id) == USER_7
        assert program.clock.now() == NOW


async def test_function_for_a_key_that_raises_refuses_the_job_and_says_which(app: App) -> None:
    def broken(payload: Any) -> int:
        return payload["nothing"]

    @app.job(concurrency=Slots(1, key=broken, name="shard"))
    async def send(user_id: int) -> None: ...

    await Program.of(app)

    with pytest.raises(InvalidInput, match="send: the function for the key of 'shard' raised KeyError"):
        await send.enqueue(user_id=6)
    assert (await (await app.operations()).stats()).count() == 0
