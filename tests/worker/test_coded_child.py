"""Payloads with a codec and of older versions, in child processes."""

import json

from headrace import App, EnqueueRequest, Settings, State
from headrace.encryption import Encrypted
from headrace.engine.arguments import results_of
from headrace.engine.local import LocalOperations
from headrace.engine.registry import JobOptions, Registry, registered
from tests.worker.coded import KEY, app
from tests.worker.rig import Rig


async def enqueue_older(rig: Rig, name: str) -> str:
    async def greet(name: str) -> None: ...

    older = Registry([registered(greet, JobOptions())], codec=Encrypted([KEY]))
    request = App("sqlite://", settings=Settings()).job(name="greet")(greet).request(name)
    (answer,) = await LocalOperations(rig.store, rig.clock, registry=older).enqueue([request])
    return answer.job_id


async def test_child_process_decrypts_carries_forward_and_encrypts_the_result(rig: Rig) -> None:
    kind = app.registry.get("greet")
    rig.registry.add(kind)
    job_id = await enqueue_older(rig, "Ada Lovelace")

    async with rig.worker(app_path="tests.worker.coded:app") as (_, watch):
        done = await watch.finished(job_id)

    job = await rig.read(job_id)
    assert done.state is State.COMPLETED
    assert set(json.loads(job.placement.result or "")) == {"$encrypted", "key"}
    assert results_of(kind).decode_result(job.placement.result) == "hello Lovelace, Ada"


async def test_child_process_tells_of_a_payload_that_does_not_fit_without_its_content(rig: Rig) -> None:
    rig.registry.add(app.registry.get("greet"))

    async def greet(first: int) -> None: ...

    other = Registry([registered(greet, JobOptions(version=2))], codec=Encrypted([KEY]))
    request = EnqueueRequest(type="greet", payload={"first": 411111})
    (answer,) = await LocalOperations(rig.store, rig.clock, registry=other).enqueue([request])

    async with rig.worker(app_path="tests.worker.coded:app") as (_, watch):
        done = await watch.finished(answer.job_id)

    error = (await rig.read(answer.job_id)).placement.error or ""
    assert done.state is State.FAILED
    assert "/first: does not fit the schema; /last: does not fit the schema" in error
    assert "411111" not in error
