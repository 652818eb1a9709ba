"""Which fires of a schedule are to be made now, and which are given up (C33)."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from headrace.core.schedule import Timing

MAX_AT_ONCE: Final = 100
"""How many fires on time one firing makes; the next one goes on from there."""

COUNTED: Final = 2_000
"""Missed fires are counted up to so many, because a schedule may have missed millions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """The fires to make now, oldest first; how many were skipped, at least; and the instant after them."""

    fires: tuple[int, ...]
    skipped: int
    next_at: int | None


def firing(timing: Timing, *, anchor: int, next_at: int, now: int) -> Firing:
    """What a schedule whose next instant ``next_at`` has come does at ``now``.

    What is late by no more than the misfire window fires as if on time. Of what is later the policy keeps
    the latest; the rest is skipped.
    """
    on_time = max(next_at, now - timing.catch_up.window_ms)
    caught, skipped = _caught_up(timing, anchor, next_at, on_time)
    recent: list[int] = []
    following = timing.following(on_time - 1, anchor=anchor)
    while following is not None and following <= now and len(recent) < MAX_AT_ONCE:
        recent.append(following)
        following = timing.following(following, anchor=anchor)
    return Firing(fires=(*caught, *recent), skipped=skipped, next_at=following)


def _caught_up(timing: Timing, anchor: int, since: int, before: int) -> tuple[tuple[int, ...], int]:
    """The missed fires that are made up for, and how many are not."""
    if since >= before:
        return (), 0
    kept = timing.catch_up.kept
    latest: deque[int] = deque(maxlen=kept)
    count = 0
    for at in timing.instants(since - 1, anchor=anchor):
        if at >= before:
            break
        if count == COUNTED:
            return _latest(timing, anchor, before, kept), COUNTED
        latest.append(at)
        count += 1
    return tuple(latest), count - len(latest)


def _latest(timing: Timing, anchor: int, before: int, count: int) -> tuple[int, ...]:
    """The latest ``count`` instants before ``before``, of which there are more."""
    found: deque[int] = deque()
    while len(found) < count:
        before = last_before(timing, anchor, before)
        found.appendleft(before)
    return tuple(found)


def last_before(timing: Timing, anchor: int, before: int) -> int:
    """The last instant before ``before``. There must be one."""
    step = 1_000
    low = timing.following(before - step - 1, anchor=anchor)
    while low is None or low >= before:
        step *= 2
        low = timing.following(before - step - 1, anchor=anchor)
    high = before
    while high - low > 1:  # ``low`` is an instant, and from ``high`` on there is none before ``before``
        middle = (low + high) // 2
        found = timing.following(middle - 1, anchor=anchor)
        if found is not None and found < before:
            low = found
        else:
            high = middle
    return low
