"""``headrace job ID --log`` and ``--follow``."""

import sys
from typing import Final

from headrace.api.views import line_to_json
from headrace.cli.show import cell, print_json, print_json_line, print_line, print_table
from headrace.core.wire import Json
from headrace.engine.operations import Operations
from headrace.stores.protocol import LogLine

COLUMNS: Final = ("at", "level", "message", "data")
LATEST: Final = 100
"""So many lines that are there already are shown before those to come."""


async def show_log(engine: Operations, job_id: str, *, as_json: bool) -> None:
    """Prints what a job's handlers logged."""
    lines = [line_to_json(line) for line in await engine.log_lines(job_id)]
    if as_json:
        log: list[Json] = [*lines]
        print_json({"jobId": job_id, "count": len(lines), "log": log})
    else:
        print_table(COLUMNS, [[line[name] for name in COLUMNS] for line in lines], empty="no lines")


async def follow_log(engine: Operations, job_id: str, *, as_json: bool) -> None:
    """Prints the latest lines of a job, and those to come until it has ended."""
    async for line in engine.follow_log(job_id, latest=LATEST):
        _print_line(line, as_json=as_json)
        sys.stdout.flush()


def _print_line(line: LogLine, *, as_json: bool) -> None:
    told = line_to_json(line)
    if as_json:
        print_json_line(told)
    else:
        print_line("\t".join(cell(told[name]) for name in COLUMNS))
