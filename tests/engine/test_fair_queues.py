"""Fair queues as programs declare them: tenants, weights, and who starts next."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace import App, InvalidInput, ManualClock, Settings
from headrace.core.request import EnqueueRequest
from headrace.engine.local import LocalOperations
from headrace.upkeep.queues import PutInLine
from headrace.worker.settings import WorkerSettings
from tests.builders import NOW, claim
from tests.contract.conftest import STORES, Kind


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    kind: Kind = request.param
    async with App(kind.url(tmp_path), settings=Settings(), clock=ManualClock(NOW)) as opened:
        yield opened


def job_type(app: App, name: str = "send", **options):
    async def handler(n: int = 0, tenant: str = "a") -> int:
        return n

    return app.job(name=name, **options)(handler)


async def another(app: App) -> LocalOperations:
    """Another process that has none of the program's code."""
    opened = await app.open()
    return LocalOperations(opened.store, opened.clock)


async def claimed_tenants(app: App, count: int, queue: str = "default") -> list[str]:
    store = (await app.open()).store
    found = await claim(store, n=count, queues={queue: count}, types=frozenset({"send", "other"}))
    return [json.loads(job.facts.payload)["tenant"] for job in found]


async def test_fair_job_type_lets_another_tenant_in_between(app: App) -> None:
    send = job_type(app, fair_by="tenant")
    await app.enqueue_many([send.request(n, "a") for n in range(300)])
    await send.enqueue(0, "b")

    assert "b" in await claimed_tenants(app, 3)


async def test_tenant_is_what_a_function_makes_of_the_arguments(app: App) -> None:
    send = job_type(app, fair_by=lambda arguments: arguments["tenant"].upper())
    await app.enqueue_many([send.request(n, "a") for n in range(50)])
    await app.enqueue_many([send.request(n, "A") for n in range(50)])
    await send.enqueue(0, "b")

    assert "b" in await claimed_tenants(app, 3)


async def test_fair_queue_shares_out_all_its_job_types(app: App) -> None:
    app.queue("default", fair_by="tenant")
    send, other = job_type(app), job_type(app, "other")
    await app.enqueue_many([send.request(n, "a") for n in range(300)])
    await other.enqueue(0, "b")

    assert "b" in await claimed_tenants(app, 3)


async def test_programs_without_the_code_share_out_too(app: App) -> None:
    app.queue("default", fair_by="tenant")
    send = job_type(app)
    await app.queue.put_into(await app.operations())
    await (await app.work()).publish((send.registered.info,))
    elsewhere = await another(app)
    await elsewhere.enqueue([EnqueueRequest(type="send", payload={"tenant": "a"}) for _ in range(300)])

    await elsewhere.enqueue((EnqueueRequest(type="send", payload={"tenant": "b"}),))

    assert "b" in await claimed_tenants(app, 3)


async def test_weights_of_the_code_and_of_operators(app: App) -> None:
    app.queue("default", fair_by="tenant", weights={"b": 3})
    send = job_type(app)
    operations = await app.operations()
    await app.queue.put_into(operations)
    for tenant in ("a", "b", "c"):
        await app.enqueue_many([send.request(n, tenant) for n in range(100)])

    first = await claimed_tenants(app, 100)
    shares = await operations.set_weight("default", "c", 6)
    await app.queue.put_into(operations)

    assert abs(first.count("b") - 3 * first.count("a")) <= 6
    assert shares.weights == {"b": 3, "c": 6}
    assert (await operations.shares("default")).weights == {"b": 3, "c": 6}
    assert (await operations.set_weight("default", "c", None)).weights == {"b": 3}
    assert await operations.shares("nothing") is None


async def test_weight_that_cannot_be_is_refused(app: App) -> None:
    with pytest.raises(InvalidInput):
        await (await app.operations()).set_weight("default", "a", 0)
    assert await (await app.operations()).shares("default") is None


async def test_tenant_that_cannot_be_is_refused_before_anything_is_written(app: App) -> None:
    send = job_type(app, fair_by="tenant")

    with pytest.raises(InvalidInput):
        await app.enqueue_many([send.request(1, "a"), send.request(2, "x" * 201)])

    assert (await (await app.operations()).stats()).count() == 0


async def test_worker_runs_a_newcomers_job_among_the_next(app: App) -> None:
    order: list[str] = []

    @app.job(fair_by="tenant")
    async def send(tenant: str) -> None:
        order.append(tenant)

    await app.enqueue_many([send.request("a") for _ in range(200)])
    handle = await send.enqueue("b")
    async with app.running_worker(WorkerSettings(concurrency=1)):
        await handle.result(timeout=60)

    assert order.index("b") <= 5


async def test_jobs_of_a_transaction_are_put_in_line_once_they_are_there(app: App) -> None:
    send = job_type(app, fair_by="tenant")
    operations = await app.operations()
    await app.queue.put_into(operations)
    await app.enqueue_many([send.request(n, "a") for n in range(100)])

    def on_sqlite(connection):
        send.using(tx=connection).enqueue_sync(1, "b")

    async def on_a_server(connection):
        await send.using(tx=connection).enqueue(1, "b")

    waits = not app.settings.url.startswith("sqlite")
    await app.transaction(on_a_server if waits else on_sqlite)  # type: ignore[arg-type]
    opened = await app.open()
    await PutInLine(opened.store, opened.clock).run_once()

    assert "b" in await claimed_tenants(app, 3)
