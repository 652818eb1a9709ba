"""``headrace flow``."""

from typing import Annotated

from cyclopts import Parameter

from headrace.cli.exits import Exit, shown
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import print_json, print_line
from headrace.core.flow import MAX_SHOWN
from headrace.core.flow_view import drawn, flow_to_json
from headrace.errors import InvalidInput


def flow(
    job_id: Annotated[str, Parameter(help="The id of any job of the flow.")],
    /,
    *,
    limit: Annotated[int, Parameter(help="How many jobs at most, 1 to 1,000.")] = MAX_SHOWN,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Draw a job with all jobs that wait for it, that it waits for, and so on."""
    if not 1 <= limit <= MAX_SHOWN:
        raise InvalidInput(f"--limit lies between 1 and {MAX_SHOWN}")

    async def run() -> None:
        async with existing(url) as app:
            view = await (await app.operations()).flow(job_id, limit=limit)
        if as_json:
            print_json(flow_to_json(view))
            return
        for line in drawn(view):
            print_line(shown(line))
        if not view.whole:
            print_line(f"… the flow has more jobs; {len(view.nodes)} are shown")

    wait_for(run)
    return Exit.DONE
