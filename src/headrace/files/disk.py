"""Stored files on a local disk, their metadata in the job store.

    <root>/n-<namespace>/tmp/<id>       being written
    <root>/n-<namespace>/data/<xx>/<id> complete; visible once its record exists

The record is the file: it is written last and removed first, so whatever a crash leaves on the
disk without a record is invisible, and ``sweep`` removes it. The prefix ``n-`` keeps a namespace
such as ``..`` from being a way out of the root.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final, ParamSpec, TypeVar

from headrace.clock import Clock
from headrace.core.filters import Page
from headrace.core.ids import checked_name, is_id
from headrace.errors import FileNotFound, InvalidInput, StoreFull, StoreUnavailable, TooLarge
from headrace.files.blocking import in_thread
from headrace.files.names import checked_content_type, safe_name
from headrace.files.protocol import StoredFile
from headrace.mint import IdMint
from headrace.stores.protocol import Record, Records

P = ParamSpec("P")
R = TypeVar("R")

KIND: Final = "file"
CHUNK: Final = 1024 * 1024
MAX_FILE_BYTES: Final = 4 * 1024**3
ORPHAN_AGE_MS: Final = 3_600_000
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DiskFiles:
    """A ``FileStore`` in a folder of its own, readable by its owner only."""

    def __init__(
        self, root: Path, records: Records, namespace: str, clock: Clock, *, max_bytes: int = MAX_FILE_BYTES
    ) -> None:
        self._folder = root / f"n-{checked_name(namespace, 'namespace')}"
        self._records = records
        self._namespace = namespace
        self._clock = clock
        self._max_bytes = max_bytes
        self._ids = IdMint(random.SystemRandom())

    async def put(
        self, chunks: AsyncIterator[bytes], *, name: str, content_type: str = "application/octet-stream"
    ) -> StoredFile:
        """Stores the bytes; nothing is visible before all of them are safe on the disk."""
        checked_content_type(content_type)
        now = self._clock.now()
        file_id = self._ids.mint(now)
        writing = _Writing(self._folder, file_id, self._max_bytes)
        try:
            await _on_disk(writing.begin)
            await _copy(chunks, writing)
            sha256 = await _on_disk(writing.finish)
        except BaseException:
            await in_thread(writing.discard)
            raise
        stored = StoredFile(
            id=file_id,
            name=safe_name(name),
            content_type=content_type,
            size=writing.size,
            sha256=sha256,
            created_at=now,
        )
        try:
            await self._records.append(self._namespace, KIND, (_record(stored),))
        except StoreFull:
            # Any other failure may come after the record was written, and then needs its bytes.
            await in_thread(writing.discard)
            raise
        return stored

    async def info(self, file_id: str) -> StoredFile:
        """The file's metadata. Raises FileNotFound."""
        if not is_id(file_id):
            raise FileNotFound(file_id)
        found = await self._records.records(self._namespace, KIND, (file_id,))
        if file_id not in found:
            raise FileNotFound(file_id)
        return _stored(found[file_id])

    async def read(
        self, file_id: str, *, start: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes asked for, in chunks of at most 1 MiB."""
        if start < 0 or (length is not None and length < 0):
            msg = "a range of a file must not be negative"
            raise InvalidInput(msg, field="range")
        stored = await self.info(file_id)
        left = stored.size - start if length is None else min(length, stored.size - start)
        if left <= 0:
            return
        try:
            source = await in_thread(_open_at, _data_path(self._folder, file_id), start)
        except FileNotFoundError as error:
            raise FileNotFound(file_id) from error
        try:
            while left > 0 and (block := await in_thread(source.read, min(CHUNK, left))):
                left -= len(block)
                yield block
        finally:
            source.close()

    async def list(self, page: Page) -> tuple[Sequence[StoredFile], str | None]:
        """A page of files, newest first, and the next cursor."""
        found, cursor = await self._records.list_records(self._namespace, KIND, page)
        return tuple(_stored(record) for record in found), cursor

    async def delete(self, file_id: str) -> bool:
        """Deletes the file; False if there was none."""
        if not is_id(file_id):
            return False
        removed = await self._records.remove_records(self._namespace, KIND, (file_id,))
        await in_thread(_data_path(self._folder, file_id).unlink, missing_ok=True)
        return removed > 0

    async def sweep(self, *, older_than_ms: int = ORPHAN_AGE_MS) -> int:
        """Removes what interrupted puts and deletes left behind; returns how many files that were.

        Only files that nobody has written to for ``older_than_ms`` are looked at. Safe beside puts
        and other sweeps.
        """
        before = self._clock.now() - older_than_ms
        parts = await in_thread(_untouched_since, self._folder / "tmp", before)
        data = await in_thread(_untouched_since, self._folder / "data", before)
        orphans = [*parts]
        for index in range(0, len(data), 500):
            some = data[index : index + 500]
            known = await self._records.records(self._namespace, KIND, [path.name for path in some])
            orphans += [path for path in some if path.name not in known]
        return sum([await in_thread(_removed, path) for path in orphans])


async def _copy(chunks: AsyncIterator[bytes], writing: "_Writing") -> None:
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        if len(waiting) >= CHUNK:
            await _on_disk(writing.write, bytes(waiting))
            waiting.clear()
    await _on_disk(writing.write, bytes(waiting))


async def _on_disk(step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    try:
        return await in_thread(step, *args, **kwargs)
    except OSError as error:
        if error.errno in _FULL:
            msg = f"no space left for stored files: {error.strerror}"
            raise StoreFull(msg) from error
        msg = f"a stored file cannot be written: {error.strerror}"
        raise StoreUnavailable(msg) from error


class _Writing:
    """A file on its way in: written aside, moved into place once it is whole and safe."""

    def __init__(self, folder: Path, file_id: str, max_bytes: int) -> None:
        self.size = 0
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._target = _data_path(folder, file_id)
        self._part = folder / "tmp" / file_id
        self._handle = -1

    def begin(self) -> None:
        folder = self._part.parent.parent
        for needed in (folder.parent, folder, self._part.parent, self._target.parent.parent):
            needed.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)  # kept while it is being written, however slowly: see sweep

    def write(self, block: bytes) -> None:
        self.size += len(block)
        if self.size > self._max_bytes:
            msg = f"the file is larger than the limit of {self._max_bytes} bytes"
            raise TooLarge(msg, field="file")
        self._hash.update(block)
        view = memoryview(block)
        while view:
            view = view[os.write(self._handle, view) :]

    def finish(self) -> str:
        os.utime(self._handle)
        os.fsync(self._handle)
        self._close()
        self._target.parent.mkdir(mode=0o700, exist_ok=True)
        self._part.rename(self._target)
        for folder in (self._target.parent, self._target.parent.parent):
            _sync_folder(folder)
        return self._hash.hexdigest()

    def discard(self) -> None:
        self._close()
        for path in (self._part, self._target):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _close(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def _data_path(folder: Path, file_id: str) -> Path:
    # the end of an id is random, so it spreads the files evenly
    return folder / "data" / file_id[-2:] / file_id


def _open_at(path: Path, start: int) -> BinaryIO:
    source = path.open("rb", buffering=0)
    source.seek(start)
    return source


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _untouched_since(folder: Path, before: int) -> Sequence[Path]:
    found: list[Path] = []
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime_ns // 1_000_000 < before:
                found.append(path)
    return found


def _removed(path: Path) -> bool:
    """Removes a file, unless it is still being written."""
    with contextlib.suppress(FileNotFoundError):
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(handle)
    return False


def _record(stored: StoredFile) -> Record:
    body = {
        "name": stored.name,
        "contentType": stored.content_type,
        "size": stored.size,
        "sha256": stored.sha256,
    }
    return Record(key=stored.id, at=stored.created_at, body=json.dumps(body, ensure_ascii=False))


def _stored(record: Record) -> StoredFile:
    body = json.loads(record.body)
    return StoredFile(
        id=record.key,
        name=body["name"],
        content_type=body["contentType"],
        size=body["size"],
        sha256=body["sha256"],
        created_at=record.at,
    )
