"""The service as an ASGI application."""

from collections.abc import Collection
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Route

from headrace.api import enqueue_document, jobs, service
from headrace.api.document import finished
from headrace.api.enqueue import EnqueueMany, EnqueueOne
from headrace.api.guard import LOOPBACK_HOSTS, Guard
from headrace.api.problems import Problem, pointer, status_problem
from headrace.api.reply import PROBLEM_JSON, Reply
from headrace.engine.operations import Operations
from headrace.errors import FieldError

DESCRIPTION: Final = """
Background jobs: enqueue, watch, retry and cancel them.

Times are ISO 8601 in UTC, durations are seconds. Priority: higher runs first. `status` uses four
words (pending, processing, completed, failed); `state` uses all six. Whatever cannot be done is
answered with problem details (RFC 9457) that also carry `success: false` and `error`.
"""


_ROUTES: Final = (*enqueue_document.router.routes, *jobs.router.routes, *service.router.routes)
_NOT_OFFERED: Final = 405
_NOT_THERE: Final = 404


def create_app(operations: Operations, *, allowed_hosts: Collection[str] | None = LOOPBACK_HOSTS) -> FastAPI:
    """The HTTP service over ``operations``, whose store the caller opens and closes.

    ``allowed_hosts`` are the names it answers to, without ports; None accepts any.
    """
    app = FastAPI(
        title="Headrace",
        version=version("headrace"),
        description=DESCRIPTION.strip(),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.operations = operations
    app.add_middleware(Guard, allowed_hosts=allowed_hosts)
    app.add_exception_handler(HTTPException, _status)
    app.add_exception_handler(RequestValidationError, _invalid_query)
    app.router.routes.insert(0, Route("/jobs", EnqueueOne(operations), methods=["POST"]))
    app.router.routes.insert(1, Route("/jobs/bulk", EnqueueMany(operations), methods=["POST"]))
    app.include_router(jobs.router)
    app.include_router(service.router)
    _document(app)
    return app


async def _status(request: Request, error: Exception) -> Reply:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    if error.status_code == _NOT_OFFERED:
        offered = ", ".join(sorted(_methods(request.scope["path"])))
        detail = f"{request.method} is not offered here, but {offered}"
        return _reply(status_problem(_NOT_OFFERED, detail, {"allow": offered}))
    if error.status_code == _NOT_THERE:
        detail = f"there is nothing at {request.url.path}; /openapi.json describes what there is"
        return _reply(status_problem(_NOT_THERE, detail))
    return _reply(status_problem(error.status_code, error.detail, error.headers))


def _methods(path: str) -> set[str]:
    """What a path offers, over all routes that have it."""
    return {
        method
        for route in _ROUTES
        if isinstance(route, APIRoute) and route.path_regex.match(path)
        for method in route.methods or ()
    }


async def _invalid_query(_request: Request, error: Exception) -> Reply:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    wrong = tuple(
        FieldError(pointer=pointer(*one["loc"][1:]), message=str(one["msg"])) for one in error.errors()
    )
    detail = "; ".join(f"{one.pointer[2:]}: {one.message}" for one in wrong)
    return _reply(Problem(status=422, code="invalid-input", detail=detail, errors=wrong))


def _reply(problem: Problem) -> Reply:
    reply = Reply(problem.body(), status=problem.status, headers=problem.headers)
    reply.headers["content-type"] = PROBLEM_JSON
    return reply


def _document(app: FastAPI) -> None:
    """Replaces the OpenAPI document by one that knows the plain routes and the problems' media type."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                openapi_version=app.openapi_version,
                description=app.description,
                routes=_ROUTES,
            )
            app.openapi_schema = finished(schema, _ROUTES)
        return app.openapi_schema

    app.openapi = openapi
