"""What the guard refuses before anything of the service runs."""

from headrace.api.guard import MAX_BODY_BYTES, Guard


async def refused(**headers: str) -> int:
    """The status that a changing request gets whose body nobody may read."""

    async def read():
        raise AssertionError("the body was read")

    async def service(scope, receive, send):
        await receive()

    answers = []

    async def send(message):
        answers.append(message)

    given = {"host": "localhost", "content-type": "application/json"} | headers
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/jobs",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
    }
    await Guard(service)(scope, read, send)
    return answers[0]["status"]


async def test_body_announced_as_too_long_is_refused_before_it_is_read():
    assert await refused(content_length=str(MAX_BODY_BYTES + 1)) == 413


async def test_body_announced_as_long_as_allowed_is_read():
    assert await refused(content_length=str(MAX_BODY_BYTES)) == 500
