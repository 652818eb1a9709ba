"""What ``headrace job ID`` shows and does of steps and signals."""

from collections.abc import Mapping, Sequence
from typing import cast

from headrace.api.views import kept_to_json
from headrace.cli.show import print_line, print_table
from headrace.core import wire
from headrace.core.steps import Kept
from headrace.core.wire import Json
from headrace.engine.operations import Operations
from headrace.errors import InvalidInput

STEP_COLUMNS = ("number", "kind", "step", "at", "until", "endedAt", "value")
SIGNAL_COLUMNS = ("id", "name", "at", "payload")


async def act_on(
    engine: Operations, job_id: str, words: Sequence[str], *, from_step: str | None, key: str | None
) -> dict[str, Json]:
    """Does what the words after a job's id say, and tells what became of it."""
    if from_step is not None and words[0] != "replay":
        raise InvalidInput("--from belongs to `replay`")
    if key is not None and words[0] != "signal":
        raise InvalidInput("--key belongs to `signal`")
    match words:
        case ("signal", name):
            await engine.signal(job_id, name, key=key)
        case ("signal", name, payload):
            await engine.signal(job_id, name, wire.decode(payload, what="payload"), key=key)
        case ("replay",):
            new_id = await engine.replay(job_id, from_step=from_step)
            return {"jobId": new_id, "result": f"replay of {job_id}"}
        case _:
            raise InvalidInput("a job's id is followed by nothing, `signal NAME [PAYLOAD]` or `replay`")
    return {"jobId": job_id, "result": "signal sent"}


def print_kept(kept: Kept) -> None:
    """Prints the steps and signals of a job, if it has any."""
    shown = kept_to_json(kept)
    for name, columns in (("steps", STEP_COLUMNS), ("signals", SIGNAL_COLUMNS)):
        rows = cast("Sequence[Mapping[str, Json]]", shown[name])
        if rows:
            print_line("")
            print_table(columns, [[row[column] for column in columns] for row in rows])
