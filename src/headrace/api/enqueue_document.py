"""The OpenAPI description of the plain routes in ``enqueue``. Its functions are never called."""

from typing import Annotated

from fastapi import APIRouter, Body, Header

from headrace.api import shapes
from headrace.api.document import JOB_ID, answers
from headrace.api.enqueue import ENQUEUED, MESSAGES
from headrace.api.reply import JSON
from headrace.stores.protocol import InsertKind

router = APIRouter(tags=["Jobs"])

_JOB = {
    "type": "send-email",
    "payload": {"to": "user@example.com", "subject": "Test", "body": "Hello!"},
    "priority": 5,
    "maxAttempts": 3,
}
_BULK = {
    "success": True,
    "count": 2,
    "inserted": 1,
    "jobs": [{"jobId": JOB_ID}, {"jobId": JOB_ID, "deduplicated": True}],
}
_BULK_EXISTING = {
    "success": True,
    "count": 1,
    "inserted": 0,
    "jobs": [{"jobId": JOB_ID, "deduplicated": True}],
}
_EXISTING = {
    "success": True,
    "jobId": JOB_ID,
    "message": MESSAGES[InsertKind.EXISTING],
    "deduplicated": True,
}

IdempotencyKey = Annotated[
    str | None,
    Header(
        description="A name for this request, quoted or bare: sent again within 24 hours with the same body "
        "it gives the first answer's job, with another body 422.",
        examples=['"8e03978e-40d5-43e8-bc93-6894a57f9324"'],
    ),
]


@router.post(
    "/jobs",
    summary="Enqueue a job",
    status_code=201,
    responses=answers(
        shapes.EnqueuedAnswer,
        {"success": True, "jobId": JOB_ID, "message": ENQUEUED},
        *(400, 409, 413, 415, 422, 429),
        status=201,
    )
    | {
        200: {
            "model": shapes.EnqueuedAnswer,
            "description": "An existing job answers the request.",
            "content": {JSON: {"example": _EXISTING}},
        }
    },
)
async def enqueue_job(
    body: Annotated[shapes.JobBody, Body(examples=[_JOB])], idempotency_key: IdempotencyKey = None
) -> None:
    """The job is durable when this answers 201.

    200 means that an existing job answers the request: one that holds the `uniqueKey`, or the one
    that the Idempotency-Key made.
    """


@router.post(
    "/jobs/bulk",
    summary="Enqueue many jobs",
    status_code=201,
    responses=answers(shapes.BulkAnswer, _BULK, *(400, 409, 413, 415, 422, 429), status=201)
    | {
        200: {
            "model": shapes.BulkAnswer,
            "description": "Existing jobs answer the whole request.",
            "content": {JSON: {"example": _BULK_EXISTING}},
        }
    },
)
async def enqueue_jobs(
    body: Annotated[list[shapes.JobBody], Body(max_length=10_000, examples=[[_JOB, _JOB]])],
) -> None:
    """All jobs are enqueued or none, in the order given. Keys against repetition go into each job."""
