"""``headrace events``."""

import re
import sys
from collections.abc import Mapping
from typing import Annotated, Final

from cyclopts import Parameter

from headrace.cli.exits import Exit
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import cell, print_facts, print_json, print_json_line, print_line, print_table
from headrace.core.events import NOW, OLDEST, EventFilter, checked_start, event_to_json, kinds_named
from headrace.core.filters import DEFAULT_LIMIT
from headrace.core.wire import Json
from headrace.engine.event_operations import USUAL_KEEP
from headrace.engine.operations import Operations
from headrace.errors import InvalidInput
from headrace.stores.protocol import EventKeep

COLUMNS: Final = ("at", "event", "jobId", "type", "queue", "attempt", "worker", "error", "progress")
SPARE: Final = ("worker", "queue", "attempt", "type")

_DURATION: Final = re.compile(r"([0-9]+)\s*([smhd])")
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def events(  # noqa: PLR0913 - one parameter per option
    *,
    kind: Annotated[
        tuple[str, ...],
        Parameter(
            negative="", show_default=False, help="Only this kind, such as completed. May be repeated."
        ),
    ] = (),
    job: Annotated[str | None, Parameter(help="Only of this job.")] = None,
    type: Annotated[str | None, Parameter(help="Only of this job type.")] = None,  # noqa: A002
    queue: Annotated[str | None, Parameter(help="Only of this queue.")] = None,
    after: Annotated[
        str | None,
        Parameter(
            help="Go on after this cursor (from --json); `oldest`; `now`. Else oldest, with --follow now."
        ),
    ] = None,
    follow: Annotated[
        bool, Parameter(negative="", show_default=False, help="Wait for more, until Ctrl-C.")
    ] = False,
    limit: Annotated[int, Parameter(help="How many, without --follow.")] = DEFAULT_LIMIT,
    keep: Annotated[
        str | None, Parameter(help="Switch the log on, and keep events for so long: 12h, 7d.")
    ] = None,
    count: Annotated[int | None, Parameter(help="With --keep: how many of the newest are kept.")] = None,
    off: Annotated[
        bool, Parameter(negative="", show_default=False, help="Switch the log off and drop what is in it.")
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Show what happened to jobs, oldest first; or switch the log of that on or off."""
    if sum((keep is not None or count is not None, off, follow)) > 1:
        raise InvalidInput("--keep, --off and --follow each stand alone")
    wanted = EventFilter(kinds=kinds_named(kind), job_id=job, type=type, queue=queue)
    start = checked_start(after or (NOW if follow else OLDEST))
    kept = _keep(keep, count)

    async def run() -> None:
        async with existing(url) as app:
            engine = await app.operations()
            if off:
                await engine.stop_events()
            elif kept is not None:
                await engine.keep_events(kept)
            elif follow:
                await _follow(engine, wanted, start, as_json=as_json)
                return
            else:
                await _list(engine, wanted, start, limit, as_json=as_json)
                return
            _print_kept(await engine.events_kept(), as_json=as_json)

    wait_for(run)
    return Exit.DONE


async def _list(engine: Operations, wanted: EventFilter, start: str, limit: int, *, as_json: bool) -> None:
    found: list[dict[str, Json]] = []
    cursor = start
    while len(found) < limit:
        page = await engine.events(wanted, after=cursor, limit=limit - len(found))
        found += [event_to_json(event) for event in page.events]
        cursor = page.cursor
        if page.at_end:
            break
    if as_json:
        print_json({"count": len(found), "events": [*found], "nextCursor": cursor})
    else:
        print_table(
            COLUMNS, [[event[name] for name in COLUMNS] for event in found], empty="none", spare=SPARE
        )


async def _follow(engine: Operations, wanted: EventFilter, start: str, *, as_json: bool) -> None:
    async for event in engine.follow_events(wanted, after=start):
        told = event_to_json(event)
        if as_json:
            print_json_line(told)
        else:
            print_line("\t".join(cell(told[name]) for name in COLUMNS))
        sys.stdout.flush()


def _keep(keep: str | None, count: int | None) -> EventKeep | None:
    if keep is None and count is None:
        return None
    return EventKeep(
        keep_ms=USUAL_KEEP.keep_ms if keep is None else _duration_ms(keep),
        keep_count=USUAL_KEEP.keep_count if count is None else count,
    )


def _duration_ms(text: str) -> int:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"--keep {text!r} must be a number with s, m, h or d, such as 7d", field="keep")
    return int(match[1]) * _UNITS_MS[match[2]]


def _print_kept(kept: EventKeep | None, *, as_json: bool) -> None:
    told: Mapping[str, Json] = {
        "on": kept is not None,
        "keepSeconds": None if kept is None else kept.keep_ms // 1_000,
        "count": None if kept is None else kept.keep_count,
    }
    if as_json:
        print_json(told)
    else:
        print_facts({name: value for name, value in told.items() if value is not None})
