"""``headrace breakers``."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.exits import Exit
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import print_json, print_table
from headrace.core.breaker import BreakerInfo
from headrace.core.wire import MAX_INSTANT_MS, Json, to_iso


def breakers(
    *names: Annotated[str, Parameter(help="Only these breakers; else all.")],
    open_: Annotated[
        tuple[str, ...],
        Parameter(
            name="--open", negative="", show_default=False, help="Start none of its jobs. May be repeated."
        ),
    ] = (),
    for_: Annotated[
        float | None,
        Parameter(
            name="--for", help="With --open: for so many seconds, then probes; else until it is closed."
        ),
    ] = None,
    close: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Let its jobs start again. May be repeated."),
    ] = (),
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """List circuit breakers with their status, after opening and closing those named."""

    async def run() -> Sequence[BreakerInfo]:
        async with existing(url) as app:
            engine = await app.operations()
            for name in open_:
                await engine.open_breaker(name, for_ms=None if for_ is None else round(for_ * 1000))
            for name in close:
                await engine.close_breaker(name)
            return [await engine.breaker(name) for name in names] if names else await engine.breakers()

    found = wait_for(run)
    if as_json:
        print_json({"count": len(found), "breakers": [breaker_to_json(one) for one in found]})
    else:
        print_table(
            ("name", "status", "waiting", "until", "failures", "openings", "lastError"),
            [_row(one) for one in found],
            empty="no breakers",
            spare=("openings", "failures"),
        )
    return Exit.DONE


def breaker_to_json(one: BreakerInfo) -> dict[str, Json]:
    """A breaker as JSON. ``until`` is null for one that stays open until somebody closes it."""
    state = one.state
    return {
        "name": state.name,
        "status": one.status.value,
        "waiting": one.waiting,
        "openedAt": to_iso(state.opened_at),
        "until": _until(one),
        "probes": state.probes,
        "failures": len(state.failed_at),
        "openings": state.openings,
        "lastError": state.error,
    }


def _row(one: BreakerInfo) -> Sequence[object]:
    state = one.state
    return (
        state.name,
        one.status.value,
        one.waiting,
        _until(one),
        len(state.failed_at),
        state.openings,
        state.error,
    )


def _until(one: BreakerInfo) -> str | None:
    until = one.state.until
    return None if until is None or until >= MAX_INSTANT_MS else to_iso(until)
