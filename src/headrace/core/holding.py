"""What a job holds of its lanes while it runs, and what it gives back when it stops."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from headrace.core.job import Transition
from headrace.core.states import State
from headrace.core.wishes import OnRetry, Wishes

NO_SLOTS: Final[tuple[str, ...]] = ()
RATED: Final = "rated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freed:
    """The lanes of which a slot comes free, and the ordering key under which the next one may start."""

    slots: tuple[str, ...]
    order: str | None


def slot_key(lanes: Iterable[str], *, rated: bool) -> str | None:
    """The column that says of which lanes a job holds slots, and whether one of its lanes has a rate.

    None for a job that holds none, and has no such lane.
    """
    held = sorted(lanes)
    said = json.dumps(held, ensure_ascii=False, separators=(",", ":")) if held else ""
    return RATED + said if rated else said or None


def must_start_at_once(key: str | None) -> bool:
    """Whether a job with this column must start within LATE_MS of its claim or be given back (C42)."""
    return key is not None and key.startswith(RATED)


def slots_of(key: str | None) -> tuple[str, ...]:
    """The lanes that such a column names."""
    held = "" if key is None else key.removeprefix(RATED)
    return tuple(json.loads(held)) if held else NO_SLOTS


def freed_by(transition: Transition) -> Freed | None:
    """What a transition gives back once it is written; None if nothing.

    A slot is held while the job runs. An ordering key is held from the first start until the job has ended;
    one that lets others pass on a retry gives it back whenever it stops. A job that ends without ever having
    started may have kept others of its key waiting too.
    """
    before, after = transition.job.placement, transition.placement
    wished = transition.job.facts.lane
    if before.terminal or (before.slot_key is None and wished is None):
        return None
    slots = slots_of(before.slot_key) if after.slot_key is None else NO_SLOTS
    order = _order_freed(transition, Wishes.loads(wished))
    return None if order is None and not slots else Freed(slots=slots, order=order)


def _order_freed(transition: Transition, wishes: Wishes) -> str | None:
    if transition.placement.terminal:
        return wishes.order
    stops = transition.job.state is State.PROCESSING and transition.placement.state is not State.PROCESSING
    return wishes.order if stops and wishes.on_retry is OnRetry.PASS else None
