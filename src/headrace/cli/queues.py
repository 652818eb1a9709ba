"""``headrace queues``."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from cyclopts import Parameter

from headrace.api.views import queue_to_json
from headrace.cli.assigned import split, whole
from headrace.cli.exits import Exit
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import print_json, print_table
from headrace.core.queue_rules import Overflow
from headrace.core.states import State
from headrace.core.wire import Json
from headrace.engine.queue_operations import BoundView
from headrace.stores.protocol import QueueState


def queues(  # noqa: PLR0913 - one argument per option
    *,
    pause: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Start none of its jobs. May be repeated."),
    ] = (),
    resume: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Start its jobs again. May be repeated."),
    ] = (),
    max_length: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="QUEUE=NUMBER, or QUEUE=none: how many jobs may wait in it. May be repeated.",
        ),
    ] = (),
    overflow: Annotated[
        Overflow,
        Parameter(help="With --max-length: what happens to a job for which there is no room."),
    ] = Overflow.REJECT,
    reset: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="Go by the code again for the length of this queue. May be repeated.",
        ),
    ] = (),
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """List queues with their depth, after pausing, resuming and bounding those named."""
    bounds = [_bound(text) for text in max_length]

    async def run() -> None:
        async with existing(url) as app:
            engine = await app.operations()
            for name in pause:
                await engine.pause(name)
            for name in resume:
                await engine.resume(name)
            for name, most in bounds:
                await engine.set_queue_bound(name, most, overflow=overflow)
            for name in reset:
                await engine.reset_queue_bound(name)
            known = {one.queue: one for one in await engine.queue_bounds()}
            parked = await engine.parked()
            found = _with_bounded(await engine.queues(), known)
        if as_json:
            told = [queue_to_json(one, parked) | bound_to_json(known.get(one.name)) for one in found]
            print_json({"count": len(found), "queues": told})
            return
        rows = [
            [
                queue.name,
                queue.paused,
                *(queue.counts.get(state, 0) for state in State),
                sum(one.count for one in parked if one.queue == queue.name),
                *bound_to_json(known.get(queue.name)).values(),
            ]
            for queue in found
        ]
        print_table(
            ("queue", "paused", *State, "parked", "maxLength", "overflow", "dropped"),
            rows,
            empty="no queues",
            spare=(State.BLOCKED, State.CANCELLED, "overflow", "dropped"),
        )

    wait_for(run)
    return Exit.DONE


def bound_to_json(view: BoundView | None) -> dict[str, Json]:
    """How many jobs may wait in a queue, what happens beyond, and how many were dropped so far."""
    bound = None if view is None else view.bound
    return {
        "maxLength": None if bound is None else bound.max_length,
        "overflow": None if bound is None else bound.overflow.value,
        "dropped": None if view is None else view.dropped,
    }


def _with_bounded(found: Sequence[QueueState], known: Mapping[str, BoundView]) -> Sequence[QueueState]:
    """The queues, and those that are bounded and have had no jobs yet."""
    names = {one.name for one in found}
    empty = [
        QueueState(name=name, paused=False, counts={}, oldest_due_at=None)
        for name in known
        if name not in names
    ]
    return sorted((*found, *empty), key=lambda one: one.name)


def _bound(text: str) -> tuple[str, int | None]:
    queue, most = split(text, "max-length")
    return queue, None if most == "none" else whole(most, "max-length")
