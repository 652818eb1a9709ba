"""HTTP services that store nothing: what the server and the framework cost by themselves."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

Message = MutableMapping[str, Any]
ANSWER = b'{"success":true,"jobId":"00000000-0000-7000-8000-000000000000"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]


async def bare(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """No framework: reads the body and answers."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 201, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


class Body(BaseModel):
    """What a job is made of."""

    type: str
    payload: dict[str, Any]


fastapi = FastAPI(openapi_url=None)


@fastapi.post("/jobs", status_code=201)
async def jobs(body: Body) -> dict[str, Any]:
    """Validates and answers."""
    return {"success": True, "jobId": body.type}
