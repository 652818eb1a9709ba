"""A job type that runs in a child process and reads a stored file there."""

from headrace.core.request import EnqueueRequest
from headrace.engine.context import Context
from headrace.engine.operations import Runs
from headrace.engine.registry import JobOptions, Registry, registered


async def shout(file_id: str, ctx: Context) -> str:
    content = b"".join([chunk async for chunk in ctx.files.read(file_id)])
    return content.decode().upper()


registry = Registry([registered(shout, JobOptions(runs=Runs.PROCESS))])


def shouting(file_id: str) -> EnqueueRequest:
    return EnqueueRequest(type="shout", payload={"file_id": file_id})
