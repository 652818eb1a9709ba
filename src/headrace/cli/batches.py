"""``headrace batches``."""

from typing import Annotated, Final

from cyclopts import Parameter

from headrace.cli.exits import Exit
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import on_terminal, print_facts, print_json, print_line, print_table
from headrace.core.batch_wire import BatchView, batch_to_json
from headrace.core.filters import DEFAULT_LIMIT, Page
from headrace.core.states import State
from headrace.core.wire import Json

COLUMNS: Final = ("id", "phase", "generation", "total", *State)
SPARE: Final = ("generation", State.BLOCKED, State.CANCELLED, State.PROCESSING)
BAR_CELLS: Final = 40
_FULL: Final = "█"
_EMPTY: Final = "░"

BatchId = Annotated[str, Parameter(help="The id, as `headrace batches list` shows it.")]


def list_batches(
    *,
    limit: Annotated[int, Parameter(help="How many, 1 to 1,000.")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Parameter(help="nextCursor of the page before, from --json.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """List batches with the numbers of their members, newest first."""
    page = Page(limit=limit, before=cursor)

    async def run() -> None:
        async with existing(url) as app:
            views, following = await (await app.operations()).batches(page)
        shown = [batch_to_json(view) for view in views]
        if as_json:
            batches: list[Json] = [*shown]
            print_json({"count": len(shown), "batches": batches, "nextCursor": following})
            return
        rows = [[batch[column] for column in COLUMNS] for batch in shown]
        print_table(COLUMNS, rows, empty="no batches", spare=SPARE)
        if following is not None and on_terminal():
            print_line(f"more: --cursor {following}")

    wait_for(run)
    return Exit.DONE


def show(batch_id: BatchId, /, *, url: Url = None, as_json: AsJson = False) -> int:
    """Show a batch with the numbers of its members and how far it is."""

    async def run() -> None:
        async with existing(url) as app:
            view = await (await app.operations()).batch(batch_id)
        told = batch_to_json(view)
        if as_json:
            print_json(told)
            return
        print_facts({name: value for name, value in told.items() if value not in (None, {}, False)})
        if on_terminal():
            print_line(progress_bar(view))

    wait_for(run)
    return Exit.DONE


def cancel(batch_id: BatchId, /, *, url: Url = None, as_json: AsJson = False) -> int:
    """Cancel members that wait and ask running ones to stop; no more can be added."""

    async def run() -> None:
        async with existing(url) as app:
            count = await (await app.operations()).cancel_batch(batch_id)
        _print_count(batch_id, count, "cancelled or asked to stop", as_json=as_json)

    wait_for(run)
    return Exit.DONE


def retry(batch_id: BatchId, /, *, url: Url = None, as_json: AsJson = False) -> int:
    """Run all failed members again. A closed batch calls back once more when they have ended."""

    async def run() -> None:
        async with existing(url) as app:
            count = await (await app.operations()).retry_batch(batch_id)
        _print_count(batch_id, count, "queued again", as_json=as_json)

    wait_for(run)
    return Exit.DONE


def progress_bar(view: BatchView) -> str:
    """How far a batch is, as a bar and in numbers."""
    full = int(view.progress * BAR_CELLS)
    bar = _FULL * full + _EMPTY * (BAR_CELLS - full)
    counts = view.counts
    return f"{bar} {int(view.progress * 100)} %  {counts.ended} of {counts.total} ended"


def _print_count(batch_id: str, count: int, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"batchId": batch_id, "members": count})
    else:
        print_line(f"{batch_id}\t{count} {what}")
