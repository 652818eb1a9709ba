"""``headrace serve``: a composition root. It may import everything."""

import asyncio
import sys
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from socket import socket
from typing import Annotated

import uvicorn
from cyclopts import Parameter

from headrace.api.app import create_app
from headrace.api.guard import LOOPBACK_HOSTS
from headrace.app import App
from headrace.cli.exits import Exit
from headrace.cli.listening import Listening
from headrace.cli.logs import log_to_stderr
from headrace.cli.opening import app_for, run_long
from headrace.cli.options import AppPath, Url
from headrace.cli.worker import WorkerPlan, made_upkeep, made_worker, say_wakeups
from headrace.engine.operations import Operations
from headrace.settings import DEFAULT_PORT
from headrace.signals import taking_signals
from headrace.worker.signals import EXIT_REPLACE_ME, leave, tune_interpreter
from headrace.worker.worker import Worker

GRACE_SECONDS = 5
"""How long requests under way get when the service stops."""


def serve(  # noqa: PLR0913 - one parameter per option
    *,
    host: Annotated[str, Parameter(help="Where to listen; only loopback is allowed.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Where to listen; 0 takes any free port.")] = DEFAULT_PORT,
    app: AppPath = None,
    worker: Annotated[
        bool,
        Parameter(
            name="--worker",
            negative="--no-worker",
            help="Also run jobs in this process, or leave that to `headrace worker`.",
        ),
    ] = True,
    queues: Annotated[
        str | None,
        Parameter(help="Which queues, and how many jobs of each at once: email=5,default. Else all."),
    ] = None,
    concurrency: Annotated[int, Parameter(help="How many jobs run at once.")] = 100,
    url: Url = None,
) -> int:
    """Run the HTTP service, a worker and upkeep in one process until SIGINT or SIGTERM."""
    log_to_stderr()
    plan = WorkerPlan(app_path=app, queues=queues, concurrency=concurrency) if worker else None
    opened = app_for(app, url)
    listening = Listening.on(host, port)
    try:
        return run_long(lambda: serve_app(opened, listening, plan))
    finally:
        listening.close()


async def serve_app(app: App, listening: Listening, plan: WorkerPlan | None) -> int:
    """Serves until a signal comes, or until the worker needs a new process."""
    async with AsyncExitStack() as stack:
        take = stack.enter_context(taking_signals())
        await stack.enter_async_context(app)
        server = Server(_config(await app.operations("http"), listening), lambda: _say(listening.url))
        await stack.enter_async_context(await made_upkeep(app, plan or WorkerPlan()))
        worker = None if plan is None else await stack.enter_async_context(made_worker(app, plan))
        if worker is not None:
            await say_wakeups(app, worker)

        def stop() -> None:
            server.should_exit = True
            if worker is not None:
                worker.request_stop()

        def hurry() -> None:
            server.force_exit = True
            if worker is not None:
                worker.interrupt()

        take(stop, hurry)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=list(listening.sockets)))
            if worker is not None:
                group.create_task(_run(worker, stop))
    if worker is None:
        return Exit.DONE
    code = EXIT_REPLACE_ME if worker.wants_exit else Exit.DONE
    leave(worker, code)
    return code


class Server(uvicorn.Server):
    """A server that leaves signals to us, and says when it listens."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leaves signals to ``taking_signals``."""
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Starts, then says so."""
        await super().startup(sockets)
        tune_interpreter()
        self._on_started()


async def _run(worker: Worker, stop: Callable[[], None]) -> None:
    """Runs the worker; when it ends by itself, everything else stops too."""
    await worker.run()
    stop()


def _config(operations: Operations, listening: Listening) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(operations, allowed_hosts=LOOPBACK_HOSTS | listening.hosts),
        loop="none",
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _say(url: str) -> None:
    sys.stderr.write(f"headrace: listening on {url} (try: curl {url}/health)\n")
    sys.stderr.flush()
