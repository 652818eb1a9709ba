"""webhook-delivery: one signed HTTP request, repeated until the receiver takes it."""

import json
import re
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import AfterValidator, Field, JsonValue

from headrace.core.backoff import Backoff
from headrace.core.classify import RETRYABLE_4XX, parse_retry_after
from headrace.engine.context import Context
from headrace.engine.registry import JobOptions, Registered, Retry, registered
from headrace.errors import Exhausted, Permanent, Transient
from headrace.handlers.results import Result
from headrace.handlers.signing import Signer

if TYPE_CHECKING:
    from headrace.handlers.outbound import Answer, Outbound

QUEUE: Final = "webhook"
LIMIT_SECONDS: Final = 30.0
RETRY: Final = Retry(attempts=5, backoff=Backoff.exponential(5, factor=5, cap=3600))
MAX_HEADERS: Final = 20
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_HEADER_VALUE: Final = re.compile(r"[!-~](?:[ -~]{0,1022}[!-~])?")
_SAFE_HEADERS: Final = frozenset({"accept", "authorization", "idempotency-key", "traceparent", "tracestate"})
_OURS: Final = frozenset({"x-webhook-retry", "x-webhook-event"})
_ROUTING: Final = (
    "x-forwarded-",
    "x-http-method",
    "x-method-override",
    "x-original-",
    "x-real-ip",
    "x-rewrite-",
)


def _safe_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        lower = name.lower()
        own = lower.startswith("x-") and lower not in _OURS and not lower.startswith(_ROUTING)
        if _HEADER_NAME.fullmatch(name) is None or not (own or lower in _SAFE_HEADERS):
            msg = f"header {name[:64]!r} cannot be set; use X-… or one of {', '.join(sorted(_SAFE_HEADERS))}"
            raise ValueError(msg)
        if _HEADER_VALUE.fullmatch(value) is None:
            msg = f"the value of header {name!r} must be printable ASCII"
            raise ValueError(msg)
    if len({name.lower() for name in headers}) != len(headers):
        msg = "a header is given twice"
        raise ValueError(msg)
    return headers


def _http_url(text: str) -> str:
    if not text.lower().startswith(("http://", "https://")):
        msg = "must begin with http:// or https://"
        raise ValueError(msg)
    return text


Url = Annotated[
    str,
    Field(
        max_length=2048,
        json_schema_extra={"pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://"},
        examples=["https://example.com/hook"],
    ),
    AfterValidator(_http_url),
]
EventType = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")]
WebhookId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
Headers = Annotated[dict[str, str], Field(max_length=MAX_HEADERS), AfterValidator(_safe_headers)]


class Delivered(Result):
    """The receiver took it: at which attempt, with which status."""

    attempt: int
    status: int


def webhook_delivery_type(
    outbound: Callable[[], "Outbound"], signer: Signer, *, now: Callable[[], float] = time.time
) -> Registered:
    """The job type ``webhook-delivery``. ``now`` is the time of day in seconds, for the timestamp."""

    async def webhook_delivery(  # noqa: PLR0913 - one parameter per field of the payload
        ctx: Context,
        *,
        url: Url,
        body: JsonValue,
        method: Literal["POST", "PUT", "PATCH"] = "POST",
        event_type: EventType | None = None,
        webhook_id: WebhookId | None = None,
        headers: Headers | None = None,
    ) -> Delivered:
        """Delivers ``body`` as JSON to ``url``, signed by the Standard Webhooks specification.

        ``webhook-id`` is the same at every attempt, so a receiver can drop repeats. 2xx is success;
        redirects are not followed and count as failures. 410 and most other 4xx end the job;
        ``Retry-After`` is honoured.
        """
        from headrace.handlers.outbound import OutboundRequest

        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        told = {"content-type": "application/json", "x-webhook-retry": str(ctx.attempt)}
        if event_type is not None:
            told["x-webhook-event"] = event_type
        told |= signer.headers(webhook_id or ctx.idempotency_key, int(now()), content)
        ctx.progress("delivering", 0, f"attempt {ctx.attempt}")
        answer = await outbound().send(
            OutboundRequest(
                method=method,
                url=url,
                headers={**_lower(headers or {}), **told},
                body=content,
                deadline=LIMIT_SECONDS,
            )
        )
        _check(answer, now())
        return Delivered(attempt=ctx.attempt, status=answer.status)

    options = JobOptions(name="webhook-delivery", queue=QUEUE, retry=RETRY, timeout=LIMIT_SECONDS + 15)
    return registered(webhook_delivery, options)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _check(answer: "Answer", now: float) -> None:
    """Raises the word that fits an answer other than 2xx."""
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    message = f"Webhook returned {status}: {_shown(answer.reason) or _reason(status)}"
    if not _worth_a_retry(status):
        raise Permanent(message)
    asked = parse_retry_after(answer.headers.get("retry-after", ""), round(now * 1000))
    if asked is not None:
        raise Exhausted(message, retry_after=asked / 1000)
    # Without Retry-After the type's own back-off says when, which grows as receivers expect.
    raise Transient(message)


def _worth_a_retry(status: int) -> bool:
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return status in RETRYABLE_4XX or status == HTTPStatus.TOO_MANY_REQUESTS
    return True


def _shown(reason: str) -> str:
    return "".join(char for char in reason[:200] if char.isprintable()).strip()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"
