"""The JSON shapes of the service, for its OpenAPI document only.

Answers are built by ``core.wire`` and ``views`` without these models, and ``tests/faces`` holds the
two together: every real answer must fit its model, which forbids keys it does not name.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from headrace.api.enqueue import ENQUEUED
from headrace.core.job import AttemptOutcome
from headrace.core.states import State
from headrace.core.unique import OnConflict, Until
from headrace.engine.operations import Runs
from headrace.stores.protocol import Tier

FourWords = Literal[State.PENDING, State.PROCESSING, State.COMPLETED, State.FAILED]
JobId = str


class Shape(BaseModel):
    """Base of all shapes: camelCase names, and no keys beyond those named."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", populate_by_name=True)


class JobBody(Shape):
    """A job to enqueue. What is left out, or null, comes from the job type."""

    type: str = Field(description="The name of a job type, see `GET /job-types`.", examples=["send-email"])
    payload: dict[str, Any] = Field(
        default={},
        description="What the handler gets; checked against the job type's schema.",
        examples=[{"to": "user@example.com", "subject": "Test", "body": "Hello!"}],
    )
    priority: int | Literal["critical", "high", "normal", "low", "background"] | None = Field(
        default=None,
        description="Higher runs first; a number between -2097152 and 2097152, or a tier's name "
        "(100, 50, 0, -50, -100).",
        examples=[5],
    )
    max_attempts: int | None = Field(
        default=None, ge=1, description="Attempts before the job fails.", examples=[3]
    )
    queue: str | None = Field(default=None, examples=["email"])
    scheduled_for: datetime | None = Field(
        default=None, description="Not before this instant, ISO 8601 with an offset; or give `delay`."
    )
    delay: float | None = Field(default=None, ge=0, description="Not before so many seconds from now.")
    timeout: float | None = Field(default=None, gt=0, description="Seconds an attempt may take.")
    unique_key: str | None = Field(default=None, description="At most one live job holds this key.")
    on_conflict: OnConflict | None = Field(
        default=None,
        description="When a live job holds `uniqueKey`: answer with that job, refuse (409), or replace it "
        "while it waits.",
    )
    until: Until | None = Field(default=None, description="How long the job holds its `uniqueKey`.")
    period: float | None = Field(
        default=None, gt=0, description="Hold `uniqueKey` for so many seconds, even if the job ends earlier."
    )
    idempotency_key: str | None = Field(
        default=None, description="As the Idempotency-Key header; for the jobs of a bulk."
    )
    batch_id: str | None = Field(default=None, description="A name shared by jobs that belong together.")
    tags: list[str] | None = Field(default=None, max_length=32)


class EnqueuedAnswer(Shape):
    """The job that now stands for the request."""

    success: Literal[True]
    job_id: JobId = Field(examples=["0199b0c4-8a00-7c3e-9f5b-0d6c5b7d2a11"])
    message: str = Field(examples=[ENQUEUED])
    deduplicated: bool = Field(default=False, description="True: an existing job answers the request.")
    replaced: bool = Field(default=False, description="True: a waiting job was replaced and keeps its id.")


class BulkEntry(Shape):
    """What became of one job of a bulk."""

    job_id: JobId
    deduplicated: bool = False
    replaced: bool = False


class BulkAnswer(Shape):
    """What became of each job, in the order given."""

    success: Literal[True]
    count: int
    inserted: int
    jobs: list[BulkEntry]


class JobView(Shape):
    """A job."""

    id: JobId
    type: str
    status: FourWords = Field(
        description="The four words: blocked jobs show as pending, cancelled ones as failed."
    )
    state: State = Field(description="All six words.")
    queue: str
    priority: int
    attempts: int = Field(description="Starts that ran a handler and were not given back or lost.")
    max_attempts: int
    payload: Any
    result: Any = None
    result_url: str | None = None
    error: str | None = Field(description="The last error in one line.")
    progress: dict[str, Any] | None = None
    unique_key: str | None
    batch_id: str | None
    tags: list[str]
    scheduled_for: datetime | None = Field(description="When it may start; null unless it waits.")
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None = Field(description="When it ended, however it ended.")
    parked_on: str | None = Field(description="What holds it back, if something does.")
    cancel_requested: bool


class JobAnswer(Shape):
    """One job."""

    success: Literal[True]
    job: JobView


class JobsAnswer(Shape):
    """A page of jobs, newest first."""

    success: Literal[True]
    count: int = Field(description="How many are on this page.")
    jobs: list[JobView]
    next_cursor: str | None = Field(description="`cursor` of the next page; null at the end.")


class MessageAnswer(Shape):
    """It was done."""

    success: Literal[True]
    message: str


class StatsView(Shape):
    """Numbers of jobs by the four words, and their shares of the total."""

    total: int
    pending: int
    processing: int
    completed: int
    failed: int
    completion_rate: str = Field(pattern=r"^\d+\.\d\d%$", examples=["92.00%"])
    failure_rate: str = Field(pattern=r"^\d+\.\d\d%$", examples=["2.00%"])


class StatsAnswer(Shape):
    """The numbers."""

    success: Literal[True]
    stats: StatsView


class HealthAnswer(Shape):
    """The service can serve."""

    status: Literal["ok"]
    service: Literal["queue"]
    timestamp: datetime
    store: str
    store_version: str
    schema_: int = Field(alias="schema", description="The number of the store's schema.")
    tier: Tier = Field(description="What an acknowledged write survives.")
    warnings: list[str]


class UnwellAnswer(Shape):
    """The store cannot serve."""

    status: Literal["unavailable"]
    service: Literal["queue"]
    timestamp: datetime
    success: Literal[False]
    error: str


class TypeView(Shape):
    """A job type. ``schema`` is the JSON Schema of its payload."""

    name: str
    version: int
    queue: str
    priority: int
    runs: Runs
    max_attempts: int
    timeout: float | None = Field(description="Seconds an attempt may take.")
    description: str
    schema_: dict[str, Any] = Field(alias="schema")


class TypesAnswer(Shape):
    """All job types, by name."""

    success: Literal[True]
    count: int
    job_types: list[TypeView]


class ParkedView(Shape):
    """How many jobs are held back, and by what."""

    lane: str
    count: int


class QueueView(Shape):
    """A queue."""

    name: str
    paused: bool
    counts: dict[State, int]
    oldest_due_at: datetime | None = Field(description="Since when its first due job has waited.")
    parked: list[ParkedView]


class QueuesAnswer(Shape):
    """All queues, by name."""

    success: Literal[True]
    count: int
    queues: list[QueueView]


class WorkerView(Shape):
    """A worker as it last said hello. ``queues`` null means all."""

    id: str
    host: str
    pid: int
    queues: list[str] | None
    types: list[str]
    running: int
    started_at: datetime
    seen_at: datetime
    details: dict[str, str]


class WorkersAnswer(Shape):
    """The workers that are there."""

    success: Literal[True]
    count: int
    workers: list[WorkerView]


class AttemptView(Shape):
    """One start of a job and how it ended; ``outcome`` is null while it runs."""

    fence: int
    generation: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    outcome: AttemptOutcome | None
    error: dict[str, Any] | None


class HistoryAnswer(Shape):
    """The first 10 and the last 40 attempts; those between are counted by outcome in ``folded``."""

    success: Literal[True]
    attempts: list[AttemptView]
    folded: dict[AttemptOutcome, int]


class LineView(Shape):
    """One line a handler logged."""

    at: datetime
    level: str
    message: str
    data: dict[str, Any] | None


class LogAnswer(Shape):
    """What the job's handlers logged, oldest first."""

    success: Literal[True]
    count: int
    lines: list[LineView]


class FieldProblem(Shape):
    """One field that is wrong."""

    detail: str
    pointer: str = Field(description="A JSON Pointer into the body.", examples=["#/payload/to"])


class ProblemBody(BaseModel):
    """Why a request was not done (RFC 9457). Programs look at ``status`` and ``code``."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str
    code: str = Field(examples=["illegal-move"])
    success: Literal[False]
    error: str = Field(description="The same as `detail`.")
    errors: list[FieldProblem] = []
