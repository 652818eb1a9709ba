"""Chunks as a program defines and enqueues them, on every store; and what is refused."""

import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pydantic
import pytest
from typing_extensions import TypedDict

from headrace import App, Chunk, EnqueueRequest, InvalidInput, InvalidPayload, Settings, State
from headrace.core.chunk import ChunkRule, call_limit_ms, calls
from headrace.core.job import Isolation
from headrace.engine.limiting import OrderBy, Rate, Slots
from headrace.engine.operations import Runs
from headrace.errors import MisuseError
from tests.builders import a_job, a_pending
from tests.engine.scenes import PATIENCE, settings
from tests.servers.shared import SHARED
from tests.servers.shared_valkey import SHARED_VALKEY

URLS = {
    "sqlite-file": lambda folder: f"sqlite:///{folder / 'jobs.db'}",
    "sqlite-memory": lambda _: "sqlite://",
    "postgres": SHARED.url,
    "redis": lambda _: SHARED_VALKEY.fresh_url(),
}


class Model(pydantic.BaseModel):
    """A message as a model."""

    url: str
    times: int = 1


@dataclasses.dataclass
class Data:
    """A message as a dataclass."""

    url: str
    times: int = 1


class Typed(TypedDict):
    """A message as a TypedDict."""

    url: str
    times: int


class Aliased(pydantic.BaseModel):
    """A message whose field has another name in JSON."""

    order_id: int = pydantic.Field(alias="orderId")


@pytest.fixture(params=URLS)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    async with App(URLS[request.param](tmp_path), settings=Settings()) as opened:
        yield opened


@pytest.fixture
async def memory() -> AsyncIterator[App]:
    async with App("sqlite://", settings=Settings()) as opened:
        yield opened


async def test_chunk_of_a_program_runs_and_gives_each_message_its_result(app: App):
    sizes: list[int] = []

    @app.chunk(max_size=10, max_wait=0.05, queue="bulk")
    async def deliver(chunk: Chunk[Data]) -> None:
        sizes.append(len(chunk))
        for message in chunk:
            message.ack(message.payload.url * message.payload.times)

    handles = await app.enqueue_many([deliver.request(Data(f"u{n}", 2)) for n in range(23)])
    async with app.running_worker(settings()):
        results = [await handle.result(timeout=PATIENCE) for handle in handles]

    assert results == [f"u{n}u{n}" for n in range(23)]
    assert sizes == [10, 10, 3]


async def test_plain_handler_takes_a_message_from_everywhere(app: App):
    seen: list[str] = []

    @app.chunk(max_size=3, max_wait=60)
    def deliver(chunk: Chunk[Model]) -> None:
        seen.extend(f"{one.payload.url} {one.payload.times}" for one in chunk)

    first = await deliver.enqueue(Model(url="a", times=7))
    async with app.batch() as batch:
        (second,) = await batch.add(deliver.using(priority=-1).request(Model(url="b")))
    (third,) = await app.enqueue_many(
        [EnqueueRequest(type="deliver", payload={"url": "c", "times": 9}, priority=-2)]
    )
    async with app.running_worker(settings()):
        for handle in (first, second, third):
            await handle.result(timeout=PATIENCE)

    assert seen == ["a 7", "b 1", "c 9"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({"concurrency": Slots(2)}, {1, 2}), ({"rate": Rate(20, per=1, burst=3)}, {1, 2, 3, 4})],
    ids=["slots", "rate"],
)
async def test_c41_c42_limits_make_chunks_smaller(app: App, limits: Any, expected: set[int]):
    sizes: list[int] = []

    @app.chunk(max_size=6, max_wait=0, **limits)
    async def deliver(chunk: Chunk[Data]) -> None:
        sizes.append(len(chunk))

    handles = await app.enqueue_many([deliver.request(Data("x")) for _ in range(6)])
    async with app.running_worker(settings()):
        for handle in handles:
            await handle.result(timeout=PATIENCE)

    assert sum(sizes) == 6
    assert set(sizes) <= expected


@pytest.mark.parametrize(
    "key",
    ["url", OrderBy(lambda arguments: arguments["payload"].url, name="per-url")],
    ids=["field", "function"],
)
async def test_c40_messages_of_one_ordering_key_are_never_in_one_chunk(app: App, key: Any):
    seen: list[list[str]] = []

    @app.chunk(max_size=6, max_wait=0, order_by=key)
    async def deliver(chunk: Chunk[Data]) -> None:
        seen.append([message.payload.url for message in chunk])

    handles = await app.enqueue_many([deliver.request(Data(url)) for url in "aabab"])
    async with app.running_worker(settings()):
        for handle in handles:
            await handle.result(timeout=PATIENCE)

    assert sorted(url for urls in seen for url in urls) == ["a", "a", "a", "b", "b"]
    assert all(len(set(urls)) == len(urls) for urls in seen)


@pytest.mark.parametrize(
    ("kind", "message", "kept"),
    [
        (Model, Model(url="a"), {"url": "a", "times": 1}),
        (Data, Data("a", 2), {"url": "a", "times": 2}),
        (Typed, Typed(url="a", times=3), {"url": "a", "times": 3}),
        (Aliased, Aliased(orderId=4), {"orderId": 4}),
        (dict[str, Any], {"free": [1]}, {"free": [1]}),
    ],
    ids=["model", "dataclass", "typed-dict", "aliased", "dict"],
)
async def test_fields_of_a_message_are_its_payload(memory: App, kind: Any, message: Any, kept: Any):
    def handler(chunk: Any) -> None: ...

    handler.__annotations__["chunk"] = Chunk[kind]
    job_type = memory.chunk(name="deliver")(handler)
    handle = await job_type.enqueue(message)

    schema = job_type.registered.payload
    assert json.loads((await handle.job()).facts.payload) == kept
    assert schema.decode((await handle.job()).facts.payload) == {"payload": message}
    assert schema.fields == set(kept) - {"free"}


@pytest.mark.parametrize(
    "call",
    [
        lambda kind: kind.enqueue(),
        lambda kind: kind.enqueue(Data("a"), Data("b")),
        lambda kind: kind.enqueue(url="a"),
        lambda kind: kind.enqueue("not a message"),
        lambda kind: kind.enqueue({"url": "a", "times": "many"}),
    ],
    ids=["nothing", "two", "fields", "text", "wrong field"],
)
async def test_what_is_no_message_is_refused(memory: App, call: Any):
    @memory.chunk()
    def deliver(chunk: Chunk[Data]) -> None: ...

    with pytest.raises(InvalidPayload):
        await call(deliver)


async def test_number_that_json_does_not_know_is_refused(memory: App):
    @memory.chunk()
    def deliver(chunk: Chunk[dict[str, Any]]) -> None: ...

    with pytest.raises(InvalidInput):
        await deliver.enqueue({"n": float("nan")})


def nothing() -> None: ...
def not_a_chunk(chunk: list[Data]) -> None: ...
def not_annotated(chunk) -> None: ...
def more_than_a_chunk(chunk: Chunk[Data], more: int) -> None: ...
def numbers(chunk: Chunk[int]) -> None: ...
def unknown(chunk: Chunk[object]) -> None: ...
def yields(chunk: Chunk[Data]) -> Any:
    yield chunk


@pytest.mark.parametrize(
    "handler",
    [nothing, not_a_chunk, not_annotated, more_than_a_chunk, numbers, unknown, yields],
    ids=lambda one: one.__name__,
)
def test_handler_that_takes_no_chunk_is_refused(handler: Any):
    with pytest.raises(MisuseError):
        App("sqlite://", settings=Settings()).chunk()(handler)


def test_handler_without_a_message_type_takes_any_object():
    def deliver(chunk: Chunk) -> None: ...  # type: ignore[type-arg]

    one = App("sqlite://", settings=Settings()).chunk()(deliver)

    assert one.registered.payload.decode('{"a":1}') == {"payload": {"a": 1}}


@pytest.mark.parametrize(
    "options",
    [
        {"max_size": 0},
        {"max_size": 1_001},
        {"max_wait": -1},
        {"max_wait": 86_401},
        {"max_wait": float("nan")},
        {"max_wait": float("inf")},
    ],
    ids=str,
)
def test_size_or_wait_out_of_bounds_is_refused(options: Any):
    with pytest.raises(InvalidInput):
        App("sqlite://", settings=Settings()).chunk(**options)


def test_s3_32_numbers_of_a_consumer_are_the_usual_ones():
    @App("sqlite://", settings=Settings()).chunk()
    async def deliver(chunk: Chunk[Data]) -> None: ...

    info = deliver.registered.info
    assert info.chunk == ChunkRule(max_size=100, max_wait_ms=30_000)
    assert (info.policy.max_attempts, info.runs, deliver.registered.apart) == (3, Runs.ASYNC, False)


async def test_rule_of_a_chunk_is_published(app: App):
    @app.chunk(max_size=7, max_wait=3)
    async def deliver(chunk: Chunk[Data]) -> None: ...

    await (await app.work()).publish([deliver.registered.info])
    async with App(app.settings.url, settings=Settings()) as other:
        if app.settings.url == "sqlite://":
            return  # in memory nobody else reads
        types = await (await other.operations()).job_types()

    assert [(one.name, one.chunk) for one in types] == [("deliver", ChunkRule(max_size=7, max_wait_ms=3_000))]


def test_messages_are_called_together_but_for_those_in_danger():
    plain = [a_pending(a_job()) for _ in range(2)]
    crashed = a_pending(a_job(), crashes=1)
    isolated = a_pending(a_job(), isolation=Isolation.CHILD)
    failed_once = a_pending(a_job(max_attempts=3), failures=1)
    last_attempt = a_pending(a_job(max_attempts=3), failures=2)
    only_attempt = a_pending(a_job(max_attempts=1))

    together = calls([plain[0], crashed, isolated, failed_once, last_attempt, only_attempt, plain[1]])

    assert together == [
        [plain[0], failed_once, only_attempt, plain[1]],
        (crashed,),
        (isolated,),
        (last_attempt,),
    ]
    assert calls([crashed]) == [(crashed,)]


@pytest.mark.parametrize(
    ("limits", "limit"), [((5, 9, 7), 9), ((5, None), None), ((None,), None), ((5,), 5)], ids=str
)
def test_call_has_the_longest_limit_of_its_messages(limits: tuple[int | None, ...], limit: int | None):
    assert call_limit_ms([a_pending(a_job(timeout_ms=one)) for one in limits]) == limit


async def test_called_directly_the_handler_is_the_function(memory: App):
    @memory.chunk()
    def deliver(chunk: Chunk[Data]) -> None:
        chunk[0].ack()

    with pytest.raises(IndexError):
        deliver(Chunk[Data]((), _Unwanted()))


class _Unwanted:
    cancelled = False


async def test_cancel_before_the_chunk_is_full_ends_that_message(memory: App):
    @memory.chunk(max_size=2)
    async def deliver(chunk: Chunk[Data]) -> None: ...

    handles = await memory.enqueue_many([deliver.request(Data("x")) for _ in range(3)])
    await handles[0].cancel()
    async with memory.running_worker(settings()):
        await handles[1].result(timeout=PATIENCE)
        await handles[2].result(timeout=PATIENCE)

    assert (await handles[0].job()).state is State.CANCELLED
