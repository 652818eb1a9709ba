"""``headrace jobs``, ``job``, ``cancel`` and ``retry``."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Final

from cyclopts import Parameter

from headrace.api.views import history_to_json, kept_to_json, line_to_json
from headrace.cli.exits import Exit, exit_of, one_line
from headrace.cli.job_log import follow_log, show_log
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import on_terminal, print_facts, print_json, print_line, print_table
from headrace.cli.steps import act_on, print_kept
from headrace.core.filters import DEFAULT_LIMIT, JobFilter, Page, states_of
from headrace.core.job import History
from headrace.core.states import State
from headrace.core.steps import Kept
from headrace.core.wire import Json, job_to_json, to_iso
from headrace.engine.operations import CancelAnswer, Operations
from headrace.errors import HeadraceError, InvalidInput
from headrace.stores.protocol import JobPage, LogLine

COLUMNS: Final = ("id", "type", "state", "queue", "priority", "attempts", "createdAt", "error")
SPARE: Final = ("priority", "queue", "createdAt", "attempts")
WATCH_SECONDS: Final = 2.0

JobIds = Annotated[str, Parameter(help="One or more ids, as `headrace jobs` shows them.")]


def jobs(  # noqa: PLR0913 - one parameter per option
    *,
    status: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="blocked, pending, processing, completed, failed or cancelled. May be repeated.",
        ),
    ] = (),
    type: Annotated[  # noqa: A002 - the word of the glossary
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Only this job type. May be repeated."),
    ] = (),
    queue: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Only this queue. May be repeated."),
    ] = (),
    tag: Annotated[str | None, Parameter(help="Only jobs with this tag.")] = None,
    batch_id: Annotated[str | None, Parameter(help="Only jobs with this batch id.")] = None,
    unique_key: Annotated[str | None, Parameter(help="Only jobs with this unique key.")] = None,
    limit: Annotated[int, Parameter(help="How many, 1 to 1,000.")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Parameter(help="nextCursor of the page before, from --json.")] = None,
    watch: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Show again every two seconds, until Ctrl-C."),
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """List jobs, newest first."""
    states: frozenset[State] = frozenset()
    wanted = JobFilter(
        states=states.union(*map(states_of, status)),
        types=frozenset(type),
        queues=frozenset(queue),
        tag=tag,
        batch_id=batch_id,
        unique_key=unique_key,
    )
    page = Page(limit=limit, before=cursor)
    if watch and (as_json or not on_terminal()):
        raise InvalidInput("--watch needs a terminal, and no --json")

    async def run() -> None:
        async with existing(url) as app:
            engine = await app.operations()
            if watch:
                await _watch(lambda: engine.jobs(wanted, page))
            else:
                _print_page(await engine.jobs(wanted, page), as_json=as_json)

    wait_for(run)
    return Exit.DONE


def job(  # noqa: PLR0913 - one parameter per option
    job_id: Annotated[str, Parameter(help="The id, as `headrace jobs` and `headrace enqueue` print it.")],
    /,
    *words: Annotated[str, Parameter(help="Nothing to show it; `signal NAME [PAYLOAD]` or `replay`.")],
    from_step: Annotated[
        str | None,
        Parameter(name="--from", help="With `replay`: keep what was done before this step, such as charge."),
    ] = None,
    key: Annotated[
        str | None, Parameter(help="With `signal`: sending it again with the same key does nothing.")
    ] = None,
    log: Annotated[
        bool, Parameter(negative="", show_default=False, help="Show only what its handlers logged.")
    ] = False,
    follow: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Show its latest log lines, and those to come until it ends.",
        ),
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Show a job with its payload, result, attempts, steps and log; send it a signal; or replay it."""

    async def run() -> None:
        async with existing(url) as app:
            engine = await app.operations()
            if log or follow:
                if words or (log and follow):
                    raise InvalidInput("--log and --follow each stand alone")
                await (follow_log if follow else show_log)(engine, job_id, as_json=as_json)
                return
            if words or from_step is not None or key is not None:
                done = await act_on(engine, job_id, words or ("",), from_step=from_step, key=key)
                _print_done(done, as_json=as_json)
                return
            job = await engine.job(job_id)
            found = job_to_json(job)
            if not job.placement.terminal:
                found["why"] = (await engine.explain(job_id)).sentence
            history = await engine.history(job_id)
            lines = await engine.log_lines(job_id)
            kept = await engine.steps(job_id)
        if as_json:
            logged: list[Json] = [line_to_json(line) for line in lines]
            print_json({"job": found, **history_to_json(history), **kept_to_json(kept), "log": logged})
        else:
            _print_job(found, history, lines, kept)

    wait_for(run)
    return Exit.DONE


def cancel(*job_ids: JobIds, url: Url = None, as_json: AsJson = False) -> int:
    """Cancel waiting jobs and ask running ones to stop."""

    async def one(engine: Operations, job_id: str) -> str:
        answer = await engine.cancel(job_id)
        return _CANCEL_WORDS[answer]

    return _each(job_ids, one, url, as_json=as_json)


def retry(
    *job_ids: JobIds,
    afresh: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="Forget their steps first, so that all is done again."
        ),
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Run failed or cancelled jobs again, with their attempts at zero and their steps kept."""

    async def one(engine: Operations, job_id: str) -> str:
        if afresh:
            await engine.forget_steps(job_id)
        await engine.retry(job_id)
        return "retry queued"

    return _each(job_ids, one, url, as_json=as_json)


_CANCEL_WORDS: Final = {
    CancelAnswer.ENDED: State.CANCELLED.value,
    CancelAnswer.REQUESTED: "cancellation requested",
}


def _each(
    job_ids: Sequence[str],
    act: Callable[[Operations, str], Awaitable[str]],
    url: str | None,
    *,
    as_json: bool,
) -> int:
    """Does something to each job; what cannot be done is told, and the first reason is the exit code."""
    if not job_ids:
        raise InvalidInput("name at least one job id")
    results: list[Mapping[str, Json]] = []
    codes: list[Exit] = []

    async def run() -> None:
        async with existing(url) as app:
            engine = await app.operations()
            for job_id in job_ids:
                try:
                    results.append({"jobId": job_id, "result": await act(engine, job_id)})
                except HeadraceError as error:
                    results.append({"jobId": job_id, "error": one_line(error)})
                    codes.append(exit_of(error) or Exit.REFUSED)

    wait_for(run)
    if as_json:
        print_json(results)
        return codes[0] if codes else Exit.DONE
    for result in results:
        if "error" in result:
            sys.stderr.write(f"headrace: {result['error']}\n")
        else:
            print_line(f"{result['jobId']}\t{result['result']}")
    return codes[0] if codes else Exit.DONE


def _print_done(done: Mapping[str, Json], *, as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        print_line(f"{done['jobId']}\t{done['result']}")


def _print_page(page: JobPage, *, as_json: bool) -> None:
    shown = [job_to_json(job) for job in page.jobs]
    if as_json:
        print_json({"count": len(shown), "jobs": shown, "nextCursor": page.cursor})
        return
    print_table(COLUMNS, [[job[column] for column in COLUMNS] for job in shown], empty="no jobs", spare=SPARE)
    if page.cursor is not None and on_terminal():
        print_line(f"more: --cursor {page.cursor}")


async def _watch(read: Callable[[], Awaitable[JobPage]]) -> None:
    while True:
        page = await read()
        sys.stdout.write("\x1b[H\x1b[2J")
        _print_page(page, as_json=False)
        sys.stdout.flush()
        await asyncio.sleep(WATCH_SECONDS)


def _print_job(job: Mapping[str, Json], history: History, lines: Sequence[LogLine], kept: Kept) -> None:
    print_facts({name: value for name, value in job.items() if value not in (None, [], False)})
    if history.attempts:
        print_line("")
        print_table(
            ("fence", "worker", "startedAt", "endedAt", "outcome", "error"),
            [
                [one.fence, one.worker, to_iso(one.started_at), to_iso(one.ended_at), one.outcome, one.error]
                for one in history.attempts
            ],
        )
    if history.folded:
        print_line(
            "between the first and the last: " + ", ".join(f"{n} {what}" for what, n in history.folded)
        )
    print_kept(kept)
    if lines:
        print_line("")
        rows = [[to_iso(line.at), line.level, line.message, line.data] for line in lines]
        print_table(("at", "level", "message", "data"), rows)
