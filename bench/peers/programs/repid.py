"""repid on streams: 100 messages a read (10 by default), 1,000 jobs at once as it comes.

It runs in repid's environment.
"""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from repid import RedisServer, Repid, Router

from bench import probe
from bench.peers.programs import driver

BATCH = 100
CHANNEL = "bench"

app = Repid()
server = RedisServer(os.environ["HEADRACE_URL"], batch_size=BATCH)
app.servers.register_server("default", server, is_default=True)
router = Router()


@router.actor(channel=CHANNEL)
async def noop(n: int) -> None:  # noqa: ARG001 - a payload like everybody's
    """Does nothing."""
    probe.hit()


@router.actor(channel=CHANNEL)
async def stamp(t: float) -> None:
    """Tells how long ago ``t`` was."""
    probe.delay(t)


app.include_router(router)


async def send(topic: str, payload: dict[str, float]) -> None:
    """Sends one message."""
    await app.send_message_json(channel=CHANNEL, payload=payload, headers={"topic": topic})


@asynccontextmanager
async def opened() -> AsyncIterator[driver.Producer]:
    """Enqueues through the server's connections; there is no call for many messages."""
    async with server.connection():
        yield driver.Producer(one=lambda n: send("noop", {"n": n}), stamp=lambda t: send("stamp", {"t": t}))


async def work() -> None:
    """Works until it is told to end."""
    logging.disable(logging.INFO)
    async with server.connection():
        await app.run_worker()


if __name__ == "__main__":
    driver.main(opened=opened, work=work)
