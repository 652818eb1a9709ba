"""``headrace schedules``."""

from typing import Annotated, Final

from cyclopts import Parameter

from headrace.api.fields import enqueue_request
from headrace.api.schedule_views import rule_text, schedule_to_json
from headrace.cli.enqueue import read_payload
from headrace.cli.exits import Exit
from headrace.cli.opening import app_for, existing, operator, wait_for
from headrace.cli.options import AppPath, AsJson, Url
from headrace.cli.show import print_json, print_line, print_table
from headrace.core import wire
from headrace.core.schedule import UTC_ZONE, in_zone
from headrace.core.scheduled import Schedule
from headrace.core.wire import Json, from_iso, to_iso
from headrace.engine.declared import timing_of

COLUMNS: Final = ("id", "type", "schedule", "zone", "next", "nextUtc", "paused", "fired", "skipped", "error")
SPARE: Final = ("error", "skipped", "fired", "zone", "type", "nextUtc")

ScheduleId = Annotated[str, Parameter(help="The id, as `headrace schedules list` shows it.")]


def list_schedules(*, url: Url = None, as_json: AsJson = False) -> int:
    """List schedules with their next fires, in their zone and in UTC."""

    async def run() -> None:
        async with existing(url) as app:
            found = await app.schedules()
        if as_json:
            print_json({"count": len(found), "schedules": [schedule_to_json(one) for one in found]})
        else:
            print_table(COLUMNS, [_row(one) for one in found], empty="no schedules", spare=SPARE)

    wait_for(run)
    return Exit.DONE


def show(schedule_id: ScheduleId, /, *, url: Url = None, as_json: AsJson = False) -> int:
    """Show the next five fires of a schedule, in its zone and in UTC."""

    async def run() -> None:
        async with existing(url) as app:
            found = await (await app.operations()).schedule(schedule_id)
        if as_json:
            print_json(schedule_to_json(found))
            return
        zone = found.timing.zone
        rows = [[in_zone(at, zone), to_iso(at)] for at in found.next_fires(5)]
        print_table((zone, "utc"), rows, empty="no fires to come")

    wait_for(run)
    return Exit.DONE


def add(  # noqa: PLR0913 - one parameter per option
    schedule_id: Annotated[str, Parameter(help="A name for it; one that is there is changed.")],
    type: Annotated[  # noqa: A002 - the word of the glossary
        str, Parameter(help="A job type: a built-in one, one of --app, or one that a worker has published.")
    ],
    /,
    *,
    cron: Annotated[
        str | None,
        Parameter(
            help='Such as "0 2 * * *": minute hour day month weekday; six fields: seconds first; or @daily.'
        ),
    ] = None,
    zone: Annotated[str, Parameter(help="The time zone of --cron, such as Europe/Berlin.")] = UTC_ZONE,
    every: Annotated[float | None, Parameter(help="Every so many seconds.")] = None,
    at: Annotated[str | None, Parameter(help="Once, at this instant, such as 2026-01-31T09:30:00Z.")] = None,
    start: Annotated[str | None, Parameter(help="Not before this instant.")] = None,
    end: Annotated[str | None, Parameter(help="Not after this instant.")] = None,
    jitter: Annotated[float, Parameter(help="Delay each job by up to so many seconds.")] = 0.0,
    missed: Annotated[
        str, Parameter(help="What becomes of missed fires: skip, one (the latest), all, or all(20).")
    ] = "one",
    misfire_window: Annotated[
        float, Parameter(help="How many seconds late a fire may be before it counts as missed.")
    ] = 60.0,
    payload: Annotated[
        str, Parameter(help="A JSON object, @FILE to read one, or - for stdin.", allow_leading_hyphen=True)
    ] = "{}",
    queue: Annotated[str | None, Parameter(help="Another queue than the job type's.")] = None,
    app: AppPath = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Make a schedule, or change one, and show when it fires next."""
    timing = timing_of(
        cron=cron,
        zone=zone,
        every=every,
        at=_instant(at, "at"),
        start=_instant(start, "start"),
        end=_instant(end, "end"),
        jitter=jitter,
        missed=missed,
        misfire_window=misfire_window,
    )
    body: dict[str, Json] = {
        "type": type,
        "payload": wire.decode(read_payload(payload), what="payload"),
        "queue": queue,
    }
    request = enqueue_request(body)

    async def run() -> None:
        async with app_for(app, url) as opened:
            engine = await opened.operations(operator())
            made = await engine.put_schedule(schedule_id, timing, request)
        _print_one(made, as_json=as_json)

    wait_for(run)
    return Exit.DONE


def pause(schedule_id: ScheduleId, /, *, url: Url = None, as_json: AsJson = False) -> int:
    """Let nothing fire until it is resumed."""

    async def run() -> None:
        async with existing(url) as app:
            after = await (await app.operations()).pause_schedule(schedule_id)
        _print_one(after, as_json=as_json)

    wait_for(run)
    return Exit.DONE


def resume(schedule_id: ScheduleId, /, *, url: Url = None, as_json: AsJson = False) -> int:
    """Let it fire again, from its next instant on."""

    async def run() -> None:
        async with existing(url) as app:
            after = await (await app.operations()).resume_schedule(schedule_id)
        _print_one(after, as_json=as_json)

    wait_for(run)
    return Exit.DONE


def trigger(schedule_id: ScheduleId, /, *, url: Url = None, as_json: AsJson = False) -> int:
    """Make its job now and print the job's id; the next fire stays."""

    async def run() -> None:
        async with existing(url) as app:
            answer = await (await app.operations()).trigger_schedule(schedule_id)
        if as_json:
            print_json({"jobId": answer.job_id, "kind": answer.kind.value})
        else:
            print_line(answer.job_id)

    wait_for(run)
    return Exit.DONE


def remove(schedule_id: ScheduleId, /, *, url: Url = None) -> int:
    """Remove a schedule. A program that declares it puts it again at its next start."""

    async def run() -> None:
        async with existing(url) as app:
            await (await app.operations()).remove_schedule(schedule_id)
        print_line(f"{schedule_id}\tremoved")

    wait_for(run)
    return Exit.DONE


def _print_one(schedule: Schedule, *, as_json: bool) -> None:
    if as_json:
        print_json(schedule_to_json(schedule))
    else:
        print_table(COLUMNS, [_row(schedule)], spare=SPARE)


def _row(schedule: Schedule) -> list[object]:
    due, zone = schedule.due_at, schedule.timing.zone
    return [
        schedule.id,
        schedule.request.type,
        rule_text(schedule.timing),
        zone,
        None if due is None else in_zone(due, zone),
        to_iso(due),
        schedule.paused_at is not None,
        schedule.fired,
        schedule.skipped,
        schedule.error,
    ]


def _instant(text: str | None, what: str) -> int | None:
    return None if text is None else from_iso(text, what=what)
