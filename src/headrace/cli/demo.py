"""``headrace demo``: a composition root. It may import everything."""

from typing import Annotated

from cyclopts import Parameter

from headrace.cli.exits import Exit
from headrace.cli.opening import run_long


def demo(
    *,
    serve: Annotated[
        bool, Parameter(negative="", show_default=False, help="Leave the HTTP service running afterwards.")
    ] = False,
) -> int:
    """Run jobs through every part of the system, kill a worker on the way, and add up what arrived."""
    from headrace.demo import run

    return run_long(lambda: run(serve=serve)) or Exit.DONE
