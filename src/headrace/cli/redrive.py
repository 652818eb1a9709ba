"""``headrace dead redrive`` and ``discard``: what becomes of dead letters, of one or of many."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Final

from cyclopts import Parameter

from headrace.cli.dead import print_letters
from headrace.cli.dead_choice import Choice, one_way
from headrace.cli.enqueue import read_payload
from headrace.cli.exits import Exit, exit_of, one_line
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import on_terminal, print_json, print_line
from headrace.core import wire
from headrace.core.dead import Bulk, DeadFilter, dead_to_json, is_dead_letter
from headrace.core.filters import MAX_LIMIT, Page
from headrace.core.request import priority_named
from headrace.core.wire import Json
from headrace.engine.operations import Operations
from headrace.errors import HeadraceError, InvalidInput

SAMPLE: Final = 10
"""So many of the dead letters that would be changed are shown by --dry-run."""

JobIds = Annotated[str, Parameter(help="Ids, as `headrace dead list` shows them.")]
All = Annotated[
    bool, Parameter(name="--all", negative="", show_default=False, help="All dead letters of the namespace.")
]
DryRun = Annotated[
    bool, Parameter(name="--dry-run", negative="", show_default=False, help="Only say which it would be.")
]
Yes = Annotated[
    bool, Parameter(name="--yes", negative="", show_default=False, help="Do not ask whether to go on.")
]

One = Callable[[Operations, str], Awaitable[dict[str, Json]]]
Stretch = Callable[[Operations, DeadFilter, str | None], Awaitable[Bulk]]


def redrive(  # noqa: PLR0913 - one parameter per option
    *job_ids: JobIds,
    choice: Choice | None = None,
    every: All = False,
    per_second: Annotated[
        float | None, Parameter(help="Let so many of them become due in each second, one after the other.")
    ] = None,
    payload: Annotated[
        str | None, Parameter(help="With one id: run a new job with this JSON object, @FILE or - instead.")
    ] = None,
    priority: Annotated[str | None, Parameter(help="With ids: a number, or a tier such as high.")] = None,
    delay: Annotated[float, Parameter(help="With ids: seconds to wait.")] = 0.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Run dead letters again, with their attempts at zero and their steps kept."""
    chosen = one_way(choice, job_ids, every=every)
    if payload is not None and len(job_ids) != 1:
        raise InvalidInput("--payload belongs to exactly one id", field="payload")
    if not job_ids and (priority is not None or delay):
        raise InvalidInput("--priority and --delay belong to ids; many become due by --per-second")
    number = None if priority is None else _number(priority)
    edited = None if payload is None else wire.decode(read_payload(payload), what="payload")

    async def one(engine: Operations, job_id: str) -> dict[str, Json]:
        again = await engine.redrive(job_id, payload=edited, priority=number, delay_ms=round(delay * 1000))
        return {"jobId": job_id, "result": "queued again", "runsAs": again.id}

    async def stretch(engine: Operations, wanted: DeadFilter, cursor: str | None) -> Bulk:
        return await engine.redrive_many(wanted, per_second=per_second, cursor=cursor)

    if job_ids:
        return _each(job_ids, _only_told if dry_run else one, url, as_json=as_json)
    if dry_run:
        return _tell(chosen, "queued again", url, as_json=as_json)
    return _bulk(chosen, stretch, "queued again", url, yes=yes, as_json=as_json)


def discard(  # noqa: PLR0913 - one parameter per option
    *job_ids: JobIds,
    choice: Choice | None = None,
    every: All = False,
    reason: Annotated[str, Parameter(help="Why, in one line; `headrace dead show` tells it.")] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Give dead letters up: they are erased after a week, or as their job type says."""
    chosen = one_way(choice, job_ids, every=every)

    async def one(engine: Operations, job_id: str) -> dict[str, Json]:
        await engine.discard(job_id, reason=reason)
        return {"jobId": job_id, "result": "discarded"}

    async def stretch(engine: Operations, wanted: DeadFilter, cursor: str | None) -> Bulk:
        return await engine.discard_many(wanted, reason=reason, cursor=cursor)

    if job_ids:
        return _each(job_ids, _only_told if dry_run else one, url, as_json=as_json)
    if dry_run:
        return _tell(chosen, "discarded", url, as_json=as_json)
    return _bulk(chosen, stretch, "discarded", url, yes=yes, as_json=as_json)


async def _only_told(engine: Operations, job_id: str) -> dict[str, Json]:
    job = await engine.job(job_id)
    return {"jobId": job_id, "result": "a dead letter" if is_dead_letter(job) else "no dead letter"}


def _each(job_ids: Sequence[str], act: One, url: str | None, *, as_json: bool) -> int:
    """Does something to each; what cannot be done is told, and the first reason is the exit code."""
    results: list[dict[str, Json]] = []
    codes: list[Exit] = []

    async def run() -> None:
        async with existing(url) as app:
            engine = await app.operations()
            for job_id in job_ids:
                try:
                    results.append(await act(engine, job_id))
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
            print_line("\t".join(str(value) for value in result.values()))
    return codes[0] if codes else Exit.DONE


def _tell(chosen: Choice, what: str, url: str | None, *, as_json: bool) -> int:
    """Says how many dead letters are chosen, and shows the first of them."""

    async def run() -> None:
        async with existing(url) as app:
            engine = await app.operations()
            count, sample = await _counted(engine, chosen.at(engine.now()))
        if as_json:
            print_json({"count": count, "sample": [*sample]})
            return
        print_letters(sample)
        print_line(f"{count} would be {what}")

    wait_for(run)
    return Exit.DONE


def _bulk(  # noqa: PLR0913 - what is done to which, and how
    chosen: Choice, stretch: Stretch, what: str, url: str | None, *, yes: bool, as_json: bool
) -> int:
    """Does something to all that are chosen, a stretch at a time, and says how far it is."""
    done = 0
    refused: dict[str, str] = {}

    async def run() -> None:
        nonlocal done
        async with existing(url) as app:
            engine = await app.operations()
            wanted = chosen.at(engine.now())
            if not yes:
                _confirm((await _counted(engine, wanted))[0], what)
            cursor = None
            while True:
                part = await stretch(engine, wanted, cursor)
                done += part.done
                refused.update(part.refused)
                cursor = part.cursor
                if cursor is None:
                    return
                if sys.stderr.isatty():
                    sys.stderr.write(f"headrace: {done} {what} so far\n")

    wait_for(run)
    if as_json:
        print_json({"done": done, "refused": refused})
        return Exit.REFUSED if refused else Exit.DONE
    for job_id, reason in refused.items():
        sys.stderr.write(f"headrace: job {job_id}: {reason}\n")
    print_line(f"{done} {what}")
    return Exit.REFUSED if refused else Exit.DONE


async def _counted(engine: Operations, wanted: DeadFilter) -> tuple[int, Sequence[Mapping[str, Json]]]:
    """How many dead letters fit, and the first of them."""
    count = 0
    sample: list[Mapping[str, Json]] = []
    cursor = None
    while True:
        page = await engine.dead_letters(wanted, Page(limit=MAX_LIMIT, before=cursor))
        count += len(page.jobs)
        sample += [dead_to_json(job) for job in page.jobs[: SAMPLE - len(sample)]]
        cursor = page.cursor
        if cursor is None:
            return count, sample


def _confirm(count: int, what: str) -> None:
    """Asks on a terminal whether to go on. Raises InvalidInput for a no, and where nobody can be asked."""
    if count == 0:
        return
    if not (on_terminal() and sys.stdin.isatty()):
        raise InvalidInput(f"{count} dead letters would be {what}: say --yes, or look with --dry-run")
    sys.stderr.write(f"headrace: {count} dead letters will be {what}. Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise InvalidInput("nothing was done")


def _number(priority: str) -> int:
    try:
        return int(priority)
    except ValueError:
        return priority_named(priority)
