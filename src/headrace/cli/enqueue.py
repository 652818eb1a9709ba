"""``headrace enqueue``."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from headrace.api.fields import enqueue_request
from headrace.cli.exits import Exit
from headrace.cli.opening import app_for, wait_for
from headrace.cli.options import AppPath, AsJson, Url
from headrace.cli.show import print_json, print_line
from headrace.core import wire
from headrace.core.unique import OnConflict, Until
from headrace.core.wire import Json
from headrace.errors import InvalidInput, TooLarge
from headrace.stores.protocol import InsertKind

MAX_INPUT_BYTES = 10 * 1024 * 1024


def enqueue(  # noqa: PLR0913 - one parameter per option
    type: Annotated[  # noqa: A002 - the word of the glossary
        str, Parameter(help="A job type: a built-in one, one of --app, or one that a worker has published.")
    ],
    /,
    *,
    payload: Annotated[
        str, Parameter(help="A JSON object, @FILE to read one, or - for stdin.", allow_leading_hyphen=True)
    ] = "{}",
    queue: Annotated[str | None, Parameter(help="Another queue than the job type's.")] = None,
    priority: Annotated[
        str | None,
        Parameter(help="A number (higher runs first), or critical, high, normal, low, background."),
    ] = None,
    delay: Annotated[float | None, Parameter(help="Start so many seconds from now.")] = None,
    scheduled_for: Annotated[
        str | None, Parameter(help="Start at this instant, such as 2026-01-31T09:30:00Z.")
    ] = None,
    max_attempts: Annotated[
        int | None, Parameter(help="How often it may fail or time out; else as the job type says.")
    ] = None,
    timeout: Annotated[float | None, Parameter(help="Seconds an attempt may take.")] = None,
    unique_key: Annotated[str | None, Parameter(help="At most one live job holds this key.")] = None,
    on_conflict: Annotated[
        OnConflict | None,
        Parameter(help="When a live job holds the unique key; existing unless said otherwise."),
    ] = None,
    until: Annotated[
        Until | None, Parameter(help="How long the job holds its unique key; finished unless said otherwise.")
    ] = None,
    period: Annotated[
        float | None, Parameter(help="Hold the unique key for so many seconds, even if the job ends earlier.")
    ] = None,
    idempotency_key: Annotated[
        str | None, Parameter(help="Repeating with the same key gives the first answer's job.")
    ] = None,
    batch_id: Annotated[str | None, Parameter(help="Marks jobs that belong together.")] = None,
    tag: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="A word to find it by. May be repeated."),
    ] = (),
    app: AppPath = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Enqueue a job and print its id."""
    body: dict[str, Json] = {
        "type": type,
        "payload": wire.decode(read_payload(payload), what="payload"),
        "queue": queue,
        "priority": _number_or_name(priority),
        "delay": delay,
        "scheduledFor": scheduled_for,
        "maxAttempts": max_attempts,
        "timeout": timeout,
        "uniqueKey": unique_key,
        "onConflict": on_conflict,
        "until": until,
        "period": period,
        "idempotencyKey": idempotency_key,
        "batchId": batch_id,
        "tags": list(tag),
    }
    request = enqueue_request(body)

    async def run() -> None:
        async with app_for(app, url) as opened:
            (answer,) = await (await opened.operations()).enqueue((request,))
        if as_json:
            print_json({"jobId": answer.job_id, "kind": answer.kind.value})
        else:
            print_line(answer.job_id)
        if answer.kind is not InsertKind.INSERTED and not as_json:
            sys.stderr.write(f"{_NOTES[answer.kind]}\n")

    wait_for(run)
    return Exit.DONE


def read_payload(given: str) -> str:
    """The JSON text that ``--payload`` gives or points to. Raises TooLarge, InvalidInput."""
    if given == "-":
        text = sys.stdin.read(MAX_INPUT_BYTES + 1)
    elif given.startswith("@"):
        text = _read_file(Path(given[1:]))
    else:
        return given
    if len(text) > MAX_INPUT_BYTES:
        raise TooLarge(
            "the payload is too large; store large data with `headrace files put`", field="payload"
        )
    return text


def _read_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"payload file {str(path)!r}: {error.strerror}", field="payload") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"payload file {str(path)!r} is not UTF-8", field="payload") from error


_NOTES = {
    InsertKind.EXISTING: "an existing job answers this request",
    InsertKind.REPLACED: "the waiting job was replaced",
}


def _number_or_name(priority: str | None) -> int | str | None:
    if priority is None:
        return None
    try:
        return int(priority)
    except ValueError:
        return priority
