"""Stored files on a real disk."""

import asyncio
import errno
import hashlib
import os
import stat

import pytest

from headrace.clock import ManualClock
from headrace.core.filters import Page
from headrace.core.ids import is_id
from headrace.errors import FileNotFound, InvalidInput, StoreFull, StoreUnavailable, TooLarge
from headrace.files.disk import CHUNK, DiskFiles
from tests.files.stored import chunks_of, content_of, disk_files, opened_store, paths

CONTENT = os.urandom(3 * CHUNK + 123)
UNKNOWN = "019b7f2e-0000-7000-8000-000000000001"


async def test_content_is_read_back_as_it_was_put(tmp_path):
    async with disk_files(tmp_path, clock=ManualClock(1_000)) as files:
        stored = await files.put(chunks_of(CONTENT), name="../a.bin", content_type="image/png")

        assert await content_of(files, stored.id) == CONTENT
        assert await files.info(stored.id) == stored
    assert is_id(stored.id)
    assert (stored.name, stored.content_type, stored.created_at) == ("a.bin", "image/png", 1_000)
    assert (stored.size, stored.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


async def test_empty_file_is_a_file(tmp_path):
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(b""), name="empty")

        assert await content_of(files, stored.id) == b""
    assert (stored.size, stored.sha256) == (0, hashlib.sha256(b"").hexdigest())


@pytest.mark.parametrize(
    ("start", "length"),
    [
        (0, 10),
        (5, None),
        (CHUNK - 1, 2),
        (CHUNK, CHUNK),
        (len(CONTENT) - 1, 100),
        (0, 0),
        (len(CONTENT), None),
        (10**9, 5),
    ],
)
async def test_range_is_read(tmp_path, start, length):
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(CONTENT), name="a")

        end = None if length is None else start + length
        assert await content_of(files, stored.id, start=start, length=length) == CONTENT[start:end]


@pytest.mark.parametrize("part", [{"start": -1}, {"length": -1}])
async def test_negative_range_is_refused(tmp_path, part):
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(b"abc"), name="a")

        with pytest.raises(InvalidInput):
            await content_of(files, stored.id, **part)


async def test_no_chunk_is_larger_than_a_mebibyte(tmp_path):
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(CONTENT, len(CONTENT)), name="a")

        assert [len(chunk) async for chunk in files.read(stored.id)] == [CHUNK, CHUNK, CHUNK, 123]


@pytest.mark.parametrize(
    "file_id", [UNKNOWN, "", "..", "../../etc/passwd", "a/b", "x" * 36, UNKNOWN.upper(), UNKNOWN + "\n"]
)
async def test_unknown_id_is_no_path(tmp_path, file_id):
    async with disk_files(tmp_path) as files:
        for step in (files.info(file_id), content_of(files, file_id)):
            with pytest.raises(FileNotFound):
                await step
        assert await files.delete(file_id) is False


async def test_file_of_another_namespace_is_absent(tmp_path):
    async with opened_store() as store:
        ours, theirs = (DiskFiles(tmp_path / "root", store, name, ManualClock()) for name in ("ours", ".."))
        stored = await ours.put(chunks_of(b"abc"), name="a")

        with pytest.raises(FileNotFound):
            await theirs.info(stored.id)
        assert await theirs.delete(stored.id) is False
        assert await content_of(ours, stored.id) == b"abc"
        await theirs.put(chunks_of(b"x"), name="b")
    assert all(path.is_relative_to(tmp_path / "root") for path in paths(tmp_path))


async def test_files_are_listed_newest_first(tmp_path):
    clock = ManualClock()
    async with disk_files(tmp_path, clock=clock) as files:
        ids = []
        for name in ("a", "b", "c"):
            clock.advance(1)
            ids.append((await files.put(chunks_of(b"x"), name=name)).id)

        first, cursor = await files.list(Page(limit=2))
        rest, end = await files.list(Page(limit=2, before=cursor))

    assert [one.id for one in (*first, *rest)] == ids[::-1]
    assert end is None


async def test_deleted_file_is_gone(tmp_path):
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(b"abc"), name="a")

        assert await files.delete(stored.id) is True
        assert await files.delete(stored.id) is False
        with pytest.raises(FileNotFound):
            await files.info(stored.id)
    assert paths(tmp_path) == []


async def test_only_the_owner_may_look(tmp_path):
    async with disk_files(tmp_path / "files") as files:
        await files.put(chunks_of(b"abc"), name="a")

    for path in [tmp_path / "files", *(tmp_path / "files").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_too_large_a_file_leaves_nothing(tmp_path):
    async with disk_files(tmp_path, max_bytes=CHUNK) as files:
        with pytest.raises(TooLarge):
            await files.put(chunks_of(CONTENT), name="a")

        assert (await files.list(Page()))[0] == ()
    assert paths(tmp_path) == []


async def test_source_that_breaks_off_leaves_nothing(tmp_path):
    async def broken():
        yield CONTENT
        raise ConnectionResetError

    async with disk_files(tmp_path) as files:
        with pytest.raises(ConnectionResetError):
            await files.put(broken(), name="a")

        assert (await files.list(Page()))[0] == ()
    assert paths(tmp_path) == []


async def test_cancelled_put_leaves_nothing(tmp_path):
    begun = asyncio.Event()

    async def endless():
        while True:
            yield CONTENT
            begun.set()
            await asyncio.sleep(0)

    async with disk_files(tmp_path) as files:
        putting = asyncio.create_task(files.put(endless(), name="a"))
        await begun.wait()
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting

        assert (await files.list(Page()))[0] == ()
    assert paths(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreUnavailable)]
)
async def test_disk_trouble_is_told_and_leaves_nothing(tmp_path, monkeypatch, code, error):
    def failing(_handle, _data):
        raise OSError(code, os.strerror(code))

    async with disk_files(tmp_path) as files:
        with monkeypatch.context() as patched:
            patched.setattr("headrace.files.disk.os.write", failing)
            with pytest.raises(error):
                await files.put(chunks_of(CONTENT), name="a")

        assert (await files.list(Page()))[0] == ()
    assert paths(tmp_path) == []


async def test_wrong_content_type_is_refused_before_anything_is_written(tmp_path):
    async with disk_files(tmp_path / "files") as files:
        with pytest.raises(InvalidInput):
            await files.put(chunks_of(b"x"), name="a", content_type="text/html\r\nX: y")

    assert not (tmp_path / "files").exists()


async def test_sweep_removes_what_a_crash_left_and_nothing_else(tmp_path):
    clock = ManualClock()
    async with disk_files(tmp_path, clock=clock) as files:
        kept = await files.put(chunks_of(b"kept"), name="kept")
        lost = await files.put(chunks_of(b"lost"), name="lost")
        await files._records.remove_records("default", "file", (lost.id,))
        part = tmp_path / "n-default" / "tmp" / UNKNOWN
        part.write_bytes(b"half")
        young = tmp_path / "n-default" / "tmp" / UNKNOWN.replace("1", "2")
        young.write_bytes(b"being written")
        for path in paths(tmp_path):
            at = clock.now() / 1000 + (7200 if path == young else 0)
            os.utime(path, (at, at))
        clock.advance(7200)

        removed = await files.sweep()

        assert removed == 2
        assert await content_of(files, kept.id) == b"kept"
    assert [path.name for path in paths(tmp_path)] == [kept.id, young.name]


async def test_sweep_leaves_what_is_still_being_written_however_slowly(tmp_path):
    clock = ManualClock()

    async def slow():
        yield b"begun"
        (part,) = paths(tmp_path)
        os.utime(part, (0, 0))
        assert await files.sweep() == 0
        yield b", ended"

    async with disk_files(tmp_path, clock=clock) as files:
        stored = await files.put(slow(), name="slow")

        assert await content_of(files, stored.id) == b"begun, ended"


async def test_sweep_of_a_folder_that_is_not_there_does_nothing(tmp_path):
    async with disk_files(tmp_path / "none") as files:
        assert await files.sweep() == 0


async def test_bytes_that_vanished_are_a_missing_file(tmp_path):
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(b"abc"), name="a")
        paths(tmp_path)[0].unlink()

        with pytest.raises(FileNotFound):
            await content_of(files, stored.id)


async def test_reader_may_stop_early(tmp_path):
    async with disk_files(tmp_path) as files:
        stored = await files.put(chunks_of(CONTENT), name="a")

        reading = files.read(stored.id)
        first = await anext(reading)
        await reading.aclose()

    assert first == CONTENT[:CHUNK]
