"""``headrace shares``."""

from typing import Annotated

from cyclopts import Parameter

from headrace.cli.assigned import number, split
from headrace.cli.exits import Exit
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import print_json, print_table
from headrace.core.fairness import FairQueue
from headrace.errors import NotFound


def shares(
    queue: Annotated[str, Parameter(help="A fair queue.")],
    /,
    *,
    weight: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            show_default=False,
            help="TENANT=NUMBER: what it gets beside others, who have 1. May be repeated.",
        ),
    ] = (),
    reset: Annotated[
        tuple[str, ...],
        Parameter(
            negative="", show_default=False, help="Go by the code again for this tenant. May be repeated."
        ),
    ] = (),
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Show the weights by which a fair queue is shared out, after changing some."""
    wanted = [(tenant, number(text, "weight")) for tenant, text in (split(one, "weight") for one in weight)]

    async def run() -> FairQueue | None:
        async with existing(url) as app:
            engine = await app.operations()
            for tenant, value in wanted:
                await engine.set_weight(queue, tenant, value)
            for tenant in reset:
                await engine.set_weight(queue, tenant, None)
            return await engine.shares(queue)

    found = wait_for(run)
    if found is None:
        raise NotFound(f"queue {queue!r} is not fair: declare it by app.queue(..., fair_by=...)")
    rows = [
        (tenant, value, "operator" if tenant in found.given else "code")
        for tenant, value in sorted(found.weights.items())
    ]
    if as_json:
        print_json(
            {
                "queue": queue,
                "weights": [
                    {"tenant": tenant, "weight": value, "origin": origin} for tenant, value, origin in rows
                ],
            }
        )
    else:
        print_table(("tenant", "weight", "origin"), rows, empty="all tenants have the weight 1")
    return Exit.DONE
