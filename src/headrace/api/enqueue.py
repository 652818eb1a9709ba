"""``POST /jobs`` and ``POST /jobs/bulk``: plain ASGI, because one of them is the hot path."""

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.types import Receive, Scope, Send

from headrace.api.body import idempotency_key, read_json
from headrace.api.fields import enqueue_request
from headrace.api.guard import MAX_BODY_BYTES
from headrace.api.problems import Refusal, bulk_problem_of, refusal
from headrace.api.reply import dumps, send_json
from headrace.core.request import MAX_BULK, EnqueueRequest
from headrace.core.wire import MAX_PAYLOAD_BYTES, Json
from headrace.engine.operations import Operations
from headrace.errors import InvalidInput, Refused, TooLarge
from headrace.stores.protocol import Inserted, InsertKind

MAX_JOB_BYTES: Final = 4 * MAX_PAYLOAD_BYTES
"""The longest body of one job: a payload may be four times as long in a client's spelling as it is kept."""

ENQUEUED: Final = "Job enqueued successfully"


class EnqueueOne:
    """Enqueues the job in the body: 201 with its id, or 200 with the id of the job that answers it."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request = enqueue_request(await read_json(receive, MAX_JOB_BYTES), idempotency_key(scope))
        (answer,) = await self._operations.enqueue((request,))
        body: dict[str, Json] = {"success": True, "jobId": answer.job_id, "message": MESSAGES[answer.kind]}
        body |= _how(answer)
        status = 201 if answer.kind is InsertKind.INSERTED else 200
        location = (b"location", b"/jobs/" + answer.job_id.encode())
        await send_json(send, status, dumps(body), [location])


class EnqueueMany:
    """Enqueues all jobs in the body's array or none, in order."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if idempotency_key(scope) is not None:
            message = "a bulk takes no Idempotency-Key header; give each job an idempotencyKey"
            raise refusal(422, "invalid-input", message)
        requests = _requests(await read_json(receive, MAX_BODY_BYTES))
        try:
            answers = await self._operations.enqueue(requests)
        except (InvalidInput, Refused) as error:
            raise Refusal(bulk_problem_of(error)) from error
        made = any(answer.kind is InsertKind.INSERTED for answer in answers)
        await send_json(send, 201 if made else 200, dumps(_bulk_body(answers)))


MESSAGES: Final[Mapping[InsertKind, str]] = {
    InsertKind.INSERTED: ENQUEUED,
    InsertKind.EXISTING: "An existing job answers this request",
    InsertKind.REPLACED: "The waiting job was replaced",
}


def _how(answer: Inserted) -> dict[str, Json]:
    match answer.kind:
        case InsertKind.INSERTED:
            return {}
        case InsertKind.EXISTING:
            return {"deduplicated": True}
        case InsertKind.REPLACED:
            return {"replaced": True}


def _bulk_body(answers: Sequence[Inserted]) -> dict[str, Json]:
    jobs: list[Json] = [{"jobId": answer.job_id} | _how(answer) for answer in answers]
    inserted = sum(answer.kind is InsertKind.INSERTED for answer in answers)
    return {"success": True, "count": len(jobs), "inserted": inserted, "jobs": jobs}


def _requests(body: Json) -> list[EnqueueRequest]:
    if not isinstance(body, Sequence) or isinstance(body, str):
        raise refusal(422, "invalid-input", "the body must be an array of jobs")
    if len(body) > MAX_BULK:
        raise TooLarge(f"{len(body)} jobs in one call, the limit is {MAX_BULK}")
    return [_request(index, one) for index, one in enumerate(body)]


def _request(index: int, body: Json) -> EnqueueRequest:
    try:
        return enqueue_request(body)
    except InvalidInput as error:
        error.index = index
        raise Refusal(bulk_problem_of(error)) from error
