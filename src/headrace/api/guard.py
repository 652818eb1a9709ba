"""What every request passes before anything else: who may ask, from where, and how much they may send.

Pure ASGI, because the hot route passes it too. It also turns errors into problems, so that the
routes behind it simply raise.

- The Host must be one of ours (else a foreign name that resolves to 127.0.0.1 could reach us).
- A request that changes something must not come from another site's page.
- A body must be JSON, and not be announced as longer than the limit.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.api.problems import INTERNAL, Problem, Refusal, problem_of, refusal
from headrace.api.reply import JSON, dumps, send_json
from headrace.errors import HeadraceError

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
MAX_BODY_BYTES: Final = 10 * 1024 * 1024
"""The longest body there is, that of a bulk."""

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_WATCHED: Final = frozenset(
    {b"host", b"origin", b"sec-fetch-site", b"content-type", b"content-length", b"transfer-encoding"}
)
_EVERY_ANSWER: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

_log = structlog.get_logger("headrace.api")


class Guard:
    """The outermost layer around the service. ``allowed_hosts`` None accepts any Host."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: Collection[str] | None = LOOPBACK_HOSTS) -> None:
        self._app = app
        self._allowed = None if allowed_hosts is None else frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            self._check(scope)
            await self._app(scope, receive, answer.send)
        except Refusal as refused:
            await answer.tell(refused.problem)
        except HeadraceError as error:
            problem = problem_of(error)
            if problem.status >= INTERNAL.status:
                _log.warning(
                    "request_not_served", method=scope["method"], path=scope["path"], error=repr(error)
                )
            await answer.tell(problem)
        except ClientDisconnect:
            _log.debug("client_left", method=scope["method"], path=scope["path"])
        except Exception as error:  # boundary: a fault of ours is told without its insides
            _log.exception("request_failed", method=scope["method"], path=scope["path"], error=repr(error))
            await answer.tell(INTERNAL)

    def _check(self, scope: Scope) -> None:
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in _WATCHED and headers.setdefault(name, value) != value:
                raise refusal(400, "bad-request", f"the {name.decode()} header stands twice")
        host = headers.get(b"host", b"").decode("latin-1").lower()
        self._check_host(host)
        if scope["method"] not in _READING:
            _check_site(headers, host)
            _check_body(headers)

    def _check_host(self, host: str) -> None:
        if self._allowed is None:
            return
        name, colon, port = host.rpartition(":")
        if not colon or not (port.isascii() and port.isdigit()):
            name = host
        if name not in self._allowed:
            raise refusal(421, "unknown-host", f"this service does not answer to the host {host[:80]!r}")


@dataclass(slots=True)
class _Answer:
    """The answer of one request: adds the headers every answer has, and knows whether it has begun."""

    to_server: Send
    begun: bool = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            message["headers"] = [*message["headers"], *_EVERY_ANSWER]
        await self.to_server(message)

    async def tell(self, problem: Problem) -> None:
        if not self.begun:
            await send_json(self.send, problem.status, dumps(problem.body()), problem.raw_headers())


def _check_site(headers: dict[bytes, bytes], host: str) -> None:
    """Refuses what a browser sends on behalf of another site; programs that are no browser pass."""
    site = headers.get(b"sec-fetch-site")
    origin = headers.get(b"origin")
    foreign_site = site is not None and site not in {b"same-origin", b"none"}
    foreign_origin = origin is not None and origin.decode("latin-1").lower().partition("://")[2] != host
    if foreign_site or foreign_origin:
        raise refusal(
            403, "cross-site", "requests that change something are not taken from other sites' pages"
        )


def _check_body(headers: dict[bytes, bytes]) -> None:
    length = headers.get(b"content-length", b"0")
    if not length.isdigit():
        raise refusal(400, "bad-request", "the Content-Length is not a number")
    if int(length) > MAX_BODY_BYTES:
        raise body_too_large(MAX_BODY_BYTES)
    if int(length) == 0 and b"transfer-encoding" not in headers:
        return
    kind = headers.get(b"content-type", b"")
    if kind != b"application/json" and not _is_json(kind.decode("latin-1")):
        shown = kind.decode("latin-1")[:80]
        raise refusal(415, "not-json", f"the body must be {JSON}, not {shown!r}", headers={"accept": JSON})


def body_too_large(limit: int) -> Refusal:
    """The refusal of a body beyond the limit, announced or not."""
    return refusal(
        413,
        "too-large",
        f"the body is longer than {limit} bytes; store large data as a file and pass its id",
    )


def _is_json(kind: str) -> bool:
    essence, _, parameters = kind.lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    return essence.strip() == JSON and charset in {"", "utf-8", "utf8"}
