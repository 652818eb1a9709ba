"""Members of batches over HTTP: added by their ``batchId``, refused when the batch takes no more."""

from headrace.core.batch import Counts, Phase
from headrace.core.batch_request import NewBatch

UNKNOWN = "batch_1_0123456789abcdef"
MEMBER = {"type": "send-email", "payload": {"to": "user@example.com"}}


async def test_job_with_the_id_of_an_open_batch_becomes_a_member(service):
    operations = await service.app.operations()
    batch = (await operations.create_batch(NewBatch())).state.id

    await service.enqueued(batchId=batch)

    assert (await operations.batch(batch)).counts == Counts(pending=1)


async def test_job_with_the_id_of_a_sealed_batch_is_refused(service):
    operations = await service.app.operations()
    batch = (await operations.create_batch(NewBatch())).state.id
    await operations.seal_batch(batch)

    answer = await service.post(MEMBER | {"batchId": batch})

    assert (answer.status_code, answer.json()["success"]) == (409, False)
    assert "closed" in answer.json()["error"]


async def test_job_with_the_id_of_no_batch_is_refused(service):
    answer = await service.post(MEMBER | {"batchId": UNKNOWN})

    assert answer.status_code == 404
    assert UNKNOWN in answer.json()["error"]


async def test_deleting_the_last_member_closes_the_batch(service):
    operations = await service.app.operations()
    batch = (await operations.create_batch(NewBatch())).state.id
    job_id = await service.enqueued(batchId=batch)
    await operations.seal_batch(batch)

    await service.client.delete(f"/jobs/{job_id}")
    await operations.batch_engine.checks.drained()

    view = await operations.batch(batch)
    assert (view.state.phase, view.counts) == (Phase.CLOSED, Counts(cancelled=1))


async def test_retried_member_opens_its_closed_batch_again(service):
    operations = await service.app.operations()
    batch = (await operations.create_batch(NewBatch())).state.id
    job_id = await service.enqueued(batchId=batch)
    await operations.seal_batch(batch)
    await operations.cancel_batch(batch)

    answer = await service.client.post(f"/jobs/{job_id}/retry")

    view = await operations.batch(batch)
    assert answer.status_code == 200
    assert (view.state.phase, view.state.generation, view.counts) == (Phase.SEALED, 2, Counts(pending=1))
