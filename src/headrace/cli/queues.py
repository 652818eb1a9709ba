"""``headrace queues``."""

from typing import Annotated

from cyclopts import Parameter

from headrace.api.views import queue_to_json
from headrace.cli.exits import Exit
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import print_json, print_table
from headrace.core.states import State


def queues(
    *,
    pause: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Start none of its jobs. May be repeated."),
    ] = (),
    resume: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Start its jobs again. May be repeated."),
    ] = (),
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """List queues with their depth, after pausing and resuming those named."""

    async def run() -> None:
        async with existing(url) as app:
            engine = await app.operations()
            for name in pause:
                await engine.pause(name)
            for name in resume:
                await engine.resume(name)
            parked = await engine.parked()
            found = await engine.queues()
        if as_json:
            print_json({"count": len(found), "queues": [queue_to_json(queue, parked) for queue in found]})
            return
        rows = [
            [
                queue.name,
                queue.paused,
                *(queue.counts.get(state, 0) for state in State),
                sum(one.count for one in parked if one.queue == queue.name),
            ]
            for queue in found
        ]
        print_table(
            ("queue", "paused", *State, "parked"),
            rows,
            empty="no queues",
            spare=(State.BLOCKED, State.CANCELLED),
        )

    wait_for(run)
    return Exit.DONE
