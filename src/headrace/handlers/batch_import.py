"""batch-import: many rows, checked and made into jobs of a row type, chunk by chunk.

Every row's job carries the idempotency key ``<import's id>:<row number>``. A chunk that is repeated
because its worker was lost therefore duplicates nothing, and the checkpoint behind each chunk lets
the next attempt go on instead of beginning again. A cancel takes effect between two steps; the rows
before it stay enqueued.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any, Final, cast

from pydantic import Field, JsonValue

from headrace.core.backoff import Backoff
from headrace.core.request import EnqueueRequest
from headrace.engine.context import Context
from headrace.engine.registry import JobOptions, Registered, Retry, registered
from headrace.errors import FileNotFound, IdempotencyMismatch, InvalidInput, Permanent, UnknownJobType
from headrace.handlers.import_plan import NAME, Plan, Tally
from headrace.handlers.results import Camel, FileId, Name, Result
from headrace.handlers.rows import Format, Row, csv_columns, csv_rows, item_rows, jsonl_rows

QUEUE: Final = "import"
RETRY: Final = Retry(attempts=3, backoff=Backoff.exponential(2))
CHUNK_ROWS: Final = 500
MAX_CHUNK_ROWS: Final = 5_000
SAMPLE: Final = 20


class RowError(Camel):
    """What is wrong with one row, counted from 1."""

    row: int
    error: str


class Imported(Result):
    """What became of the rows.

    ``error_sample`` shows the first errors; where there are more, the file ``error_file_id`` has the
    first 1,000 as JSON Lines. ``file_id`` is set where the rows were kept instead of enqueued.
    """

    rows: int
    enqueued: int
    errors: int
    error_sample: list[RowError]
    error_file_id: str | None = None
    file_id: str | None = None
    batch_id: str | None = None


def batch_import_type() -> Registered:
    """The job type ``batch-import``."""

    async def batch_import(  # noqa: PLR0913 - one parameter per field of the payload
        ctx: Context,
        *,
        items: list[JsonValue] | None = None,
        file_id: FileId | None = None,
        format: Format | None = None,  # noqa: A002 - the payload's own word
        namespace: Name | None = None,
        row_type: Name | None = None,
        mapping: dict[str, str] | None = None,
        constants: dict[str, JsonValue] | None = None,
        chunk_size: Annotated[int, Field(ge=1, le=MAX_CHUNK_ROWS)] = CHUNK_ROWS,
    ) -> Imported:
        """Makes a job of type ``rowType`` of every row of ``items`` or of a stored CSV or JSON Lines file.

        A row is the job's payload as it is, or as ``mapping`` (payload field: column) and
        ``constants`` say. Rows that do not fit are counted and told, the others go on. ``namespace``
        becomes a tag of the jobs. Without ``rowType`` the rows are kept as one JSON Lines file.
        """
        plan = Plan(
            items=items,
            file_id=file_id,
            format=format,
            namespace=namespace,
            row_type=row_type,
            mapping=mapping or {},
            constants=constants or {},
            chunk_size=chunk_size,
        )
        tally = Tally(**cast("dict[str, Any]", ctx.saved)) if isinstance(ctx.saved, dict) else Tally()
        try:
            if row_type is None:
                await _keep(ctx, plan, tally)
            else:
                await _enqueue_all(ctx, plan, tally, row_type)
            return await _result(ctx, plan, tally)
        except FileNotFound as error:
            raise Permanent(str(error)) from error

    return registered(batch_import, JobOptions(name=NAME, queue=QUEUE, retry=RETRY))


async def _enqueue_all(ctx: Context, plan: Plan, tally: Tally, row_type: str) -> None:
    async with _rows(ctx, plan, tally) as (rows, total):
        waiting: list[Row] = []
        async for row in rows:
            waiting.append(row)
            if len(waiting) == plan.chunk_size:
                await _take(ctx, plan, tally, row_type, waiting)
                _tell(ctx, tally, total)
                waiting = []
        if waiting:
            await _take(ctx, plan, tally, row_type, waiting)


async def _take(ctx: Context, plan: Plan, tally: Tally, row_type: str, rows: Sequence[Row]) -> None:
    """One chunk: enqueued, then noted in the checkpoint. Repeating it changes nothing."""
    wanted: list[tuple[Row, EnqueueRequest]] = []
    wrong: list[tuple[Row, str]] = []
    for row in rows:
        try:
            wanted.append((row, _request(ctx, plan, row_type, row)))
        except InvalidInput as error:
            wrong.append((row, str(error)))
    refused = await _enqueue(ctx, wanted)
    tally.enqueued += len(wanted) - len(refused)
    for row, error in sorted([*wrong, *refused], key=lambda one: one[0].number):
        tally.wrong(row, error)
    tally.passed(rows[-1])
    await ctx.checkpoint(asdict(tally))


def _request(ctx: Context, plan: Plan, row_type: str, row: Row) -> EnqueueRequest:
    if row.error is not None:
        raise InvalidInput(row.error)
    return EnqueueRequest(
        type=row_type,
        payload=plan.payload(row),
        idempotency_key=f"{ctx.idempotency_key}:{row.number}",
        batch_id=_batch_id(ctx),
        tags=() if plan.namespace is None else (plan.namespace,),
    )


async def _enqueue(ctx: Context, wanted: Sequence[tuple[Row, EnqueueRequest]]) -> list[tuple[Row, str]]:
    """Enqueues the rows; returns those that are refused, each with the reason.

    An enqueue takes all or nothing, so a chunk with a wrong row is halved until that row is alone.
    """
    if not wanted:
        return []
    try:
        await ctx.enqueue(*(request for _, request in wanted))
    except UnknownJobType as error:
        raise Permanent(str(error)) from error
    except (InvalidInput, IdempotencyMismatch) as error:
        if len(wanted) == 1:
            return [(wanted[0][0], str(error))]
        half = len(wanted) // 2
        return [*await _enqueue(ctx, wanted[:half]), *await _enqueue(ctx, wanted[half:])]
    return []


async def _keep(ctx: Context, plan: Plan, tally: Tally) -> None:
    """The rows as a stored file. An attempt that was lost leaves none, so the next one begins again."""
    if tally.file_id is not None:
        return
    async with _rows(ctx, plan, tally) as (rows, total):
        lines = _written(ctx, plan, tally, rows, total)
        name = f"{plan.namespace or 'import'}.jsonl"
        stored = await ctx.files.put(lines, name=name, content_type="application/jsonl")
    tally.file_id = stored.id
    await ctx.checkpoint(asdict(tally))


async def _written(
    ctx: Context, plan: Plan, tally: Tally, rows: AsyncIterator[Row], total: int
) -> AsyncGenerator[bytes]:
    async for row in rows:
        try:
            if row.error is not None:
                raise InvalidInput(row.error)
            line = json.dumps(plan.payload(row), ensure_ascii=False, separators=(",", ":"))
            yield f"{line}\n".encode()
        except InvalidInput as error:
            tally.wrong(row, str(error))
        tally.passed(row)
        if row.number % plan.chunk_size == 0:
            _tell(ctx, tally, total)


@asynccontextmanager
async def _rows(ctx: Context, plan: Plan, tally: Tally) -> AsyncGenerator[tuple[AsyncIterator[Row], int]]:
    """The rows that are left, and how far the last one is: in bytes for a file, in rows for items."""
    if plan.file_id is None:
        items = plan.items or ()
        yield _each(item_rows(items, tally.place)), len(items)
        return
    stored = await ctx.files.info(plan.file_id)
    if plan.format is Format.CSV and not tally.columns:
        async with aclosing(ctx.files.read(plan.file_id)) as chunks:
            first = await csv_columns(chunks)
        tally.offset, tally.columns = first.offset, list(first.columns)
    read = csv_rows if plan.format is Format.CSV else jsonl_rows
    async with (
        aclosing(ctx.files.read(plan.file_id, start=tally.offset)) as chunks,
        aclosing(read(chunks, tally.place)) as rows,
    ):
        yield rows, stored.size


async def _each(rows: Sequence[Row]) -> AsyncGenerator[Row]:
    for row in rows:
        yield row


def _tell(ctx: Context, tally: Tally, total: int) -> None:
    share = min(100.0, tally.offset * 100 / max(1, total))
    ctx.progress("importing", round(share, 1), f"{tally.number} rows", rows=tally.number, errors=tally.errors)


async def _result(ctx: Context, plan: Plan, tally: Tally) -> Imported:
    error_file_id = None
    if tally.errors > SAMPLE:
        lines = "".join(json.dumps(error, ensure_ascii=False) + "\n" for error in tally.kept_errors)
        stored = await ctx.files.put(
            _once(lines.encode()), name="import-errors.jsonl", content_type="application/jsonl"
        )
        error_file_id = stored.id
    return Imported(
        rows=tally.number,
        enqueued=tally.enqueued,
        errors=tally.errors,
        error_sample=[RowError.model_validate(error) for error in tally.kept_errors[:SAMPLE]],
        error_file_id=error_file_id,
        file_id=tally.file_id,
        batch_id=None if plan.row_type is None else _batch_id(ctx),
    )


async def _once(content: bytes) -> AsyncGenerator[bytes]:
    yield content


def _batch_id(ctx: Context) -> str:
    return ctx.job.batch_id or f"import_{ctx.job.id}"
