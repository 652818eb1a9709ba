import hashlib
import zlib

import pytest

from headrace.errors import InvalidPayload, Permanent
from headrace.handlers.process_file import process_file_type
from tests.files.stored import chunks_of, disk_files, paths
from tests.handlers.contexts import Told, a_context

KIND = process_file_type()
CONTENT = bytes(range(256)) * 10_000
UNKNOWN = "019b7f2e-0000-7000-8000-00000000ffff"


async def run(files, payload: dict, told: Told | None = None):
    arguments = KIND.payload.decode(KIND.payload.check(payload))
    result = await KIND.handler(ctx=a_context(told, files=files), **arguments)
    return KIND.payload.decode_result(KIND.payload.encode_result(result)).model_dump(
        by_alias=True, mode="json"
    )


async def test_checksum_is_made(tmp_path):
    told = Told()
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(CONTENT), name="a.fseq")

        result = await run(
            files, {"fileId": stored.id, "storageKey": "test/a.fseq", "tasks": ["checksum"]}, told
        )

    assert result == {
        "success": True,
        "fileId": stored.id,
        "tasksCompleted": ["checksum"],
        "checksums": {"sha256": hashlib.sha256(CONTENT).hexdigest()},
    }
    assert told.lines == [("info", "Completed: checksum")]
    assert told.progress_notes == [{"stage": "checksum", "percentage": 0.0, "message": "test/a.fseq"}]


async def test_other_checksums_are_made_and_compared(tmp_path):
    md5, crc32 = hashlib.md5(CONTENT).hexdigest(), f"{zlib.crc32(CONTENT):08x}"
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(CONTENT), name="a")
        payload = {"fileId": stored.id, "tasks": ["checksum"], "algorithms": ["md5", "crc32"]}

        result = await run(files, {**payload, "expected": {"md5": md5.upper(), "sha256": stored.sha256}})

    assert result["checksums"] == {"md5": md5, "crc32": crc32}


async def test_progress_is_told_before_each_task(tmp_path):
    told = Told()
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(CONTENT), name="a")

        await run(files, {"fileId": stored.id, "tasks": ["checksum"] * 4}, told)

    assert [note["percentage"] for note in told.progress_notes] == [0, 25, 50, 75]


async def test_difference_ends_the_job_and_is_logged(tmp_path):
    told = Told()
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(CONTENT), name="a")

        with pytest.raises(Permanent, match="expected 00000000"):
            await run(
                files, {"fileId": stored.id, "tasks": ["checksum"], "expected": {"crc32": "0" * 8}}, told
            )

    ((level, line),) = told.lines
    assert level == "error"
    assert line.startswith("Failed: checksum - crc32 is ")


async def test_bytes_that_changed_on_the_disk_are_found(tmp_path):
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(CONTENT), name="a")
        (path,) = paths(tmp_path)
        path.write_bytes(CONTENT[:-1] + b"x")

        with pytest.raises(Permanent, match="have changed"):
            await run(files, {"fileId": stored.id, "tasks": ["checksum"]})


async def test_file_that_is_not_there_ends_the_job(tmp_path):
    async with disk_files(tmp_path) as files:
        with pytest.raises(Permanent, match="no file"):
            await run(files, {"fileId": UNKNOWN, "tasks": ["checksum"]})


@pytest.mark.parametrize(
    "wrong",
    [
        {"tasks": ["virus-scan"]},
        {"tasks": []},
        {"fileId": "x"},
        {"algorithms": ["sha1"]},
        {"expected": {"md5": "zz"}},
    ],
)
def test_wrong_payload_is_refused_when_enqueued(wrong):
    with pytest.raises(InvalidPayload):
        KIND.payload.check({"fileId": UNKNOWN, "tasks": ["checksum"], **wrong})
