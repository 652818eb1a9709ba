"""Pieces of the OpenAPI document: what an operation answers, with an example."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from headrace.api import shapes
from headrace.api.reply import JSON, PROBLEM_JSON
from headrace.core.states import State

Responses = dict[int | str, dict[str, Any]]
Example = Mapping[str, Any]

_REASONS: Final[Mapping[int, str]] = {
    400: "The body is not strictly valid JSON.",
    404: "There is no such job.",
    409: "The present state does not allow it.",
    413: "The body or one of its parts is too large.",
    415: "The body is not announced as JSON.",
    422: "Something in the request cannot be accepted; `errors` names it.",
    429: "The queue holds as many waiting jobs as it may; try again later.",
    503: "The store does not answer, try again later.",
}


def answers(model: type[shapes.Shape], example: Example, *problems: int, status: int = 200) -> Responses:
    """An operation's answers: the good one with an example, and the problems it may have."""
    good: dict[str, Any] = {
        "model": model,
        "description": (model.__doc__ or "").strip(),
        "content": {JSON: {"example": example}},
    }
    responses: Responses = {status: good}
    for code in (*problems, 503):
        responses[code] = {"model": shapes.ProblemBody, "description": _REASONS[code]}
    return responses


def finished(schema: dict[str, Any], routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The document with problems under their own media type, and with the nulls of its examples."""
    for route in routes:
        if isinstance(route, APIRoute):
            for method in route.methods or ():
                _finish(schema["paths"][route.path][method.lower()]["responses"], route.responses)
    for unused in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(unused, None)
    return schema


def _finish(described: dict[str, dict[str, Any]], given: Responses) -> None:
    for unsaid in described.keys() - {str(status) for status in given}:
        del described[unsaid]
    for status, response in given.items():
        content = described[str(status)]["content"]
        if response["model"] is shapes.ProblemBody:
            content[PROBLEM_JSON] = content.pop(JSON)
        elif example := response.get("content", {}).get(JSON, {}).get("example"):
            content[JSON]["example"] = example


JOB_ID: Final = "0199b0c4-8a00-7c3e-9f5b-0d6c5b7d2a11"

JOB: Final[Mapping[str, object]] = {
    "id": JOB_ID,
    "type": "send-email",
    "status": State.COMPLETED.value,
    "state": State.COMPLETED.value,
    "queue": "email",
    "priority": 5,
    "attempts": 1,
    "maxAttempts": 3,
    "payload": {"to": "user@example.com", "subject": "Test", "body": "Hello!"},
    "result": {"sent": True},
    "resultUrl": None,
    "error": None,
    "progress": {"stage": "sending", "percentage": 100},
    "uniqueKey": None,
    "batchId": None,
    "tags": [],
    "scheduledFor": None,
    "createdAt": "2025-10-04T12:00:00Z",
    "startedAt": "2025-10-04T12:00:01Z",
    "completedAt": "2025-10-04T12:00:05Z",
    "parkedOn": None,
    "cancelRequested": False,
}


def message(text: str) -> dict[str, object]:
    """An example of a plain answer."""
    return {"success": True, "message": text}
