"""batch-import without a worker: what it enqueues, tells, keeps, and where it goes on."""

import json

import pytest

from headrace.engine.context import MAX_CHECKPOINT_BYTES
from headrace.errors import InvalidInput, InvalidPayload, LeaseLost, Permanent, UnknownJobType
from headrace.handlers.batch_import import batch_import_type
from tests.files.stored import chunks_of, content_of, disk_files
from tests.handlers.contexts import JOB_ID, Told, a_context

KIND = batch_import_type()
UNKNOWN = "019b7f2e-0000-7000-8000-00000000ffff"


async def run(payload: dict, told: Told | None = None, *, files=None, saved=None) -> dict:
    arguments = KIND.payload.decode(KIND.payload.check(payload))
    result = await KIND.handler(ctx=a_context(told, files=files, saved=saved), **arguments)
    return json.loads(KIND.payload.encode_result(result))


def csv_of(rows: int) -> bytes:
    return b"id,to\n" + b"".join(b"%d,user%d@example.com\n" % (n, n) for n in range(1, rows + 1))


class Picky(Told):
    """Refuses a call in which any payload has ``bad``, as the engine does."""

    def enqueue(self, requests):
        self.refuse_enqueue = None
        if any("bad" in request.payload for request in requests):
            self.refuse_enqueue = InvalidInput("bad is not a field")
        return Told.enqueue(self, requests)


async def test_items_become_jobs_of_the_row_type():
    told = Told()

    result = await run({"items": [{"n": 1}, {"n": 2}], "namespace": "products", "rowType": "product"}, told)

    assert [(one.type, one.payload, one.tags) for one in told.requests] == [
        ("product", {"n": 1}, ("products",)),
        ("product", {"n": 2}, ("products",)),
    ]
    assert [one.idempotency_key for one in told.requests] == [f"{JOB_ID}:1", f"{JOB_ID}:2"]
    assert {one.batch_id for one in told.requests} == {result["batchId"]}
    assert (result["success"], result["rows"], result["enqueued"], result["errors"]) == (True, 2, 2, 0)


async def test_csv_file_becomes_jobs_in_chunks(tmp_path):
    told = Told()
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(csv_of(25)), name="orders.csv")

        result = await run(
            {"fileId": stored.id, "format": "csv", "rowType": "order", "chunkSize": 10}, told, files=files
        )

    assert [len(chunk) for chunk in told.enqueued] == [10, 10, 5]
    assert told.requests[24].payload == {"id": "25", "to": "user25@example.com"}
    assert [one["number"] for one in told.checkpoints] == [10, 20, 25]
    assert [note["stage"] for note in told.progress_notes] == ["importing"] * 2
    assert 0 < told.progress_notes[0]["percentage"] < told.progress_notes[1]["percentage"] < 100
    assert (result["rows"], result["enqueued"]) == (25, 25)


async def test_jsonl_file_becomes_jobs(tmp_path):
    told = Told()
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(b'{"n":1}\n{"n":{"m":2}}\n'), name="rows.jsonl")

        await run({"fileId": stored.id, "format": "jsonl", "rowType": "order"}, told, files=files)

    assert [one.payload for one in told.requests] == [{"n": 1}, {"n": {"m": 2}}]


async def test_mapping_and_constants_make_the_payload():
    told = Told()
    payload = {
        "items": [{"Mail": "a@example.com", "Other": 1}, {"Other": 2}],
        "rowType": "send-email",
        "mapping": {"to": "Mail"},
        "constants": {"subject": "Hello", "body": "…"},
    }

    result = await run(payload, told)

    assert [one.payload for one in told.requests] == [
        {"to": "a@example.com", "subject": "Hello", "body": "…"}
    ]
    assert result["errorSample"] == [{"row": 2, "error": "no column Mail"}]


async def test_import_goes_on_behind_its_checkpoint(tmp_path):
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(csv_of(25)), name="orders.csv")
        payload = {"fileId": stored.id, "format": "csv", "rowType": "order", "chunkSize": 10}
        first, second = Told(), Told()
        await run(payload, first, files=files)

        result = await run(payload, second, files=files, saved=first.checkpoints[0])

    assert [one.idempotency_key for one in second.requests] == [f"{JOB_ID}:{n}" for n in range(11, 26)]
    assert second.requests == first.requests[10:]
    assert (result["rows"], result["enqueued"]) == (25, 25)


async def test_items_go_on_behind_their_checkpoint():
    payload = {"items": [{"n": n} for n in range(5)], "rowType": "order", "chunkSize": 2}
    first, second = Told(), Told()
    await run(payload, first)

    await run(payload, second, saved=first.checkpoints[1])

    assert second.requests == first.requests[4:]


async def test_repeated_chunk_asks_for_the_same_jobs():
    payload = {"items": [{"n": n} for n in range(5)], "rowType": "order", "chunkSize": 2}
    first, second = Told(), Told()

    await run(payload, first)
    await run(payload, second)

    assert first.requests == second.requests


async def test_rows_that_are_refused_are_told_and_the_others_go_on():
    told = Picky()
    items = [{"bad": n} if n in (3, 4, 17) else {"n": n} for n in range(1, 21)]

    result = await run({"items": items, "rowType": "order", "chunkSize": 10}, told)

    assert [one.payload["n"] for one in told.requests] == [n for n in range(1, 21) if n not in (3, 4, 17)]
    assert [error["row"] for error in result["errorSample"]] == [3, 4, 17]
    assert (result["rows"], result["enqueued"], result["errors"]) == (20, 17, 3)
    assert "errorFileId" not in result or result["errorFileId"] is None


async def test_many_errors_are_kept_in_a_file(tmp_path):
    async with disk_files(tmp_path) as files:
        result = await run({"items": [1] * 50, "rowType": "order"}, files=files)
        kept = await content_of(files, result["errorFileId"])

    assert (result["enqueued"], result["errors"], len(result["errorSample"])) == (0, 50, 20)
    lines = [json.loads(line) for line in kept.splitlines()]
    assert lines == [{"row": n, "error": "a row must be a JSON object"} for n in range(1, 51)]


async def test_kept_errors_are_bounded(tmp_path):
    told = Told()
    async with disk_files(tmp_path) as files:
        items = [{"n": 1}] * 3000
        payload = {"items": items, "rowType": "order", "mapping": {"n": "😀" * 300}}

        result = await run(payload, told, files=files)
        kept = await content_of(files, result["errorFileId"])

    assert (result["errors"], len(kept.splitlines())) == (3000, 1000)
    assert len(json.dumps(told.checkpoints[-1], ensure_ascii=False).encode()) < MAX_CHECKPOINT_BYTES


async def test_unknown_row_type_ends_the_job():
    told = Told(refuse_enqueue=UnknownJobType("order"))

    with pytest.raises(Permanent, match="unknown job type 'order'"):
        await run({"items": [{}], "rowType": "order"}, told)


async def test_lost_lease_is_no_row_error():
    told = Told(refuse_enqueue=LeaseLost(JOB_ID, 1))

    with pytest.raises(LeaseLost):
        await run({"items": [{}], "rowType": "order"}, told)

    assert told.checkpoints == []


async def test_without_a_row_type_the_rows_are_kept_as_a_file(tmp_path):
    told = Told()
    async with disk_files(tmp_path) as files:
        result = await run({"items": [{"n": 1}, 2, {"n": "ü"}], "namespace": "products"}, told, files=files)
        stored = await files.info(result["fileId"])
        content = await content_of(files, result["fileId"])

        again = await run({"items": []}, files=files, saved=told.checkpoints[-1])

    assert (stored.name, content.decode()) == ("products.jsonl", '{"n":1}\n{"n":"ü"}\n')
    assert (result["rows"], result["enqueued"], result["errors"]) == (3, 0, 1)
    assert again["fileId"] == result["fileId"]
    assert told.enqueued == []


async def test_file_that_is_not_there_ends_the_job(tmp_path):
    async with disk_files(tmp_path) as files:
        with pytest.raises(Permanent, match="no file"):
            await run({"fileId": UNKNOWN, "format": "csv", "rowType": "order"}, files=files)


@pytest.mark.parametrize(
    "payload",
    [
        {"rowType": "order"},
        {"items": [], "fileId": UNKNOWN, "format": "csv"},
        {"fileId": UNKNOWN},
        {"items": [], "format": "csv"},
        {"items": [{}], "rowType": "batch-import"},
    ],
)
async def test_contradiction_is_refused(payload):
    with pytest.raises(InvalidInput):
        await run(payload)


@pytest.mark.parametrize(
    "wrong",
    [
        {"items": {}},
        {"fileId": "../x", "format": "csv"},
        {"format": "xlsx"},
        {"rowType": "no such name"},
        {"namespace": "../x"},
        {"chunkSize": 0},
        {"chunkSize": 5001},
        {"mapping": {"a": 1}},
    ],
)
def test_wrong_payload_is_refused_when_enqueued(wrong):
    with pytest.raises(InvalidPayload):
        KIND.payload.check({"items": [{}], "rowType": "order", **wrong})
