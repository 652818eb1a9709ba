"""A file store over a job store in memory, for tests."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from headrace.clock import Clock, ManualClock
from headrace.files.disk import DiskFiles
from headrace.stores.open import open_store
from headrace.stores.protocol import Store


@asynccontextmanager
async def disk_files(root: Path, *, clock: Clock | None = None, **options) -> AsyncGenerator[DiskFiles]:
    async with opened_store() as store:
        yield DiskFiles(root, store, "default", clock or ManualClock(), **options)


@asynccontextmanager
async def opened_store() -> AsyncGenerator[Store]:
    store = await open_store("sqlite://")
    try:
        await store.migrate()
        yield store
    finally:
        await store.close()


async def chunks_of(content: bytes, size: int = 10_000) -> AsyncGenerator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def content_of(files: DiskFiles, file_id: str, **part: int) -> bytes:
    return b"".join([chunk async for chunk in files.read(file_id, **part)])


def paths(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())
