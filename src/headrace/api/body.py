"""Reading what a request brings: strict JSON within bounds, and the idempotency key."""

import asyncio
import re
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from headrace.api.guard import body_too_large
from headrace.api.problems import refusal
from headrace.core import wire
from headrace.core.wire import Json
from headrace.errors import InvalidInput

LARGE_BODY_BYTES: Final = 64 * 1024
"""Bodies beyond this are parsed in a thread, so that other requests go on meanwhile."""

_QUOTED_KEY: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE_KEY: Final = re.compile(r"[\x21\x23-\x7e][\x20-\x7e]*")


async def read_json(receive: Receive, limit: int) -> Json:
    """The request's body as a JSON value. Refuses what is too long (413) or not strictly JSON (400)."""
    body = await _read(receive, limit)
    if len(body) > LARGE_BODY_BYTES:
        return await asyncio.to_thread(_parse, body)
    return _parse(body)


def idempotency_key(scope: Scope) -> str | None:
    """The Idempotency-Key header: a structured-field string in quotes, or bare. None if there is none."""
    found = [value for name, value in scope["headers"] if name == b"idempotency-key"]
    if not found:
        return None
    text = found[0].decode("latin-1").strip()
    if (quoted := _QUOTED_KEY.fullmatch(text)) is not None:
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if len(found) > 1 or _BARE_KEY.fullmatch(text) is None:
        raise refusal(400, "bad-request", 'the Idempotency-Key must be one string such as "order-42"')
    return text


async def _read(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise body_too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _parse(body: bytes) -> Json:
    try:
        return wire.decode(body.decode())
    except UnicodeDecodeError as error:
        raise refusal(400, "malformed-json", "body is not UTF-8") from error
    except InvalidInput as error:
        raise refusal(400, "malformed-json", str(error)) from error
