"""Answers as they leave: compact JSON, through Starlette or straight to the server."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.responses import Response
from starlette.types import Send

JSON: Final = "application/json"
PROBLEM_JSON: Final = "application/problem+json"

RawHeaders = Sequence[tuple[bytes, bytes]]


class Reply(Response):
    """A JSON answer."""

    media_type = JSON

    def __init__(
        self, content: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(dumps(content), status_code=status, headers=headers)


def dumps(value: object) -> bytes:
    """The value as compact JSON in UTF-8; a lone surrogate, which UTF-8 has not, stays a JSON escape."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace")


async def send_json(send: Send, status: int, body: bytes, headers: RawHeaders = ()) -> None:
    """Sends a whole JSON answer without a Response object; ``headers`` may name another content type."""
    named = any(name == b"content-type" for name, _ in headers)
    kind = () if named else ((b"content-type", JSON.encode()),)
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*kind, length, *headers]})
    await send({"type": "http.response.body", "body": body})
