"""``headrace loops``."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.exits import Exit
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import print_json, print_table
from headrace.core.loop import LoopInfo
from headrace.core.wire import Json, to_iso
from headrace.errors import NotFound


def loops(
    *names: Annotated[str, Parameter(help="Only these loops; else all.")],
    stop: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Stop it; pings do nothing then. May be repeated."),
    ] = (),
    start: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Let it run again after a stop. May be repeated."),
    ] = (),
    ping: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Have it look for rows now. May be repeated."),
    ] = (),
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """List loops with their status, after stopping, starting and pinging those named."""

    async def run() -> Sequence[LoopInfo]:
        async with existing(url) as app:
            engine = await app.operations()
            for wanted, do in (
                (stop, engine.stop_loop),
                (start, engine.start_loop),
                (ping, engine.ping_loop),
            ):
                for name in wanted:
                    _known(name, await do(name))
            if names:
                return [_known(name, await engine.loop(name)) for name in names]
            return await engine.loops()

    found = wait_for(run)
    if as_json:
        print_json({"count": len(found), "loops": [loop_to_json(one) for one in found]})
    else:
        print_table(
            ("name", "status", "generation", "queue", "nextRunAt", "lastRunAt", "restarts", "lastError"),
            [_row(one) for one in found],
            empty="no loops",
            spare=("queue", "generation", "lastRunAt", "restarts"),
        )
    return Exit.DONE


def loop_to_json(one: LoopInfo) -> dict[str, Json]:
    """A loop as JSON; durations in seconds."""
    config, error = one.definition.config, one.last_error
    return {
        "name": one.name,
        "status": one.status.value,
        "inHand": one.in_hand,
        "generation": one.generation,
        "type": one.definition.type,
        "queue": one.definition.queue,
        "jobId": one.job_id,
        "nextRunAt": to_iso(one.next_run_at),
        "lastRunAt": to_iso(one.last_run_at),
        "restarts": one.restarts,
        "lastError": None
        if error is None
        else {"type": error.type, "message": error.message, "at": to_iso(error.at)},
        "debounce": config.debounce_ms / 1000,
        "monitorLag": config.monitor_lag_ms / 1000,
        "pollInterval": config.poll_ms / 1000,
        "cooldown": config.cooldown_ms / 1000,
    }


def _row(one: LoopInfo) -> Sequence[object]:
    error = one.last_error
    return (
        one.name,
        one.status.value,
        one.generation,
        one.definition.queue,
        to_iso(one.next_run_at),
        to_iso(one.last_run_at),
        one.restarts,
        None if error is None else f"{error.type}: {error.message}",
    )


def _known(name: str, found: LoopInfo | None) -> LoopInfo:
    if found is None:
        raise NotFound(f"no loop {name!r}: a loop is there once its program has pinged it")
    return found
