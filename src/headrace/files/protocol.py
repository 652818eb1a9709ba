"""What a file store does. Files are stored first and then named by their id."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.core.filters import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file's metadata. ``size`` in bytes, ``sha256`` in hex, ``created_at`` in epoch milliseconds."""

    id: str
    name: str
    content_type: str
    size: int
    sha256: str
    created_at: int


class FileStore(Protocol):
    """Keeps bytes under ids. Content never changes once stored."""

    async def put(
        self, chunks: AsyncIterator[bytes], *, name: str, content_type: str = "application/octet-stream"
    ) -> StoredFile:
        """Stores the bytes and answers with their id, size and hash. Raises TooLarge, StoreFull."""
        ...

    async def info(self, file_id: str) -> StoredFile:
        """The file's metadata. Raises FileNotFound."""
        ...

    def read(self, file_id: str, *, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes]:
        """``length`` bytes (None: all) from ``start`` on, in chunks.

        Raises FileNotFound at the first step.
        """
        ...

    async def list(self, page: Page) -> tuple[Sequence[StoredFile], str | None]:
        """A page of files, newest first, and the next cursor."""
        ...

    async def delete(self, file_id: str) -> bool:
        """Deletes the file; False if there was none."""
        ...
