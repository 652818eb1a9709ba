"""One table from errors to HTTP answers: problem details (RFC 9457) that also carry the plain shape.

    {"type": "about:blank", "title": "Conflict", "status": 409, "detail": "cannot cancel job …",
     "code": "illegal-move", "success": false, "error": "cannot cancel job …"}

``code`` is what a program should look at; ``errors`` names the fields that are wrong. What the
service does not want to show (paths, drivers' messages, stack traces) is logged, never sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final

from headrace.api.reply import PROBLEM_JSON, RawHeaders
from headrace.core.wire import Json
from headrace.errors import (
    DuplicateJob,
    FieldError,
    FileNotFound,
    HeadraceError,
    IdempotencyMismatch,
    IllegalMove,
    InvalidInput,
    InvalidPayload,
    JobNotFound,
    LeaseLost,
    NotFound,
    OutcomeUnknown,
    QueueFull,
    Refused,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnusable,
    TooLarge,
    UnknownJobType,
    WaitTimeout,
)

RETRY_AFTER_SECONDS: Final = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is told to a caller whose request could not be done."""

    status: int
    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    more: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def body(self) -> dict[str, Json]:
        """The problem as a JSON object."""
        body: dict[str, Json] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "success": False,
            "error": self.detail,
        }
        if self.errors:
            body["errors"] = [{"detail": one.message, "pointer": one.pointer} for one in self.errors]
        return body | dict(self.more)

    def raw_headers(self) -> RawHeaders:
        """Its headers, the content type among them."""
        return [
            (b"content-type", PROBLEM_JSON.encode()),
            *((name.encode(), value.encode()) for name, value in self.headers.items()),
        ]


class Refusal(Exception):
    """The request is refused before the engine sees it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def refusal(
    status: int,
    code: str,
    detail: str,
    *,
    errors: tuple[FieldError, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Refusal:
    """A refusal in one line."""
    return Refusal(Problem(status=status, code=code, detail=detail, errors=errors, headers=headers or {}))


INTERNAL: Final = Problem(
    status=500, code="internal", detail="something went wrong here; the service's log says what"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    status: int
    code: str
    shown: str | None = None
    """What is said instead of the error's own message, which may name paths or drivers."""
    retry_after: bool = False


TABLE: Final[Mapping[type[HeadraceError], _Kind]] = {
    InvalidInput: _Kind(status=422, code="invalid-input"),
    InvalidPayload: _Kind(status=422, code="invalid-payload"),
    UnknownJobType: _Kind(status=422, code="unknown-job-type"),
    TooLarge: _Kind(status=413, code="too-large"),
    Refused: _Kind(status=409, code="refused"),
    DuplicateJob: _Kind(status=409, code="duplicate-job"),
    IdempotencyMismatch: _Kind(status=422, code="idempotency-mismatch"),
    IllegalMove: _Kind(status=409, code="illegal-move"),
    QueueFull: _Kind(status=429, code="queue-full", retry_after=True),
    NotFound: _Kind(status=404, code="not-found"),
    JobNotFound: _Kind(status=404, code="job-not-found"),
    FileNotFound: _Kind(status=404, code="file-not-found"),
    LeaseLost: _Kind(status=409, code="lease-lost"),
    WaitTimeout: _Kind(status=504, code="wait-timeout"),
    StoreError: _Kind(status=500, code="store-error", shown="the store could not do what was asked"),
    StoreUnavailable: _Kind(
        status=503,
        code="store-unavailable",
        shown="the store does not answer or is too busy; try again later",
        retry_after=True,
    ),
    OutcomeUnknown: _Kind(
        status=504,
        code="outcome-unknown",
        shown="the store's answer was lost, so this may or may not have been written; "
        "repeating with the same Idempotency-Key is safe",
        retry_after=True,
    ),
    StoreFull: _Kind(status=507, code="store-full", shown="the store has no space left"),
    StoreUnusable: _Kind(
        status=503, code="store-unusable", shown="the store cannot be used until its set-up is changed"
    ),
}


def problem_of(error: HeadraceError) -> Problem:
    """The problem that an error of the engine is, by the nearest class in the table."""
    return _problem(error, ())


def bulk_problem_of(error: InvalidInput | Refused) -> Problem:
    """As ``problem_of``, for an error in one of several jobs."""
    problem = _problem(error, () if error.index is None else (error.index,))
    return problem if error.index is None else replace(problem, detail=f"job {error.index}: {problem.detail}")


def _problem(error: HeadraceError, at: tuple[int, ...]) -> Problem:
    kind = next((TABLE[one] for one in type(error).__mro__ if one in TABLE), None)
    if kind is None:
        return INTERNAL
    return Problem(
        status=kind.status,
        code=kind.code,
        detail=kind.shown or str(error),
        errors=_fields(error, at),
        headers={"retry-after": RETRY_AFTER_SECONDS} if kind.retry_after else {},
        more=_more(error),
    )


def status_problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """A problem that the router found, such as an unknown path."""
    code = HTTPStatus(status).phrase.lower().replace(" ", "-")
    return Problem(status=status, code=code, detail=detail, headers=headers or {})


def pointer(*parts: str | int) -> str:
    """A JSON Pointer as a URI fragment."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _fields(error: HeadraceError, at: tuple[int, ...]) -> tuple[FieldError, ...]:
    match error:
        case InvalidPayload():
            return tuple(
                FieldError(pointer=pointer(*at, "payload") + one.pointer, message=one.message)
                for one in error.errors
            )
        case InvalidInput(field=str(name)):
            return (FieldError(pointer=pointer(*at, name), message=str(error)),)
        case DuplicateJob() if at:
            return (FieldError(pointer=pointer(*at, "uniqueKey"), message=str(error)),)
        case IdempotencyMismatch() if at:
            return (FieldError(pointer=pointer(*at, "idempotencyKey"), message=str(error)),)
        case InvalidInput() | Refused() if at:
            return (FieldError(pointer=pointer(*at), message=str(error)),)
        case _:
            return ()


def _more(error: HeadraceError) -> Mapping[str, Json]:
    match error:
        case DuplicateJob():
            return {"existingJobId": error.existing_id}
        case IllegalMove():
            return {"state": error.state}
        case _:
            return {}
