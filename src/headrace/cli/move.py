"""``headrace move``: takes all jobs of a namespace from one store to another."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from headrace.cli.exits import Exit, shown
from headrace.cli.opening import settings_for, wait_for, what_is_missing
from headrace.cli.options import AsJson
from headrace.cli.progress import telling
from headrace.cli.show import print_json, print_line, print_table
from headrace.errors import InvalidInput, NotFound
from headrace.stores.open import open_store

if TYPE_CHECKING:
    from headrace.moving.planning import Plan
    from headrace.moving.report import Report
    from headrace.moving.sides import Side

PATIENCE: Final = 300
"""With a pause of two seconds: an outage of ten minutes is sat out."""

From = Annotated[str, Parameter(name="--from", help="The store that holds the jobs.")]
To = Annotated[str, Parameter(name="--to", help="The store they go to; its tables are made if need be.")]


def move(  # noqa: PLR0913 - the command's options
    *,
    source: From,
    target: To,
    plan: Annotated[
        bool, Parameter(negative="", help="Say what would be moved and what stays, and change nothing.")
    ] = False,
    wait: Annotated[
        bool, Parameter(negative="", help="Pause the queues, then wait until no worker and no job runs.")
    ] = False,
    ended: Annotated[bool, Parameter(negative="", help="Move the jobs that have ended as well.")] = False,
    start_over: Annotated[
        bool,
        Parameter(negative="", help="Forget at the source that a move to another store was begun or done."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Move all jobs, schedules and settings of the namespace to another store, and compare both.

    The queues of the source are paused and stay so; nothing is deleted there. A move that was broken off
    goes on when it is run again. Exits with 1 if anything differs afterwards.
    """
    if source == target:
        raise InvalidInput("--from and --to are the same store")

    async def run() -> int:
        from headrace.moving.beginning import start_over as forget_move
        from headrace.moving.mover import Wishes
        from headrace.moving.mover import move as run_move
        from headrace.moving.movers import has_gone, mover_name
        from headrace.moving.planning import plan as planned
        from headrace.moving.sides import Surroundings

        missing = await what_is_missing(source)
        if missing is not None:
            raise NotFound(f"--from: {missing.why}")
        async with _opened(source) as here:
            if plan:
                found = await planned(here, ended=ended)
                print_json(found.to_json()) if as_json else _print_plan(found)
                return Exit.DONE
            async with _opened(target, make=True) as there:
                if start_over:
                    await forget_move(here)
                wishes = Wishes(wait=wait, ended=ended, patience=PATIENCE)
                with telling() as tell:
                    around = Surroundings(
                        say=lambda said: tell(said.text, said.done, said.total),
                        mover=mover_name(),
                        has_gone=has_gone,
                    )
                    report = await run_move(here, there, wishes, around)
        print_json(report.to_json()) if as_json else _print_report(report)
        return Exit.DONE if report.verified else Exit.REFUSED

    return wait_for(run)


@asynccontextmanager
async def _opened(url: str, *, make: bool = False) -> "AsyncGenerator[Side]":
    from headrace.moving.sides import side_of

    store = await open_store(url)
    try:
        if make:
            await store.migrate()
        yield await side_of(store, settings_for(url).namespace)
    finally:
        await store.close()


def _print_plan(plan: "Plan") -> None:
    print_line(f"From {shown(plan.source)}")
    print_table(
        ("queue", "type", "state", "count"), [(*key, count) for key, count in sorted(plan.counts.items())]
    )
    print_line(f"Dead letters to be moved: {plan.dead_letters}")
    _print_things(plan.settings)
    _print_list("Must end first", plan.runs)
    _print_list("Stays behind", plan.stays)


def _print_report(report: "Report") -> None:
    print_line(f"From {shown(report.source)} to {shown(report.target)}")
    if report.late:
        print_line(f"Moved before; {report.moved} jobs that were enqueued there since were moved now.")
    elif report.passes:
        _print_counts(report)
        _print_things(report.things)
        print_line(
            f"{report.moved} jobs moved in this run, {report.mended} brought up to date, {report.compared}"
            f" compared field by field in the last of {report.passes} passes."
        )
    if report.rescued:
        print_line(f"{report.rescued} jobs of workers that were lost were taken away from them first.")
    if report.out_of_order:
        print_line(f"{report.out_of_order} jobs stand behind younger ones of the same rank now.")
    _print_list("Still paused at the target, as they were", report.paused)
    _print_list("Stayed behind", report.stays)
    if report.arrived:
        print_line(f"{report.arrived} jobs have come to the source meanwhile: run the move again for them.")
    _print_list("Differences", report.differences[:20])
    if report.verified:
        print_line("Done. The queues of the source stay paused; nothing was deleted there.")
    else:
        print_line(f"NOT the same: {len(report.differences)} differences. Run it again, or look at these.")


def _print_counts(report: "Report") -> None:
    here, there = Counter[str](), Counter[str]()
    for (_, _, state), count in report.source_counts.items():
        here[state] += count
    for (_, _, state), count in report.target_counts.items():
        there[state] += count
    print_table(
        ("state", "source", "target"), [(one, here[one], there[one]) for one in sorted({*here, *there})]
    )


def _print_things(things: Mapping[str, int]) -> None:
    if told := [f"{count} {shown(name)}" for name, count in things.items() if count]:
        print_line(", ".join(told))


def _print_list(title: str, given: tuple[str, ...]) -> None:
    for one in given:
        print_line(f"{title}: {shown(one)}")
