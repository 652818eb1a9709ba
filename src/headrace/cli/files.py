"""``headrace files``."""

import mimetypes
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from headrace.app import App
from headrace.cli.exits import Exit
from headrace.cli.opening import existing, settings_for, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import on_terminal, print_json, print_line, print_table
from headrace.core.filters import DEFAULT_LIMIT, Page
from headrace.core.wire import Json, to_iso
from headrace.errors import InvalidInput
from headrace.files.open import opened_files
from headrace.files.protocol import FileStore, StoredFile

CHUNK = 1024 * 1024
SPARE = ("sha256", "contentType", "createdAt", "size")
COLUMNS = ("id", "name", "contentType", "size", "sha256", "createdAt")


def put(
    path: Annotated[Path, Parameter(help="The file, or - for stdin.", allow_leading_hyphen=True)],
    /,
    *,
    name: Annotated[str | None, Parameter(help="The name to keep; else the file's own.")] = None,
    content_type: Annotated[str | None, Parameter(help="Else guessed from the name.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Store a file and print its id."""
    from_stdin = str(path) == "-"
    if not from_stdin and not path.is_file():
        raise InvalidInput(f"there is no file {str(path)!r}")
    kept = name or ("stdin" if from_stdin else path.name)
    kind = content_type or mimetypes.guess_type(kept)[0] or "application/octet-stream"

    async def run() -> None:
        async with App(settings=settings_for(url)) as app, _files(app) as files:
            stored = await files.put(_chunks(None if from_stdin else path), name=kept, content_type=kind)
        if as_json:
            print_json(file_to_json(stored))
        else:
            print_line(stored.id)

    wait_for(run)
    return Exit.DONE


def get(
    file_id: Annotated[str, Parameter(help="The id that `headrace files put` printed.")],
    /,
    *,
    output: Annotated[Path | None, Parameter(help="Where to write it; else stdout.")] = None,
    url: Url = None,
) -> int:
    """Write a stored file to stdout, or to --output."""
    if output is None and on_terminal():
        raise InvalidInput("not writing a file to the terminal; name one with --output")

    async def run() -> None:
        async with existing(url) as app, _files(app) as files:
            await files.info(file_id)
            with nullcontext(sys.stdout.buffer) if output is None else output.open("wb") as target:
                async for chunk in files.read(file_id):
                    target.write(chunk)

    wait_for(run)
    return Exit.DONE


def list_files(
    *,
    limit: Annotated[int, Parameter(help="How many, 1 to 1,000.")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Parameter(help="nextCursor of the page before, from --json.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """List stored files, newest first."""

    async def run() -> None:
        async with existing(url) as app, _files(app) as files:
            found, following = await files.list(Page(limit=limit, before=cursor))
        shown = [file_to_json(one) for one in found]
        if as_json:
            print_json({"count": len(shown), "files": shown, "nextCursor": following})
        else:
            print_table(COLUMNS, [list(one.values()) for one in shown], empty="no files", spare=SPARE)

    wait_for(run)
    return Exit.DONE


def file_to_json(stored: StoredFile) -> dict[str, Json]:
    """A file's metadata."""
    return {
        "id": stored.id,
        "name": stored.name,
        "contentType": stored.content_type,
        "size": stored.size,
        "sha256": stored.sha256,
        "createdAt": to_iso(stored.created_at),
    }


@asynccontextmanager
async def _files(app: App) -> AsyncGenerator[FileStore]:
    opened = await app.open()
    async with opened_files(app.settings, opened.store, opened.clock) as files:
        yield files


async def _chunks(path: Path | None) -> AsyncGenerator[bytes]:
    with nullcontext(sys.stdin.buffer) if path is None else path.open("rb") as source:
        while chunk := source.read(CHUNK):
            yield chunk
