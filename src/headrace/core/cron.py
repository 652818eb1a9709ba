"""Cron expressions, and what a change of the clocks makes of them (C34).

cronsim says which times on a wall clock match an expression; which instants these are is decided here:

- A time that the clock skips fires once, at the first instant after the gap.
- A time that the clock shows twice fires the first time only.
- Where the hour field begins with ``*`` the schedule follows elapsed time: every half hour stays every half
  hour, so what the clock skips does not fire and what it shows twice fires twice.

Times of a wall clock are seconds since the epoch as if the clock stood in UTC; instants are seconds too,
up to the public functions, which speak milliseconds.
"""

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from headrace.errors import InvalidInput

MAX_CHARS: Final = 256
ALIASES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_HOUR: Final = 2
_SEARCH_FROM: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""From here cronsim looks 50 years ahead: more than one turn of the calendar's 28 years."""


@lru_cache(maxsize=1024)
def checked_expression(text: str) -> str:
    """The expression if it has instants to come. Raises InvalidInput, in bounded time (C35).

    Five fields (minute hour day month weekday), six with seconds first, or an alias such as ``@daily``.
    """
    if len(text) > MAX_CHARS:
        msg = f"a cron expression has at most {MAX_CHARS} characters"
        raise InvalidInput(msg, field="cron")
    if next(_matches(_parsed(text), int(_SEARCH_FROM.timestamp())), None) is None:
        msg = f"the cron expression {text!r} never fires: no date fits it"
        raise InvalidInput(msg, field="cron")
    return text


@lru_cache(maxsize=1024)
def checked_zone(name: str) -> str:
    """The name if it is that of a time zone, such as ``Europe/Berlin``. Raises InvalidInput."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # a folder of zones and a bad path are OSErrors
        msg = f"{name[:80]!r} is no time zone that is known here; use a name such as Europe/Berlin or UTC"
        raise InvalidInput(msg, field="zone") from error
    return name


def following(expression: str, zone: str, after: int) -> int | None:
    """The first instant after ``after``, both in epoch milliseconds; None if there is none before 9999."""
    parsed = _parsed(expression)
    search = _elapsed if parsed.parts[_HOUR].startswith("*") else _fixed
    try:
        found = search(parsed, ZoneInfo(zone), after // 1000)
    except (OverflowError, ValueError):
        return None
    return None if found is None else found * 1000


@lru_cache(maxsize=1024)
def _parsed(expression: str) -> CronSim:
    fields = ALIASES.get(expression.strip().lower(), expression)
    try:
        return CronSim(fields, _SEARCH_FROM)
    except (CronSimError, ValueError) as error:
        msg = (
            f"{expression!r} is no cron expression ({error}): five fields, minute hour day month weekday, "
            "six with seconds first, or an alias such as @daily"
        )
        raise InvalidInput(msg, field="cron") from error


def _matches(parsed: CronSim, wall: int) -> Iterator[int]:
    """The times of a wall clock after ``wall`` that match, in order."""
    moving = copy.copy(parsed)  # parsing again would cost more than the search
    moving.dt = datetime.fromtimestamp(wall, UTC)
    for found in moving:
        yield int(found.timestamp())


def _fixed(parsed: CronSim, zone: ZoneInfo, after: int) -> int | None:
    """The next instant of a schedule at given hours."""
    for wall in _matches(parsed, _wall_beyond_repeats(zone, after)):
        instant = _first_instant(zone, wall)
        if instant > after:
            return instant
    return None


def _elapsed(parsed: CronSim, zone: ZoneInfo, after: int) -> int | None:
    """The next instant of a schedule that follows elapsed time."""
    found = _shown_next(parsed, zone, after + _offset(zone, after), after)
    earlier, later = _offsets_of(zone, after + _offset(zone, after))
    if earlier <= later or _offset(zone, after) == later:
        return found
    # The clock shows this time for the first of two times, so earlier times are still to come again.
    change = _change(zone, after, after + earlier - later)
    if found is not None and found < change:
        return found
    return _shown_next(parsed, zone, change - 1 + later, change - 1)


def _shown_next(parsed: CronSim, zone: ZoneInfo, wall: int, after: int) -> int | None:
    """The first instant after ``after`` at which the clock shows a match that comes after ``wall``."""
    for match in _matches(parsed, wall):
        earlier, later = _offsets_of(zone, match)
        if earlier < later:
            continue  # the clock never shows it
        for instant in (match - earlier, match - later):
            if instant > after:
                return instant
    return None


def _wall_beyond_repeats(zone: ZoneInfo, after: int) -> int:
    """What the clock shows at ``after``; while it repeats itself, the last second that it repeats."""
    wall = after + _offset(zone, after)
    earlier, later = _offsets_of(zone, wall)
    if earlier <= later or _offset(zone, after) == earlier:
        return wall
    return _change(zone, after - (earlier - later), after) + earlier - 1


def _first_instant(zone: ZoneInfo, wall: int) -> int:
    """When the clock first shows ``wall``, or the first instant after the gap that skips it."""
    earlier, later = _offsets_of(zone, wall)
    if earlier < later:
        return _change(zone, wall - later, wall - earlier)
    return wall - earlier


def _offset(zone: ZoneInfo, instant: int) -> int:
    """By how many seconds the clock is ahead of UTC at an instant."""
    return _seconds(datetime.fromtimestamp(instant, zone))


def _offsets_of(zone: ZoneInfo, wall: int) -> tuple[int, int]:
    """The offsets before and after the change that ``wall`` falls into; the same where there is none."""
    shown = datetime.fromtimestamp(wall, UTC).replace(tzinfo=zone)
    return _seconds(shown), _seconds(shown.replace(fold=1))


def _seconds(moment: datetime) -> int:
    offset = moment.utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _change(zone: ZoneInfo, low: int, high: int) -> int:
    """The first instant after ``low``, and not after ``high``, that has another offset than ``low``."""
    before = _offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high
