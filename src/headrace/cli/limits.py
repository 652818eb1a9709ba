"""``headrace limits``."""

import re
from typing import Annotated, Final

from cyclopts import Parameter

from headrace.cli.exits import Exit
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import print_json, print_line, print_table
from headrace.core.limit_register import Keep
from headrace.core.limits import Limit, Rate
from headrace.core.wire import Json, to_iso
from headrace.engine.limit_operations import LaneView, LimitDetails, LimitView
from headrace.errors import InvalidInput

COLUMNS: Final = ("limit", "slots", "rate", "burst", "setBy", "code", "parked")
LANES: Final = ("lane", "holders", "parked", "opens")
NONE: Final = "none"

_UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_RATE: Final = re.compile(r"([0-9]{1,7})/([0-9]{1,7}(?:\.[0-9]{1,3})?)?(ms|s|m|h|d)")
_SLOTS: Final = re.compile(r"[0-9]{1,7}")

Name = Annotated[
    str, Parameter(help="all, queue:NAME, type:NAME, or another name that `headrace limits list` shows.")
]


def list_limits(*, url: Url = None, as_json: AsJson = False) -> int:
    """List limits: those that programs declare and those that operators set."""

    async def run() -> None:
        async with existing(url) as app:
            found = await app.limits()
        if as_json:
            print_json({"count": len(found), "limits": [limit_to_json(one) for one in found]})
        else:
            print_table(COLUMNS, [_row(one) for one in found], empty="no limits", spare=("code", "burst"))

    wait_for(run)
    return Exit.DONE


def show(name: Name, /, *, url: Url = None, as_json: AsJson = False) -> int:
    """Show a limit and its busiest lanes: who holds them, who waits, when they open."""

    async def run() -> None:
        async with existing(url) as app:
            found = await (await app.operations()).limit(name)
        if as_json:
            print_json(details_to_json(found))
            return
        print_table(COLUMNS, [_row(found.view)], spare=("code", "burst"))
        print_table(LANES, [_lane_row(one) for one in found.lanes], empty="no lanes")
        if found.lanes_parked > len(found.lanes):
            print_line(f"{found.lanes_parked - len(found.lanes)} more lanes with jobs parked")

    wait_for(run)
    return Exit.DONE


def set_limit(  # noqa: PLR0913 - one parameter per option
    name: Name,
    /,
    *,
    slots: Annotated[
        str | None, Parameter(help="How many jobs run at once, 0 to let none start; or none to lift this.")
    ] = None,
    rate: Annotated[
        str | None,
        Parameter(
            help="How many start in which time, such as 10/s, 100/15m or 5/0.5s; or none to lift this."
        ),
    ] = None,
    burst: Annotated[int | None, Parameter(help="So many more may start at once after a rest.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Set a limit, or a part of it, for all workers. It wins over the code until it is reset."""
    if slots is None and rate is None and burst is None:
        raise InvalidInput("give --slots, --rate or both; none lifts that part", field="slots")
    if burst is not None and rate in (None, NONE):
        raise InvalidInput("--burst goes with --rate: give both", field="burst")
    wanted_slots, wanted_rate = _slots(slots), _rate(rate, burst or 0)

    async def run() -> None:
        async with existing(url) as app:
            engine = await app.operations()
            await engine.set_limit(name, slots=wanted_slots, rate=wanted_rate)
            found = await engine.limit(name)
        _print_one(found.view, as_json=as_json)

    wait_for(run)
    return Exit.DONE


def reset(name: Name, /, *, url: Url = None, as_json: AsJson = False) -> int:
    """Take back what was set: what the code declares counts again."""

    async def run() -> None:
        async with existing(url) as app:
            engine = await app.operations()
            left = await engine.reset_limit(name)
            found = None if left is None else await engine.limit(name)
        if found is not None:
            _print_one(found.view, as_json=as_json)
        elif as_json:
            print_json({"name": name, "limit": None})
        else:
            print_line(f"{name}\tno limit any more")

    wait_for(run)
    return Exit.DONE


def limit_to_json(view: LimitView) -> dict[str, Json]:
    """A limit as JSON; durations in milliseconds."""
    return {
        "name": view.limit.name,
        **_numbers(view.limit),
        "setBy": view.limit.origin.value,
        "code": None if view.declared is None else _numbers(view.declared),
        "parked": view.parked,
    }


def details_to_json(details: LimitDetails) -> dict[str, Json]:
    """A limit with its lanes as JSON."""
    lanes: list[Json] = [
        {"lane": one.key, "holders": one.holders, "parked": one.parked, "opensAt": to_iso(one.opens_at)}
        for one in details.lanes
    ]
    return {**limit_to_json(details.view), "lanes": lanes, "lanesParked": details.lanes_parked}


def _numbers(limit: Limit) -> dict[str, Json]:
    rate = limit.rate
    return {
        "slots": limit.slots,
        "rate": None if rate is None else {"count": rate.count, "perMs": rate.per_ms, "burst": rate.burst},
    }


def _print_one(view: LimitView, *, as_json: bool) -> None:
    if as_json:
        print_json(limit_to_json(view))
    else:
        print_table(COLUMNS, [_row(view)], spare=("code", "burst"))


def _row(view: LimitView) -> list[object]:
    limit = view.limit
    return [
        limit.name,
        limit.slots,
        _rate_text(limit.rate),
        None if limit.rate is None else limit.rate.burst,
        limit.origin.value,
        None if view.declared is None else _limit_text(view.declared),
        view.parked,
    ]


def _lane_row(lane: LaneView) -> list[object]:
    return [lane.key, lane.holders, lane.parked, to_iso(lane.opens_at)]


def _limit_text(limit: Limit) -> str:
    parts = ([] if limit.slots is None else [f"slots {limit.slots}"]) + (
        [] if limit.rate is None else [str(_rate_text(limit.rate))]
    )
    return ", ".join(parts) or NONE


def _rate_text(rate: Rate | None) -> str | None:
    """A rate as ``--rate`` takes it, in the largest unit that fits."""
    if rate is None:
        return None
    unit, size = next((name, ms) for name, ms in reversed(_UNITS.items()) if rate.per_ms % ms == 0)
    times = rate.per_ms // size
    return f"{rate.count}/{'' if times == 1 else times}{unit}"


def _slots(text: str | None) -> int | Keep | None:
    if text is None:
        return Keep.AS_IS
    if text == NONE:
        return None
    if _SLOTS.fullmatch(text) is None:
        raise InvalidInput(f"--slots {text[:40]!r} must be a number, or none", field="slots")
    return int(text)


def _rate(text: str | None, burst: int) -> Rate | Keep | None:
    if text is None:
        return Keep.AS_IS
    if text == NONE:
        return None
    found = _RATE.fullmatch(text)
    if found is None:
        msg = f"--rate {text[:40]!r} must be such as 10/s, 100/15m or 5/500ms (ms, s, m, h, d), or none"
        raise InvalidInput(msg, field="rate")
    per_ms = float(found[2] or 1) * _UNITS[found[3]]
    return Rate(count=int(found[1]), per_ms=round(per_ms), burst=burst)
