"""From alerts to the jobs, log lines and function calls that tell of them."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from headrace.core.alert_wire import Alert, mail_of, message_to_json
from headrace.core.alerts import Status, Target, To
from headrace.core.request import EnqueueRequest
from headrace.core.wire import Json

WEBHOOK_TYPE: Final = "webhook-delivery"
MAIL_TYPE: Final = "send-email"
CALL_SECONDS: Final = 10.0

AlertFunction = Callable[[Alert], Awaitable[None] | None]
"""A function of the program that is called with each alert; async, or plain and then in a thread."""

_EVENTS: Final[Mapping[str, str]] = {
    Status.RAISED: "alert.raised",
    Status.AGAIN: "alert.again",
    Status.RESOLVED: "alert.resolved",
    Status.TEST: "alert.test",
}


def request_for(target: Target, alerts: Sequence[Alert]) -> EnqueueRequest | None:
    """The job that tells a target; None for one that needs none."""
    match target.to:
        case To.WEBHOOK:
            body = message_to_json(alerts)
            statuses = {one.status for one in alerts}
            event = _EVENTS[statuses.pop()] if len(statuses) == 1 else "alert.several"
            return _request(WEBHOOK_TYPE, {"url": target.address, "body": body, "event_type": event})
        case To.MAIL:
            subject, text = mail_of(alerts)
            return _request(MAIL_TYPE, {"to": target.address, "subject": subject, "body": text})
        case To.JOB:
            return _request(target.address, {"alert": message_to_json(alerts)})
        case To.LOG | To.FUNCTION:
            return None


def _request(job_type: str, payload: Mapping[str, Json]) -> EnqueueRequest:
    return EnqueueRequest(type=job_type, payload=payload)


def log(alerts: Sequence[Alert]) -> None:
    """Logs each alert: a resolved one as news, any other as a warning."""
    for one in alerts:
        fields: dict[str, Any] = {
            "rule": one.rule,
            "type": one.type,
            "subject": one.subject,
            "message": one.message,
            "count": one.count,
            **{f"details_{name}": value for name, value in one.details.items()},
        }
        if one.status == Status.RESOLVED:
            _logger().info("alert_resolved", **fields)
        else:
            _logger().warning(f"alert_{one.status}", **fields)


async def call(functions: Sequence[AlertFunction], alerts: Sequence[Alert]) -> None:
    """Calls each function with each alert. One that raises, or takes too long, is logged and let be."""
    for alert in alerts:
        for function in functions:
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    await _called(function, alert)
            except Exception as error:  # boundary: a function of the program must not stop the upkeep
                _logger().error("alert_function_failed", rule=alert.rule, error=repr(error))


async def _called(function: AlertFunction, alert: Alert) -> None:
    if inspect.iscoroutinefunction(function):
        await function(alert)
        return
    answer = await asyncio.to_thread(function, alert)
    if inspect.isawaitable(answer):
        await answer


def payload_text(payload: Json) -> str:
    """A payload as it is stored."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


@cache
def _logger() -> Any:  # noqa: ANN401 - structlog's loggers have no static type
    import structlog  # noqa: PLC0415 - without alerts it is never needed

    return structlog.get_logger("headrace.alerts")
