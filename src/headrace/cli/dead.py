"""``headrace dead list``, ``show`` and ``queues``: failed jobs that nobody has dealt with."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from cyclopts import Parameter

from headrace.api.views import history_to_json
from headrace.cli.dead_choice import Choice
from headrace.cli.exits import Exit
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import on_terminal, print_facts, print_json, print_line, print_table
from headrace.core.dead import DEAD_LETTER_TYPE, DeadQueue, count_to_json, dead_to_json, view_to_json
from headrace.core.filters import DEFAULT_LIMIT, Page
from headrace.core.wire import Json, to_iso
from headrace.errors import InvalidInput

COLUMNS: Final = ("id", "type", "queue", "why", "attempts", "failedAt", "errorType", "error")
SPARE: Final = ("attempts", "queue", "failedAt", "errorType")
COUNTS: Final = ("type", "queue", "count", "permanent", "oldest", "newest")
QUEUES: Final = ("queue", "deadLetterQueue", "type")


def list_dead(  # noqa: PLR0913 - one parameter per option
    *,
    choice: Choice | None = None,
    counts: Annotated[
        bool, Parameter(negative="", show_default=False, help="Only how many there are by type and queue.")
    ] = False,
    limit: Annotated[int, Parameter(help="How many, 1 to 1,000.")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Parameter(help="nextCursor of the page before, from --json.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """List dead letters, the latest death first."""
    chosen = choice or Choice()
    if counts and chosen != Choice():
        raise InvalidInput("--counts counts all dead letters: leave the other options out")
    page = Page(limit=limit, before=cursor)

    async def run() -> None:
        async with existing(url) as app:
            engine = await app.operations()
            if counts:
                found = [count_to_json(one) for one in await engine.dead_letter_counts()]
                _print_rows(found, COUNTS, {"counts": found}, as_json=as_json)
                return
            letters = await engine.dead_letters(chosen.at(engine.now()), page)
        shown = [dead_to_json(job) for job in letters.jobs]
        told: dict[str, Json] = {"deadLetters": shown, "nextCursor": letters.cursor}
        _print_rows(shown, COLUMNS, told, as_json=as_json)
        if letters.cursor is not None and on_terminal():
            print_line(f"more: --cursor {letters.cursor}")

    wait_for(run)
    return Exit.DONE


def show(
    job_id: Annotated[str, Parameter(help="The id, as `headrace dead list` shows it.")],
    /,
    *,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Show a failed job with its errors, and what became of it."""

    async def run() -> None:
        async with existing(url) as app:
            engine = await app.operations()
            view = await engine.dead_letter(job_id)
            history = await engine.history(job_id)
        told = view_to_json(view)
        if as_json:
            print_json({**told, **history_to_json(history)})
            return
        print_facts({name: value for name, value in told.items() if value not in (None, [], "")})
        print_line("")
        rows = [
            [one.generation, one.fence, to_iso(one.started_at), to_iso(one.ended_at), one.outcome, one.error]
            for one in history.attempts
        ]
        print_table(("generation", "fence", "startedAt", "endedAt", "outcome", "error"), rows)

    wait_for(run)
    return Exit.DONE


def queues(  # noqa: PLR0913 - one parameter per option
    queue: Annotated[str | None, Parameter(help="The queue to change; without it they are listed.")] = None,
    /,
    *,
    to: Annotated[str | None, Parameter(help="Where a job is put for each that fails on it.")] = None,
    job_type: Annotated[str, Parameter(name="--type", help="The job type of these.")] = DEAD_LETTER_TYPE,
    none: Annotated[
        bool, Parameter(negative="", show_default=False, help="Take its dead-letter queue away.")
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """List the queues that have a dead-letter queue; give one to a queue, or take it away."""
    if (queue is not None) != (none or to is not None) or (none and to is not None):
        raise InvalidInput("name a queue together with --to NAME, or with --none")
    target = None if to is None else DeadQueue(queue=to, type=job_type)

    async def run() -> None:
        async with existing(url) as app:
            engine = await app.operations()
            if queue is not None:
                await engine.set_dead_letter_queue(queue, target)
            found = await engine.dead_letter_queues()
        rows: list[dict[str, Json]] = [
            {"queue": name, "deadLetterQueue": one.queue, "type": one.type} for name, one in found.items()
        ]
        _print_rows(rows, QUEUES, {"queues": rows}, as_json=as_json)

    wait_for(run)
    return Exit.DONE


def print_letters(letters: Sequence[Mapping[str, Json]]) -> None:
    """Prints dead letters as a table."""
    print_table(COLUMNS, [[one[name] for name in COLUMNS] for one in letters], empty="none", spare=SPARE)


def _print_rows(
    rows: Sequence[Mapping[str, Json]],
    columns: Sequence[str],
    told: Mapping[str, Json],
    *,
    as_json: bool,
) -> None:
    if as_json:
        print_json({"count": len(rows), **told})
    elif columns is COLUMNS:
        print_letters(rows)
    else:
        print_table(columns, [[row[name] for name in columns] for row in rows])
