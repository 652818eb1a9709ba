"""Where stored files live, and the store of files that a process opens once."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from headrace.clock import Clock
from headrace.files.blocking import in_thread
from headrace.files.disk import DiskFiles
from headrace.settings import Settings
from headrace.stores.protocol import Records

_IN_MEMORY = frozenset({"", ":memory:"})


def files_folder(settings: Settings) -> Path | None:
    """The folder of stored files: HEADRACE_FILES, else beside the SQLite file; None for a store in memory."""
    if settings.files is not None:
        return Path(settings.files)
    parts = urlsplit(settings.url)
    database = unquote(parts.path).removeprefix("/")
    if parts.scheme != "sqlite" or database in _IN_MEMORY:
        return None
    return Path(f"{database}.files")


def kept_files(settings: Settings, records: Records, clock: Clock) -> DiskFiles | None:
    """The file store that outlives this process; None for a store in memory."""
    folder = files_folder(settings)
    return None if folder is None else DiskFiles(folder, records, settings.namespace, clock)


@asynccontextmanager
async def opened_files(settings: Settings, records: Records, clock: Clock) -> AsyncGenerator[DiskFiles]:
    """The file store of this process; with a store in memory its files are gone at the end."""
    kept = kept_files(settings, records, clock)
    if kept is not None:
        yield kept
        return
    temporary = await in_thread(tempfile.TemporaryDirectory, prefix="headrace-files-")
    try:
        yield DiskFiles(Path(temporary.name), records, settings.namespace, clock)
    finally:
        await in_thread(temporary.cleanup)
