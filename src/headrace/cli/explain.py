"""``headrace explain``."""

from typing import Annotated

from cyclopts import Parameter

from headrace.cli.exits import Exit, shown
from headrace.cli.opening import existing, wait_for
from headrace.cli.options import AsJson, Url
from headrace.cli.show import print_json, print_line
from headrace.core.findings import Explanation, explanation_to_json


def explain(
    job_id: Annotated[str, Parameter(help="The id, as `headrace jobs` and `headrace enqueue` print it.")],
    /,
    *,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Say why a job has not run, or not yet: what keeps it most, first, and what to do about it."""

    async def run() -> None:
        async with existing(url) as app:
            found = await (await app.operations()).explain(job_id)
        if as_json:
            print_json(explanation_to_json(found))
        else:
            _print(found)

    wait_for(run)
    return Exit.DONE


def _print(found: Explanation) -> None:
    for one in found.findings:
        print_line(shown(one.sentence))
        if one.advice is not None:
            print_line(f"  → {shown(one.advice)}")
