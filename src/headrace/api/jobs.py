"""Reading jobs, retrying and cancelling them."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from headrace.api import shapes
from headrace.api.document import JOB, answers, message
from headrace.api.reply import Reply
from headrace.api.views import history_to_json, line_to_json
from headrace.core.filters import DEFAULT_LIMIT, MAX_LIMIT, JobFilter, Page, states_of
from headrace.core.ids import is_id
from headrace.core.states import State
from headrace.core.wire import job_to_json
from headrace.engine.operations import CancelAnswer, Operations
from headrace.errors import JobNotFound

router = APIRouter(tags=["Jobs"])

CANCELLED: Final = "Job cancelled"
CANCEL_REQUESTED: Final = "Job cancellation requested"
RETRIED: Final = "Job retry queued"


async def operations_of(request: Request) -> Operations:
    """The operations that the service was made for."""
    operations: Operations = request.app.state.operations
    return operations


async def known_form(job_id: Annotated[str, Path(description="The job's id.")]) -> str:
    """A job id from a path. What has not the form of an id names no job."""
    if not is_id(job_id):
        raise JobNotFound(job_id[:80])
    return job_id


Engine = Annotated[Operations, Depends(operations_of)]
JobId = Annotated[str, Depends(known_form)]


class ListQuery(BaseModel):
    """Which jobs are asked for."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    status: list[str] = Field(
        default=[],
        description="One of the four words, or one of the six states. May be repeated.",
        examples=[[State.FAILED.value]],
    )
    type: list[str] = Field(default=[], description="The job type. May be repeated.")
    queue: list[str] = Field(default=[], description="The queue. May be repeated.")
    tag: str | None = None
    batch_id: str | None = None
    unique_key: str | None = None
    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="How many at most.")
    cursor: str | None = Field(default=None, description="`nextCursor` of the page before.")


@router.get(
    "/jobs",
    summary="List jobs",
    responses=answers(
        shapes.JobsAnswer, {"success": True, "count": 1, "jobs": [JOB], "nextCursor": None}, 422
    ),
)
async def list_jobs(query: Annotated[ListQuery, Query()], engine: Engine) -> Reply:
    """Newest first. All filters given must fit."""
    states: frozenset[State] = frozenset()
    wanted = JobFilter(
        states=states.union(*map(states_of, query.status)),
        types=frozenset(query.type),
        queues=frozenset(query.queue),
        batch_id=query.batch_id,
        tag=query.tag,
        unique_key=query.unique_key,
    )
    page = await engine.jobs(wanted, Page(limit=query.limit, before=query.cursor))
    jobs = [job_to_json(job) for job in page.jobs]
    return Reply({"success": True, "count": len(jobs), "jobs": jobs, "nextCursor": page.cursor})


@router.get(
    "/jobs/{job_id}",
    summary="Show a job",
    responses=answers(shapes.JobAnswer, {"success": True, "job": JOB}, 404),
)
async def show_job(job_id: JobId, engine: Engine) -> Reply:
    """One job with its progress, result or error."""
    return Reply({"success": True, "job": job_to_json(await engine.job(job_id))})


@router.post(
    "/jobs/{job_id}/retry",
    summary="Retry a job",
    responses=answers(shapes.MessageAnswer, message(RETRIED), 404, 409),
)
async def retry_job(job_id: JobId, engine: Engine) -> Reply:
    """Runs a failed or cancelled job again, with its attempts at zero. A live or completed one is refused."""
    await engine.retry(job_id)
    return Reply({"success": True, "message": RETRIED})


@router.delete(
    "/jobs/{job_id}",
    summary="Cancel a job",
    responses=answers(shapes.MessageAnswer, message(CANCELLED), 404, 409)
    | {
        202: {
            "model": shapes.MessageAnswer,
            "description": "The job runs and is asked to stop.",
            "content": {"application/json": {"example": message(CANCEL_REQUESTED)}},
        }
    },
)
async def cancel_job(job_id: JobId, engine: Engine) -> Reply:
    """Cancels a waiting job, which then never starts; asks a running one to stop; refuses an ended one."""
    match await engine.cancel(job_id):
        case CancelAnswer.ENDED:
            return Reply({"success": True, "message": CANCELLED})
        case CancelAnswer.REQUESTED:
            return Reply({"success": True, "message": CANCEL_REQUESTED}, status=202)


@router.get(
    "/jobs/{job_id}/history",
    summary="Show a job's attempts",
    responses=answers(
        shapes.HistoryAnswer,
        {
            "success": True,
            "attempts": [
                {
                    "fence": 1,
                    "generation": 1,
                    "worker": "host-4711-a1",
                    "startedAt": "2025-10-04T12:00:01Z",
                    "endedAt": "2025-10-04T12:00:05Z",
                    "outcome": "succeeded",
                    "error": None,
                }
            ],
            "folded": {},
        },
        404,
    ),
)
async def show_history(job_id: JobId, engine: Engine) -> Reply:
    """Every start with its worker, times, outcome and error."""
    return Reply({"success": True, **history_to_json(await engine.history(job_id))})


@router.get(
    "/jobs/{job_id}/log",
    summary="Show a job's log",
    responses=answers(
        shapes.LogAnswer,
        {
            "success": True,
            "count": 1,
            "lines": [
                {
                    "at": "2025-10-04T12:00:02Z",
                    "level": "info",
                    "message": "connected",
                    "data": {"host": "mx"},
                }
            ],
        },
        404,
    ),
)
async def show_log(job_id: JobId, engine: Engine) -> Reply:
    """What the job's handlers logged, oldest first."""
    lines = [line_to_json(line) for line in await engine.log_lines(job_id)]
    return Reply({"success": True, "count": len(lines), "lines": lines})
