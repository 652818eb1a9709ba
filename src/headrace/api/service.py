"""The service as a whole: numbers, health, job types, queues and workers."""

from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Path

from headrace.api import shapes
from headrace.api.document import answers, message
from headrace.api.jobs import Engine
from headrace.api.problems import problem_of
from headrace.api.reply import Reply
from headrace.api.views import (
    SERVICE,
    health_to_json,
    queue_to_json,
    stats_to_json,
    type_to_json,
    worker_to_json,
)
from headrace.core.states import State
from headrace.core.wire import to_iso
from headrace.errors import StoreError

router = APIRouter()

PAUSED: Final = "Queue paused"
RESUMED: Final = "Queue resumed"
UNWELL: Final = "unavailable"

QueueName = Annotated[str, Path(description="The queue's name.", examples=["email"])]

_log = structlog.get_logger("headrace.api")


@router.get(
    "/stats",
    tags=["Service"],
    summary="Count jobs",
    responses=answers(
        shapes.StatsAnswer,
        {
            "success": True,
            "stats": {
                "total": 1000,
                State.PENDING.value: 50,
                State.PROCESSING.value: 10,
                State.COMPLETED.value: 920,
                State.FAILED.value: 20,
                "completionRate": "92.00%",
                "failureRate": "2.00%",
            },
        },
    ),
)
async def stats(engine: Engine) -> Reply:
    """How many jobs there are by status; rates are shares of the total."""
    return Reply({"success": True, "stats": stats_to_json(await engine.stats())})


@router.get(
    "/health",
    tags=["Service"],
    summary="Ask how the service is",
    responses=answers(
        shapes.HealthAnswer,
        {
            "status": "ok",
            "service": SERVICE,
            "timestamp": "2025-10-04T12:00:00Z",
            "store": "sqlite",
            "storeVersion": "3.54.1",
            "schema": 1,
            "tier": "survives power loss",
            "warnings": [],
        },
    )
    | {503: {"model": shapes.UnwellAnswer, "description": "The store cannot serve."}},
)
async def health(engine: Engine) -> Reply:
    """Read from the live store at every call. 503 when it cannot serve."""
    try:
        found = await engine.health()
    except StoreError as error:
        _log.warning("store_unwell", error=repr(error))
        problem = problem_of(error)
        body = {
            "status": UNWELL,
            "service": SERVICE,
            "timestamp": to_iso(engine.now()),
            "success": False,
            "error": problem.detail,
        }
        return Reply(body, status=503, headers=problem.headers)
    return Reply(health_to_json(found, engine.now()))


@router.get(
    "/job-types",
    tags=["Service"],
    summary="List job types",
    responses=answers(
        shapes.TypesAnswer,
        {
            "success": True,
            "count": 1,
            "jobTypes": [
                {
                    "name": "send-email",
                    "version": 1,
                    "queue": "email",
                    "priority": 0,
                    "runs": "async",
                    "maxAttempts": 3,
                    "timeout": 30.0,
                    "description": "Sends a mail.",
                    "schema": {"type": "object", "properties": {"to": {"type": "string"}}},
                }
            ],
        },
    ),
)
async def job_types(engine: Engine) -> Reply:
    """Every job type that is registered here or was published by a worker, with its payload's JSON Schema."""
    found = [type_to_json(info) for info in await engine.job_types()]
    return Reply({"success": True, "count": len(found), "jobTypes": found})


@router.get(
    "/queues",
    tags=["Queues"],
    summary="List queues",
    responses=answers(
        shapes.QueuesAnswer,
        {
            "success": True,
            "count": 1,
            "queues": [
                {
                    "name": "email",
                    "paused": False,
                    "counts": {state.value: 0 for state in State},
                    "oldestDueAt": None,
                    "parked": [],
                }
            ],
        },
    ),
)
async def queues(engine: Engine) -> Reply:
    """How deep each queue is, whether it is paused, and what holds its jobs back."""
    parked = await engine.parked()
    found = [queue_to_json(queue, parked) for queue in await engine.queues()]
    return Reply({"success": True, "count": len(found), "queues": found})


@router.post(
    "/queues/{name}/pause",
    tags=["Queues"],
    summary="Pause a queue",
    responses=answers(shapes.MessageAnswer, message(PAUSED), 422),
)
async def pause(name: QueueName, engine: Engine) -> Reply:
    """No job of the queue starts until it is resumed; running ones go on, and jobs are still accepted."""
    await engine.pause(name)
    return Reply({"success": True, "message": PAUSED})


@router.post(
    "/queues/{name}/resume",
    tags=["Queues"],
    summary="Resume a queue",
    responses=answers(shapes.MessageAnswer, message(RESUMED), 422),
)
async def resume(name: QueueName, engine: Engine) -> Reply:
    """Lets the queue's jobs start again."""
    await engine.resume(name)
    return Reply({"success": True, "message": RESUMED})


@router.get(
    "/workers",
    tags=["Service"],
    summary="List workers",
    responses=answers(
        shapes.WorkersAnswer,
        {
            "success": True,
            "count": 1,
            "workers": [
                {
                    "id": "host-4711-a1",
                    "host": "host",
                    "pid": 4711,
                    "queues": None,
                    "types": ["send-email"],
                    "running": 2,
                    "startedAt": "2025-10-04T12:00:00Z",
                    "seenAt": "2025-10-04T12:00:05Z",
                    "details": {},
                }
            ],
        },
    ),
)
async def workers(engine: Engine) -> Reply:
    """The workers that said hello and not goodbye, as of their last hello."""
    found = [worker_to_json(worker) for worker in await engine.workers()]
    return Reply({"success": True, "count": len(found), "workers": found})
