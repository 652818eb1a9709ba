"""``headrace import-bullmq``: takes in the waiting jobs of a BullMQ queue."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from headrace.cli.exits import Exit, shown
from headrace.cli.opening import app_for, operator, settings_for, wait_for, what_is_missing
from headrace.cli.options import AppPath, AsJson
from headrace.cli.progress import telling
from headrace.cli.show import print_json, print_line, print_table
from headrace.core.ids import checked_name
from headrace.core.schedule import UTC_ZONE
from headrace.errors import InvalidInput

if TYPE_CHECKING:
    from headrace.importing.report import Report

_NAMED: Final = 20


def import_bullmq(  # noqa: PLR0913 - the command's options
    *,
    source: Annotated[str, Parameter(name="--from", help="BullMQ's server: redis://host:6379/0.")],
    queue: Annotated[str, Parameter(help="The queue there.")],
    prefix: Annotated[str, Parameter(help="What its keys begin with.")] = "bull",
    map: Annotated[  # noqa: A002 - the option's name
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="NAME=TYPE: jobs of that name are of that type here; *=TYPE: all others. May be repeated.",
        ),
    ] = (),
    target: Annotated[
        str | None, Parameter(name="--to", help="The store they go to; else as --url has it elsewhere.")
    ] = None,
    to_queue: Annotated[str | None, Parameter(help="The queue here; else that of each job type.")] = None,
    plan: Annotated[
        bool, Parameter(negative="", help="Say what would be imported and what not, and write nothing.")
    ] = False,
    leave_unfit: Annotated[
        bool, Parameter(negative="", help="Import without the jobs whose data does not fit, and name them.")
    ] = False,
    live: Annotated[
        bool, Parameter(negative="", help="Import although workers of BullMQ are at work on the queue.")
    ] = False,
    schedules: Annotated[bool, Parameter(negative="", help="Make schedules of its job schedulers.")] = False,
    zone: Annotated[str, Parameter(help="The time zone of schedulers that name none.")] = UTC_ZONE,
    app: AppPath = None,
    as_json: AsJson = False,
) -> int:
    """Take in the waiting jobs of a BullMQ queue: in their order, with priorities, delays and attempts.

    Its keys are only read. All jobs are looked at before the first is written, and a repeat takes in what is
    missing, nothing twice. Exits with 1 if not all of them are here afterwards.
    """
    types = _mapping(map)
    if to_queue is not None:
        checked_name(to_queue, "queue")

    async def run() -> "Report":
        from headrace.importing.bull import BullQueue
        from headrace.importing.importer import Importer, Target, Wishes
        from headrace.importing.reading import bull_reader
        from headrace.importing.translating import Translation

        there = BullQueue(name=queue, prefix=prefix)
        url = await _looked_at(target) if plan else target
        opened_app = app_for(app, url)
        wishes = Wishes(live=live, leave_unfit=leave_unfit, schedules=schedules, zone=zone)
        async with bull_reader(source, there) as reader, opened_app:
            opened = await opened_app.open()
            checks = frozenset(one.info.name for one in opened_app.registry.all())
            operations = await opened_app.operations(operator())
            with telling() as tell:
                importer = Importer(
                    reader,
                    Target(store=opened.store, operations=operations, checks=checks),
                    Translation(source=there, types=types, queue=to_queue),
                    wishes,
                    tell,
                )
                report = await (importer.plan() if plan else importer.run())
            if plan:
                return report
            await opened.operations.audit_log.write(
                actor=operator(),
                action="import.bullmq",
                entity_type="queue",
                entity_id=queue,
                metadata={"source": report.source, "taken": report.taken, "before": report.before},
            )
            return report

    report = wait_for(run)
    print_json(report.to_json()) if as_json else _print(report)
    return Exit.DONE if report.verified else Exit.REFUSED


async def _looked_at(url: str | None) -> str | None:
    """The URL for a plan, which writes nothing: a store that is not there has no jobs and types either."""
    return "sqlite://" if await what_is_missing(settings_for(url).url) else url


def _mapping(given: Sequence[str]) -> dict[str, str]:
    """Raises InvalidInput."""
    types: dict[str, str] = {}
    for one in given:
        name, equals, kind = one.rpartition("=")
        if not equals or not name:
            raise InvalidInput(f"--map {one!r} must be NAME=TYPE", field="map")
        if types.setdefault(name, checked_name(kind, "type")) != kind:
            raise InvalidInput(f"--map gives {name!r} two types", field="map")
    return types


def _print(report: "Report") -> None:
    print_line(f"From {shown(report.source)}, queue {shown(report.queue)}{', paused' * report.paused}")
    counts = sorted(report.found.counts.items())
    print_table(("waits in", "name", "type", "count"), [(*kind, count) for kind, count in counts])
    if report.prioritized:
        print_line("Some have priorities: each n becomes 1001 - n, and jobs without one become 1001.")
    for kind in report.unchecked:
        print_line(f"Not checked, as the code of {shown(kind)} is not here: add --app to check its payloads.")
    _print_jobs("Does not fit", report.found.unfit.first, report.found.unfit.count)
    _print_jobs("Not taken", report.held.first, report.held.count)
    _print_jobs("NOT as it should be", report.missing.first, report.missing.count)
    for reason, count in sorted((report.left + report.found.left).items()):
        print_line(f"Left there: {reason}: {count}")
    for one in report.schedules:
        print_line(f"Scheduler {shown(one.name)}, {shown(one.rule)}: {shown(one.said)}")
    for warning in report.warnings:
        print_line(f"Mind: {shown(warning)}")
    if report.planned:
        print_line(f"{report.total} jobs would be imported. Nothing was written.")
        return
    before = f", {report.before} before" if report.before else ""
    print_line(f"{report.taken} jobs imported{before}, of {report.total} that fit; all were read back.")
    if report.arrived:
        print_line(f"{report.arrived} jobs have come meanwhile: run it again for them.")
    if report.verified:
        print_line("Done. Nothing was changed there: start no worker of BullMQ on this queue again.")


def _print_jobs(title: str, first: dict[str, str], count: int) -> None:
    for job_id in list(first)[:_NAMED]:
        print_line(f"{title}: {shown(job_id)}: {shown(first[job_id])}")
    if count > _NAMED:
        print_line(f"{title}: {count} in all; --json names up to 1,000")
