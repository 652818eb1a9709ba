"""process-file: works through tasks on a stored file, in order.

The bytes are read and hashed in threads: hashing releases the interpreter's lock, so it needs no
process of its own (sha256 of 1 GiB: 1.1 s, in which the event loop never paused for more than 7 ms).
"""

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from enum import StrEnum
from typing import Annotated, Final, Protocol

from pydantic import Field

from headrace.core.backoff import Backoff
from headrace.engine.context import Context
from headrace.engine.registry import JobOptions, Registered, Retry, registered
from headrace.errors import FileNotFound, Permanent
from headrace.files.blocking import in_thread
from headrace.files.protocol import StoredFile
from headrace.handlers.results import FileId, Result

QUEUE: Final = "file-processing"
RETRY: Final = Retry(attempts=3, backoff=Backoff.exponential(2))


class Task(StrEnum):
    """What can be done with a file."""

    CHECKSUM = "checksum"


class Algorithm(StrEnum):
    """How a checksum is made. All but ``sha256`` are for comparing with what others published."""

    SHA256 = "sha256"
    MD5 = "md5"
    CRC32 = "crc32"


class Processed(Result):
    """Which tasks were done, and the checksums in hex."""

    file_id: str
    tasks_completed: list[Task]
    checksums: dict[Algorithm, str]


Tasks = Annotated[list[Task], Field(min_length=1, max_length=20)]
Algorithms = Annotated[list[Algorithm], Field(min_length=1, max_length=3)]
Hexadecimal = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{8,64}$")]


def process_file_type() -> Registered:
    """The job type ``process-file``."""

    async def process_file(  # noqa: PLR0913 - one parameter per field of the payload
        ctx: Context,
        *,
        file_id: FileId,
        tasks: Tasks,
        storage_key: str | None = None,
        algorithms: Algorithms | None = None,
        expected: dict[Algorithm, Hexadecimal] | None = None,
    ) -> Processed:
        """Works through ``tasks`` on a stored file. ``storageKey`` is the caller's own name for it.

        ``checksum`` reads the whole file, makes the checksums that ``algorithms`` names (else
        sha256) and compares them with ``expected``; the sha256 noted at the upload is always
        compared. A difference ends the job.
        """
        try:
            stored = await ctx.files.info(file_id)
        except FileNotFound as error:
            raise Permanent(str(error)) from error
        asked = algorithms or [Algorithm.SHA256]
        checksums: dict[Algorithm, str] = {}
        for index, task in enumerate(tasks):
            ctx.progress(task.value, index / len(tasks) * 100, storage_key or stored.name)
            try:
                match task:
                    case Task.CHECKSUM:
                        checksums = await _checksums(ctx, stored, asked, expected or {})
            except Exception as error:
                ctx.log(f"Failed: {task.value} - {error}", level="error")
                raise
            ctx.log(f"Completed: {task.value}")
        return Processed(file_id=file_id, tasks_completed=tasks, checksums=checksums)

    return registered(process_file, JobOptions(name="process-file", queue=QUEUE, retry=RETRY))


async def _checksums(
    ctx: Context, stored: StoredFile, asked: Sequence[Algorithm], expected: Mapping[Algorithm, str]
) -> dict[Algorithm, str]:
    """The checksums asked for, once the bytes are those that were stored and those that were expected."""
    running = {name: _STARTED[name]() for name in {Algorithm.SHA256, *asked, *expected}}
    async with aclosing(ctx.files.read(stored.id)) as chunks:
        async for chunk in chunks:
            await in_thread(_feed, running, chunk)
    found = {name: one.hexdigest() for name, one in running.items()}
    if found[Algorithm.SHA256] != stored.sha256:
        msg = f"the bytes of {stored.id} have changed since they were stored"
        raise Permanent(msg)
    for name, value in expected.items():
        if found[name] != value.lower():
            msg = f"{name.value} is {found[name]}, expected {value.lower()}"
            raise Permanent(msg)
    return {name: found[name] for name in asked}


class _Running(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def _feed(running: Mapping[Algorithm, _Running], chunk: bytes) -> None:
    for one in running.values():
        one.update(chunk)


_STARTED: Final[Mapping[Algorithm, Callable[[], _Running]]] = {
    Algorithm.SHA256: hashlib.sha256,
    Algorithm.MD5: lambda: hashlib.md5(usedforsecurity=False),
    Algorithm.CRC32: _Crc32,
}
