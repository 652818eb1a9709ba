"""The file store of a process that has not opened the job store, such as a child of a worker."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from headrace.clock import StoreClock
from headrace.core.filters import Page
from headrace.errors import MisuseError
from headrace.files.disk import DiskFiles
from headrace.files.open import files_folder
from headrace.files.protocol import StoredFile
from headrace.settings import Settings
from headrace.stores.protocol import Store


class FilesApart:
    """A ``FileStore`` that opens what it needs at the first use, and keeps it for the process's life."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._files: DiskFiles | None = None
        self._store: Store | None = None

    async def put(
        self, chunks: AsyncIterator[bytes], *, name: str, content_type: str = "application/octet-stream"
    ) -> StoredFile:
        """As the file store it opens does."""
        return await (await self._opened()).put(chunks, name=name, content_type=content_type)

    async def info(self, file_id: str) -> StoredFile:
        """As the file store it opens does."""
        return await (await self._opened()).info(file_id)

    async def read(self, file_id: str, *, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """As the file store it opens does."""
        files = await self._opened()
        async with aclosing(files.read(file_id, start=start, length=length)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def list(self, page: Page) -> tuple[Sequence[StoredFile], str | None]:
        """As the file store it opens does."""
        return await (await self._opened()).list(page)

    async def delete(self, file_id: str) -> bool:
        """As the file store it opens does."""
        return await (await self._opened()).delete(file_id)

    async def close(self) -> None:
        """Closes what was opened. Idempotent; it can be used again."""
        async with self._opening:
            store, self._store, self._files = self._store, None, None
            if store is not None:
                await store.close()

    async def _opened(self) -> DiskFiles:
        async with self._opening:
            if self._files is None:
                self._files = await self._open()
            return self._files

    async def _open(self) -> DiskFiles:
        from headrace.stores.open import open_store  # noqa: PLC0415 - most such processes never need it

        folder = files_folder(self._settings)
        if folder is None:
            msg = "the files of a store in memory cannot be reached from another process"
            raise MisuseError(msg)
        store = self._store = await open_store(self._settings.url)
        return DiskFiles(folder, store, self._settings.namespace, StoreClock(await store.now()))
