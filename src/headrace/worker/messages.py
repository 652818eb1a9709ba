"""What a worker and its child process say to each other: one JSON object a line.

The child keeps its pipe ends to itself, so that a handler that prints does no harm.

    worker → child   open (app, path, files), run (job, saved), cancel, answer (to what has a number)
    child → worker   ready (types) or broken (why); then started, progress, log, checkpoint, enqueue,
                     parents, kept, keep (step), ended (outcome)
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import fields as dataclass_fields
from typing import Any, Final, cast

from headrace.core.backoff import Backoff
from headrace.core.flow import OnParentFailure, Parent
from headrace.core.job import Facts, Isolation, Job, Placement
from headrace.core.outcomes import ErrorInfo, Failed, Outcome, Snoozed, Stopped, Succeeded, Suspended
from headrace.core.policy import ErrorClass
from headrace.core.request import EnqueueRequest
from headrace.core.states import State
from headrace.core.steps import Kept, Signal, Step, StepKind
from headrace.core.unique import OnConflict, Unique, Until
from headrace.core.wishes import Wishes
from headrace.errors import (
    DuplicateJob,
    FieldError,
    HeadraceError,
    IdempotencyMismatch,
    InvalidInput,
    InvalidPayload,
    LeaseLost,
    QueueFull,
    Refused,
)
from headrace.settings import Settings

Message = Mapping[str, Any]
_PLACEMENT: Final = (
    "priority",
    "rank",
    "timeout_ms",
    "generation",
    "starts",
    "failures",
    "crashes",
    "worker",
)


def dump(message: Message) -> bytes:
    """A message as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def load(line: bytes) -> Message:
    """A line as a message."""
    return cast("Message", json.loads(line))


def files_out(files_at: Settings | None) -> dict[str, Any] | None:
    """Where the stored files are; of the settings nothing else is told."""
    if files_at is None:
        return None
    return {"url": files_at.url, "namespace": files_at.namespace, "files": files_at.files}


def job_out(job: Job) -> dict[str, Any]:
    """What a child needs of a job."""
    return {
        "facts": asdict(job.facts),
        "placement": {name: getattr(job.placement, name) for name in _PLACEMENT},
        "fence": job.fence,
        "checkpoint": job.checkpoint,
    }


def job_in(raw: Message) -> Job:
    """The job as the child sees it."""
    facts = dict(raw["facts"])
    facts["tags"] = tuple(facts["tags"])
    placement = Placement(state=State.PROCESSING, isolation=Isolation.CHILD, **raw["placement"])
    return Job(
        facts=Facts(**facts), placement=placement, seq=0, fence=raw["fence"], checkpoint=raw["checkpoint"]
    )


def outcome_out(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON."""
    match outcome:
        case Failed(error=error, backoff=backoff):
            fields = asdict(error)
            return {
                "is": "Failed",
                "error": fields,
                "backoff": None if backoff is None else backoff.to_json(),
            }
        case _:
            return {"is": type(outcome).__name__, **asdict(outcome)}


def outcome_in(raw: Message) -> Outcome:
    """The outcome that a child reports."""
    fields = dict(raw)
    match fields.pop("is"):
        case "Succeeded":
            return Succeeded(**fields)
        case "Snoozed":
            return Snoozed(**fields)
        case "Suspended":
            return Suspended(**fields)
        case "Stopped":
            return Stopped(**fields)
        case _:
            error = dict(fields["error"])
            error["error_class"] = ErrorClass(error["error_class"])
            backoff = fields["backoff"]
            return Failed(
                error=ErrorInfo(**error), backoff=None if backoff is None else Backoff.from_json(backoff)
            )


def request_out(request: EnqueueRequest) -> dict[str, Any]:
    """A child's enqueue as JSON."""
    fields: dict[str, Any] = {
        one.name: getattr(request, one.name) for one in dataclass_fields(EnqueueRequest)
    }
    fields["unique"] = None if request.unique is None else asdict(request.unique)
    fields["backoff"] = None if request.backoff is None else request.backoff.to_json()
    if request.wishes is not None:
        fields["wishes"] = request.wishes.dumps() or "{}"
    return fields


def request_in(raw: Message) -> EnqueueRequest:
    """The enqueue that a child asks for."""
    fields = dict(raw)
    fields["tags"] = tuple(fields["tags"])
    fields["after"] = tuple(fields["after"])
    if fields["on_parent_failure"] is not None:
        fields["on_parent_failure"] = OnParentFailure(fields["on_parent_failure"])
    if fields["backoff"] is not None:
        fields["backoff"] = Backoff.from_json(fields["backoff"])
    if fields["wishes"] is not None:
        fields["wishes"] = Wishes.loads(fields["wishes"])
    if fields["unique"] is not None:
        unique = dict(fields["unique"])
        unique["until"] = Until(unique["until"])
        unique["on_conflict"] = OnConflict(unique["on_conflict"])
        fields["unique"] = Unique(**unique)
    return EnqueueRequest(**fields)


def step_out(step: Step) -> dict[str, Any]:
    """A step as JSON."""
    return asdict(step)


def step_in(raw: Message) -> Step:
    """The step that a child keeps, or finds."""
    fields: dict[str, Any] = {**raw, "kind": StepKind(raw["kind"])}
    return Step(**fields)


Answer = Kept | tuple[str, ...] | tuple[Parent, ...] | None
"""What a child asked for: what its job has kept, the ids of jobs, parents; nothing where it only waited."""


def answer_out(answer: Answer) -> dict[str, Any] | None:
    """The answer as JSON."""
    match answer:
        case None:
            return None
        case Kept():
            return {"kept": asdict(answer)}
        case (Parent(), *_):
            return {"parents": [asdict(one) for one in answer]}
        case _:
            return {"ids": list(answer)}


def answer_in(raw: Message | None) -> Answer:
    """The answer as the child sees it."""
    if raw is None:
        return None
    if "ids" in raw:
        return tuple(raw["ids"])
    if "parents" in raw:
        return tuple(_parent_in(one) for one in raw["parents"])
    kept = raw["kept"]
    return Kept(
        now=kept["now"],
        steps=tuple(step_in(one) for one in kept["steps"]),
        signals=tuple(Signal(**one) for one in kept["signals"]),
    )


def _parent_in(raw: Message) -> Parent:
    state = raw["state"]
    fields: dict[str, Any] = {**raw, "state": None if state is None else State(state)}
    return Parent(**fields)


def error_out(error: BaseException) -> dict[str, Any]:
    """Why the worker could not do what its child asked for."""
    fields: dict[str, Any] = {"is": type(error).__name__, "message": str(error)}
    match error:
        case LeaseLost(job_id=job_id, fence=fence):
            fields |= {"job_id": job_id, "fence": fence}
        case InvalidPayload(job_type=job_type, errors=errors):
            fields |= {"job_type": job_type, "errors": [asdict(one) for one in errors]}
        case DuplicateJob(unique_key=key, existing_id=job_id):
            fields |= {"key": key, "job_id": job_id}
        case IdempotencyMismatch(key=key, job_id=job_id):
            fields |= {"key": key, "job_id": job_id}
        case QueueFull(queue=queue, max_length=most, waiting=waiting, coming=coming):
            fields |= {"queue": queue, "max_length": most, "waiting": waiting, "coming": coming}
        case _:
            pass
    if isinstance(error, InvalidInput | Refused):
        fields["index"] = error.index
    return fields


def error_in(raw: Message) -> HeadraceError:
    """The same error in the child, as closely as it can be made."""
    error = _error_in(raw)
    if isinstance(error, InvalidInput | Refused):
        error.index = raw.get("index")
    return error


def _error_in(raw: Message) -> HeadraceError:
    match raw["is"]:
        case "LeaseLost":
            return LeaseLost(raw["job_id"], raw["fence"])
        case "InvalidPayload":
            return InvalidPayload(raw["job_type"], tuple(FieldError(**one) for one in raw["errors"]))
        case "DuplicateJob":
            return DuplicateJob(raw["key"], raw["job_id"])
        case "IdempotencyMismatch":
            return IdempotencyMismatch(raw["key"], raw["job_id"])
        case "QueueFull":
            return QueueFull(raw["queue"], raw["max_length"], waiting=raw["waiting"], coming=raw["coming"])
        case name:
            return _named(name, raw["message"])


def _named(name: str, message: str) -> HeadraceError:
    from headrace import errors  # noqa: PLC0415 - looked up by name

    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, HeadraceError):
        try:
            return kind(message)
        except TypeError:
            pass
    return HeadraceError(f"{name}: {message}")
